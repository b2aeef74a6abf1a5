import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// Model folders that are written anew: laid out as the base's, with other numbers.
struct ModelExportTests {
    private func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { !$0.hasPrefix("reference") }.sorted()
    }

    /// A copy of a fixture whose weights lie in two files, as large models' do.
    private func sharded(_ name: String, in folder: String) throws -> String {
        let (source, target) = (Reference.fixtures + "/" + name, folder + "/sharded")
        try FileManager.default.createDirectory(atPath: target, withIntermediateDirectories: true)
        for file in try files(source) where file != "model.safetensors" {
            try FileManager.default.copyItem(atPath: source + "/" + file, toPath: target + "/" + file)
        }
        let tensors = try TensorFiles.read(source + "/model.safetensors")
        var map = JSONObject()
        for (number, part) in [tensors.prefix(5), tensors.dropFirst(5)].enumerated() {
            let file = "model-0000\(number + 1)-of-00002.safetensors"
            try TensorFiles.write(Array(part), metadata: ["format": "pt"], to: target + "/" + file)
            for tensor in part { map[tensor.name] = .string(file) }
        }
        let index: JSON = ["metadata": ["total_size": 1], "weight_map": .object(map)]
        try index.text(pretty: true).write(
            toFile: target + "/model.safetensors.index.json", atomically: true, encoding: .utf8)
        return target
    }

    /// Every weight in another size, so that a weight in the wrong place, or turned, shows.
    private func changed(_ model: BaseModel) throws -> [String: Tensor] {
        var all: [String: Tensor] = [:]
        for (place, shape) in model.configuration.weightShapes.enumerated() {
            all[shape.name] = try #require(model.transformer.weights[shape.name]) * (1 + 0.01 * Double(place))
        }
        return all
    }

    @Test(
        "adds the biases of attention that a folded adapter needs, and says so in the config", arguments: [false, true])
    func addedBiases(inShards: Bool) throws {
        try withTemporaryFolder { folder in
            let source = inShards ? try sharded("llama-tiny", in: folder) : Reference.fixtures + "/llama-tiny"
            let model = try BaseModel(folder: source)
            #expect(!model.configuration.attentionOutputBias)
            let bias = try Tensor.full([model.configuration.width], 0.25)
            let merged = try model.configuration.completing(["layers.0.attention.output.bias": bias])
            #expect(merged.count == 4 * model.configuration.layerCount)
            let target = folder + "/written"
            try model.write(to: target, replacing: merged)
            let read = try BaseModel(folder: target)
            #expect(read.configuration.attentionOutputBias && read.configuration.attentionInputBias)
            #expect(try read.transformer.weights["layers.0.attention.output.bias"]?.mean().item() == 0.25)
            #expect(try read.transformer.weights["layers.0.attention.query.bias"]?.abs().max().item() == 0)
            for (name, weight) in model.transformer.weights {
                #expect(try read.transformer.weights[name]?.elements(Float.self) == weight.elements(Float.self))
            }
            if inShards {
                let map = try JSON.read(file: target + "/model.safetensors.index.json")["weight_map"]
                #expect(map?["model.layers.0.self_attn.o_proj.bias"]?.string == "model-00002-of-00002.safetensors")
            }
        }
    }

    @Test(
        "writes a folder with the same files and names, and reads back what it was given",
        arguments: [
            "bert-prefixed", "distilbert-sinusoidal", "gpt2-tiny", "llama-untied", "neox", "opt-after", "qwen3",
            "roberta-far",
        ], [false, true])
    func roundTrip(name: String, inShards: Bool) throws {
        try withTemporaryFolder { folder in
            let source = inShards ? try sharded(name, in: folder) : Reference.fixtures + "/" + name
            let model = try BaseModel(folder: source)
            let weights = try changed(model)
            let target = folder + "/written"
            try model.write(to: target, replacing: weights)
            #expect(try files(target) == files(source))
            let (before, after) = (try WeightFolder.open(source), try WeightFolder.open(target))
            #expect(after.names == before.names)
            #expect(after.files.map(\.metadata) == before.files.map(\.metadata))
            #expect(after.entries.map(\.dtype) == before.entries.map(\.dtype))
            let read = try BaseModel(folder: target)
            for (name, tensor) in weights {
                #expect(try largestDifference(#require(read.transformer.weights[name]), tensor) == 0, "\(name)")
            }
        }
    }

    @Test func `changes a head that repeats the token embedding together with it, and nothing else besides`() throws {
        try withTemporaryFolder { folder in
            let source = folder + "/source"
            try FileManager.default.copyItem(atPath: Reference.fixtures + "/llama-tiny", toPath: source)
            var tensors = try TensorFiles.read(source + "/model.safetensors")
            let table = try #require(tensors.first { $0.name == "model.embed_tokens.weight" })
            tensors.append(("lm_head.weight", table.tensor))
            tensors.append(("score.weight", try table.tensor + 1))
            try TensorFiles.write(tensors, to: source + "/model.safetensors")
            let model = try BaseModel(folder: source)
            let new = try table.tensor * 2
            try model.write(to: folder + "/written", replacing: ["embeddings.tokens.weight": new])
            let written = try Reference.tensors(folder + "/written/model.safetensors")
            #expect(try largestDifference(#require(written["lm_head.weight"]), new) == 0)
            #expect(try largestDifference(#require(written["score.weight"]), table.tensor + 1) == 0)
            for (name, tensor) in tensors where name.contains("layers.") {
                #expect(try largestDifference(#require(written[name]), tensor) == 0, "\(name)")
            }
        }
    }

    @Test func `keeps the element type of the file`() throws {
        try withTemporaryFolder { folder in
            let source = folder + "/source"
            try FileManager.default.copyItem(atPath: Reference.fixtures + "/llama-tiny", toPath: source)
            let tensors = try TensorFiles.read(source + "/model.safetensors").map {
                (name: $0.name, tensor: try $0.tensor.to(.bfloat16))
            }
            try TensorFiles.write(tensors, to: source + "/model.safetensors")
            let model = try BaseModel(folder: source)
            let weights = try changed(model)
            try model.write(to: folder + "/written", replacing: weights)
            #expect(try WeightFolder.open(folder + "/written").entries.allSatisfy { $0.dtype == .bfloat16 })
            let read = try BaseModel(folder: folder + "/written")
            for (name, tensor) in weights {
                let rounded = try tensor.to(.bfloat16).to(.float32)
                #expect(try largestDifference(#require(read.transformer.weights[name]), rounded) == 0, "\(name)")
            }
        }
    }

    @Test func `refuses weights without a place, weights that changed meanwhile, and a folder that holds something`()
        throws
    {
        try withTemporaryFolder { folder in
            let source = folder + "/source"
            try FileManager.default.copyItem(atPath: Reference.fixtures + "/llama-tiny", toPath: source)
            let model = try BaseModel(folder: source)
            let lost = #expect(throws: HoneError.self) {
                try model.write(to: folder + "/a", replacing: ["layers.9.extra.weight": Tensor.zeros([2])])
            }
            #expect(lost?.item == "layers.9.extra.weight")
            let misshapen = #expect(throws: HoneError.self) {
                try model.write(to: folder + "/a", replacing: ["norm.weight": Tensor.zeros([2])])
            }
            #expect(misshapen?.item == "model.norm.weight")
            #expect(throws: HoneError.self) { try model.write(to: source, replacing: [:]) }
            let tensors = try TensorFiles.read(source + "/model.safetensors")
            try tensors[0].tensor.fillInPlace(0.5)
            try TensorFiles.write(tensors, to: source + "/model.safetensors")
            let changed = #expect(throws: HoneError.self) { try model.write(to: folder + "/a", replacing: [:]) }
            #expect(changed?.code == .mismatch)
            #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
        }
    }

    private static let python = ProcessInfo.processInfo.environment["HONE_PEFT_PYTHON"]

    /// Runs `Scripts/parity/transformers_reads.py`, once for all, where `HONE_PEFT_PYTHON` names a Python with transformers.
    @Test("writes folders that transformers reads to the same outputs", .enabled(if: python != nil))
    func readByTransformers() throws {
        try withTemporaryFolder { folder in
            for name in ParityTests.names {
                let reference = try Reference(name)
                let weights = try changed(reference.model)
                try reference.model.write(to: folder + "/" + name, replacing: weights)
                let transformer = try Transformer(reference.model.configuration, weights: weights)
                let output = try withoutGradients {
                    let states = try transformer.states(reference.batch())
                    return try reference.model.configuration.isCausal ? transformer.logits(states) : states
                }
                let names = ["input_ids", "attention_mask", "token_type_ids", "pixel_values"]
                var tensors = names.compactMap { name in
                    reference.tensors[name].map { (name: name, tensor: $0) }
                }
                tensors.append((reference.model.configuration.isCausal ? "logits" : "hidden", output))
                try TensorFiles.write(tensors, to: folder + "/" + name + "/outputs.safetensors")
            }
            let process = Process()
            process.executableURL = URL(filePath: try #require(ModelExportTests.python))
            let script = Reference.fixtures + "/../../../Scripts/parity/transformers_reads.py"
            process.arguments = [script] + ParityTests.names.map { folder + "/" + $0 }
            try process.run()
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
    }
}
