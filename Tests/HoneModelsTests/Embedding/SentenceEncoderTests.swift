import Foundation
import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Sentence encoders against sentence-transformers: every way of pooling and every step behind it.
struct SentenceEncoderTests {
    /// One layout of `Scripts/fixtures/sentence_embeddings.py`.
    struct Layout: CustomTestStringConvertible, Sendable {
        let json: JSON
        var name: String { json["name"]?.string ?? "" }
        var isOldForm: Bool { json["form"]?.string == "old" }
        var testDescription: String { name + (isOldForm ? " (old form)" : "") }

        /// Makes the model's folder.
        func write(to folder: String) throws {
            let files = FileManager.default
            for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
                try files.copyItem(atPath: Reference.fixtures + "/bert-tiny/" + file, toPath: folder + "/" + file)
            }
            for (path, content) in try #require(json["files"]?.object).pairs {
                let target = folder + "/" + path
                try files.createDirectory(
                    atPath: (target as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
                var content = content
                if isOldForm, path == "sentence_bert_config.json", let length = json["length"]?.integer {
                    content = ["max_seq_length": .integer(length), "do_lower_case": false]
                }
                try content.text().write(toFile: target, atomically: true, encoding: .utf8)
            }
            if !isOldForm, let length = json["length"]?.integer {
                let path = folder + "/tokenizer_config.json"
                var config = try #require(JSON.read(file: path).object)
                config["model_max_length"] = .integer(length)
                try JSON.object(config).text().write(toFile: path, atomically: true, encoding: .utf8)
            }
            let dense = try TensorFiles.read(Reference.fixtures + "/sentence-transformers/dense.safetensors")
            let own = dense.filter { $0.name.hasPrefix(name + "/") }.map { ($0.name.split(separator: "/"), $0.tensor) }
            for module in Set(own.map { $0.0[1] }) {
                try TensorFiles.write(
                    own.filter { $0.0[1] == module }.map { (String($0.0[2]), $0.1) },
                    to: folder + "/\(module)/model.safetensors")
            }
        }
    }

    static let file: JSON = {
        do { return try JSON.read(file: Reference.fixtures + "/sentence-transformers/layouts.json") } catch {
            return .null
        }
    }()
    static let layouts = (file["layouts"]?.array ?? []).map(Layout.init)

    private func numbers(_ json: JSON?) -> [[Double]] {
        (json?.array ?? []).map { ($0.array ?? []).compactMap(\.number) }
    }

    @Test func `there are layouts of every kind`() { #expect(SentenceEncoderTests.layouts.count == 14) }

    @Test("gives the vectors of the reference, in a batch and alone", arguments: layouts)
    func vectors(layout: Layout) throws {
        try withTemporaryFolder { folder in
            try layout.write(to: folder)
            let encoder = try SentenceEncoder(BaseModel(folder: folder))
            let texts = try #require(SentenceEncoderTests.file["texts"]?.array).compactMap(\.string)
            let expected = numbers(layout.json["vectors"])
            let vectors = try encoder.vectors(texts)
            #expect(vectors.shape == [texts.count, encoder.width])
            for (row, text) in texts.enumerated() {
                for made in [try vectors.at(row), try encoder.vectors([text]).at(0)] {
                    let ours = try made.elements(Double.self)
                    #expect(ours.count == expected[row].count)
                    let difference = zip(ours, expected[row]).map { abs($0 - $1) }.max() ?? .infinity
                    #expect(difference < 1e-5, "\(text)")
                }
            }
        }
    }

    @Test("gives the default model's cosine similarities", .enabled(if: SentenceEmbeddingTests.isInstalled))
    func similarities() throws {
        let file = try JSON.read(file: Reference.fixtures + "/sentence-similarities.json")
        let texts = try #require(file["texts"]?.array).compactMap(\.string)
        let expected = numbers(file["cosines"])
        let encoder = try SentenceEncoder(BaseModel(folder: SentenceEmbeddingTests.folder))
        #expect(encoder.maximumLength == file["max_seq_length"]?.integer && encoder.width == 384)
        let vectors = try encoder.vectors(texts).to(.float64)
        let cosines = try vectors.matmul(vectors.transpose(0, 1)).elements(Double.self)
        let difference = zip(cosines, expected.joined()).map { abs($0 - $1) }.max() ?? .infinity
        #expect(cosines.count == 169 && difference < 1e-5, "\(difference)")
    }

    @Test func `a plain encoder takes the mean, and a decoder is refused`() throws {
        let model = try Reference("bert-tiny").model
        let encoder = try SentenceEncoder(model)
        #expect(encoder.layout == SentenceLayout() && encoder.width == 24)
        let states = try withoutGradients {
            try model.transformer.states(TokenBatch([model.tokenizer.encode("a b")]))
        }
        #expect(try largestDifference(encoder.vectors(["a b"]), states.mean([1])) < 1e-6)
        #expect { try SentenceEncoder(Reference("gpt2-tiny").model) } throws: {
            ($0 as? HoneError)?.code == .mismatch
        }
    }

    @Test(
        "a layout that cannot be done is refused by its field",
        arguments: [
            ("modules.json", #"{"a": 1}"#, nil), ("modules.json", "[]", nil),
            ("modules.json", #"[{"type": "x.Transformer", "path": ""}]"#, nil),
            ("modules.json", #"[{"type": "x.Transformer", "path": ""}, {"type": "x.CNN", "path": "1_CNN"}]"#, nil),
            ("modules.json", #"[{"type": "x.Transformer", "path": ""}, {"type": "Pooling", "path": "../x"}]"#, "path"),
            ("modules.json", #"[{"type": "x.Transformer", "path": "0"}]"#, "path"),
            ("1_Pooling/config.json", #"{"pooling_mode": "median"}"#, "pooling_mode"),
            ("1_Pooling/config.json", #"{"pooling_mode": []}"#, "pooling_mode"),
            ("1_Pooling/config.json", #"{"pooling_mode_cls_token": 1}"#, "pooling_mode_cls_token"),
            ("2_Dense/config.json", #"{"in_features": 24}"#, nil),
            ("2_Dense/config.json", #"{"in_features": 23, "out_features": 10}"#, "in_features"),
            ("2_Dense/config.json", #"{"in_features": 24, "out_features": 11}"#, "linear.weight"),
            (
                "2_Dense/config.json", #"{"in_features": 24, "out_features": 10, "activation_function": "my.Own"}"#,
                "activation_function"
            ),
            ("sentence_bert_config.json", #"{"max_seq_length": 0}"#, "max_seq_length"),
            ("config_sentence_transformers.json", #"{"default_prompt_name": "x"}"#, "default_prompt_name"),
        ] as [(String, String, String?)])
    func refused(path: String, content: String, item: String?) throws {
        try withTemporaryFolder { folder in
            try #require(SentenceEncoderTests.layouts.first { $0.name == "dense" }).write(to: folder)
            try content.write(toFile: folder + "/" + path, atomically: true, encoding: .utf8)
            let model = try BaseModel(folder: folder)
            let error = #expect(throws: HoneError.self) { try SentenceEncoder(model) }
            #expect(error?.file?.hasPrefix(folder) == true)
            if let item { #expect(error?.item == item) }
        }
    }
}
