import Foundation
import HoneFormats
import Testing

@testable import HoneText

@Suite struct HostileFileTests {
    /// Checks that a file is refused with an error that names it and the component.
    private func expectRefusal(
        _ text: String, _ code: HoneError.Code = .badFile, item: String? = nil,
        location: SourceLocation = #_sourceLocation
    ) {
        do {
            _ = try Fixtures.tokenizer(json: text)
            Issue.record("accepted", sourceLocation: location)
        } catch let error as HoneError {
            #expect(error.code == code, "\(error)", sourceLocation: location)
            #expect(error.file == "made/tokenizer.json", sourceLocation: location)
            #expect(error.message.count < 400, sourceLocation: location)
            if let item { #expect(error.item == item, "\(error)", sourceLocation: location) }
        } catch {
            Issue.record("another error: \(error)", sourceLocation: location)
        }
    }

    private func bytePair(_ members: String) -> String { #"{"model":{"type":"BPE",\#(members)}}"# }

    private func part(_ name: String, _ value: String) -> String {
        #"{"\#(name)":\#(value),"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}}"#
    }

    @Test("a small model is accepted, so that the refusals below mean something")
    func accepted() throws {
        _ = try Fixtures.tokenizer(json: bytePair(#""vocab":{"a":0,"b":1,"ab":2},"merges":[["a","b"]]"#))
        _ = try Fixtures.tokenizer(json: bytePair(#""vocab":{"a":0,"b":1,"ab":2147483646},"merges":["a b"]"#))
        _ = try Fixtures.tokenizer(json: part("normalizer", "null"))
    }

    @Test("a file cut short anywhere is refused", arguments: ["gpt2", "sentencepiece", "wordpiece"])
    func truncated(name: String) throws {
        let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: Fixtures.path("\(name).json"))))
        for end in stride(from: 0, to: bytes.count - 1, by: 997) {
            #expect(throws: HoneError.self) {
                try TokenizerPipeline(TokenizerFile(bytes: Array(bytes[..<end]), path: "made/tokenizer.json"))
            }
        }
    }

    @Test(
        "wrong ids are refused",
        arguments: [
            "-1", "-0", "2147483647", "99999999999999999999999999", "1.5", "1e2", "\"1\"", "null", "true", "[1]", "01",
        ])
    func wrongIds(id: String) {
        expectRefusal(bytePair(#""vocab":{"a":\#(id)},"merges":[]"#), item: "model.vocab")
        let added =
            #"{"added_tokens":[{"content":"x","id":\#(id)}],"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}"#
        if id != "1e2", id != "2147483647", id != "-0" { expectRefusal(added) }
    }

    @Test("tokens, ids and names that stand twice are refused")
    func duplicates() {
        expectRefusal(bytePair(#""vocab":{"a":0,"a":1},"merges":[]"#), item: "model.vocab")
        expectRefusal(bytePair(#""vocab":{"a":3,"b":3},"merges":[]"#), item: "model.vocab")
        expectRefusal(bytePair(#""vocab":{"a":0},"vocab":{"a":0},"merges":[]"#), item: "model")
        let added = #"{"content":"x","id":7},{"content":"y","id":7}"#
        expectRefusal(part("added_tokens", "[\(added)]"), item: "added_tokens[1]")
        expectRefusal(part("added_tokens", #"[{"content":"x","id":1}]"#), item: "added_tokens[0]")
    }

    @Test("merges that name or make unknown tokens, or are malformed, are refused")
    func wrongMerges() {
        for merges in [
            #"["a c"]"#, #"["c a"]"#, #"["a b"]"#, #"["a"]"#, #"["a b c"]"#, #"[["a"]]"#, #"[["a","b","c"]]"#, #"[1]"#,
            #"[["a",1]]"#, #"{"a":"b"}"#, "null", #"[[]]"#,
        ] {
            expectRefusal(bytePair(#""vocab":{"a":0,"b":1},"merges":\#(merges)"#), item: "model.merges")
        }
        expectRefusal(
            bytePair(#""vocab":{"a":0,"b":1,"ab":2},"merges":["a b"],"continuing_subword_prefix":"longer""#),
            item: "model.merges")
        expectRefusal(bytePair(#""vocab":{"a":0}"#), item: "model")
        expectRefusal(bytePair(#""vocab":{"a":0},"merges":["a b""#))
    }

    @Test("an empty vocabulary and a missing unknown token are refused")
    func missing() {
        expectRefusal(bytePair(#""vocab":{},"merges":[]"#), item: "model.vocab")
        expectRefusal(bytePair(#""vocab":{"a":0},"merges":[],"unk_token":"u""#), item: "model")
        expectRefusal(
            #"{"model":{"type":"WordPiece","unk_token":"u","continuing_subword_prefix":"","max_input_chars_per_word":9,"vocab":{"a":0}}}"#,
            item: "model")
        for text in [
            "", " ", "{}", "[]", "null", "1", "\"\"", #"{"model":null}"#, #"{"model":[]}"#, "{\"model\":{}} x",
        ] {
            expectRefusal(text)
        }
    }

    @Test("what is not supported is named")
    func unsupported() throws {
        expectRefusal(#"{"model":{"type":"Strange","vocab":[["a",0.5]]}}"#, .unsupported, item: "model")
        expectRefusal(bytePair(#""vocab":{"a":0},"merges":[],"dropout":0.1"#), .unsupported, item: "model")
        for name in ["normalizer", "pre_tokenizer", "post_processor", "decoder"] {
            expectRefusal(part(name, #"{"type":"Strange"}"#), .unsupported, item: name)
            for wrong in ["1", "\"x\"", "[]", "{}", #"{"type":1}"#, #"{"type":null}"#] {
                expectRefusal(part(name, wrong), item: name)
            }
        }
        do {
            _ = try Fixtures.tokenizer(json: part("normalizer", #"{"type":"Sequence","normalizers":[{"type":"Odd"}]}"#))
            Issue.record("accepted")
        } catch let error as HoneError {
            #expect(
                error.description
                    == "made/tokenizer.json: normalizer.normalizers[0]: the normalizer “Odd” is not supported")
        }
    }

    @Test("sequences and values nested too deeply are refused")
    func nesting() {
        for (name, children) in [
            ("normalizer", "normalizers"), ("pre_tokenizer", "pretokenizers"), ("decoder", "decoders"),
            ("post_processor", "processors"),
        ] {
            for depth in [20, 60, 100_000] {
                let open = String(repeating: #"{"type":"Sequence","\#(children)":["#, count: depth)
                expectRefusal(part(name, open + String(repeating: "]}", count: depth)))
            }
        }
        expectRefusal(String(repeating: #"{"model":"#, count: 100_000))
        expectRefusal(String(repeating: "[", count: 100_000))
    }

    @Test("templates without their tokens are refused")
    func templates() {
        let template = #"{"type":"TemplateProcessing","pair":[],"single":"#
        for rest in [
            #"[{"Sequence":{"id":"B","type_id":0}}],"special_tokens":{}}"#,
            #"[{"Sequence":{"id":"C","type_id":0}}],"special_tokens":{}}"#,
            #"[{"SpecialToken":{"id":"x","type_id":0}}],"special_tokens":{}}"#,
            #"[{"SpecialToken":{"id":"x","type_id":0}}],"special_tokens":{"x":{"ids":[-1]}}}"#,
            #"[{"SpecialToken":{"id":"x","type_id":-1}}],"special_tokens":{"x":{"ids":[1]}}}"#,
            #"[{"A":{},"B":{}}],"special_tokens":{}}"#, #"[1],"special_tokens":{}}"#, #"1}"#,
        ] {
            expectRefusal(part("post_processor", template + rest))
        }
        expectRefusal(part("post_processor", #"{"type":"BertProcessing","sep":["a"],"cls":["a",1]}"#))
    }

    @Test("mutated files are refused or work: 10,000 seeded mutations")
    func mutations() throws {
        var generator = SeededGenerator(seed: 2026)
        let files = try ["gpt2", "sentencepiece", "wordpiece", "llama3", "other"].map { name in
            try Self.shortened(Array(Data(contentsOf: URL(fileURLWithPath: Fixtures.path("\(name).json")))))
        }
        let tokens = ["-1", "0", "1e9", "null", "true", "[]", "{}", "\"\"", "\"\\ud800\"", "99999999999", "2147483646"]
            .map { Array($0.utf8) }
        var loaded = 0
        for round in 0..<10_000 {
            var bytes = files[round % files.count]
            for _ in 0...Int.random(in: 0...1, using: &generator) {
                Self.mutate(&bytes, tokens, &generator)
            }
            do throws(HoneError) {
                let pipeline = try TokenizerPipeline(TokenizerFile(bytes: bytes, path: "made/tokenizer.json"))
                loaded += 1
                var scratch = EncodingScratch()
                let text = "The card's [MASK] 12 <|end|>\u{E9}\u{301} ▁x\u{200D}\u{1F600}  \n"
                let tokens = pipeline.tokens(of: text, isTrusted: round % 2 == 0, hasOffsets: round % 3 == 0, &scratch)
                _ = pipeline.decode(tokens.ids, skipsSpecial: false)
                _ = pipeline.postProcessor.encoding(
                    tokens, tokens, addsSpecialTokens: true, truncation: Truncation(maximumLength: 7))
            } catch {
                #expect(error.file == "made/tokenizer.json" && !error.message.isEmpty)
            }
        }
        // Both outcomes have to occur for this to mean something.
        #expect((1000..<9000).contains(loaded))
    }

    /// A file with only the first of its tokens and merges, so that mutations reach the rest of it too.
    private static func shortened(_ bytes: [UInt8]) throws -> [UInt8] {
        guard var root = try JSON.parse(bytes).object, var model = root["model"]?.object,
            let vocabulary = model["vocab"]?.object, let merges = Optional(model["merges"] ?? .array([]))
        else { throw HoneError(.badFile, "not a tokenizer") }
        var short = JSONObject()
        for (key, value) in vocabulary.pairs {
            if let id = value.integer, id < 40 || (257..<300).contains(id) { short[key] = value }
        }
        model["vocab"] = .object(short)
        if model["merges"] != nil {
            model["merges"] = .array(
                (merges.array ?? []).filter { merge in
                    let parts =
                        merge.array?.compactMap(\.string) ?? merge.string?.split(separator: " ").map(String.init) ?? []
                    return short[parts.joined()] != nil && parts.allSatisfy { short[$0] != nil }
                })
        }
        root["model"] = .object(model)
        return Array(JSON.object(root).text().utf8)
    }

    private static func mutate(_ bytes: inout [UInt8], _ tokens: [[UInt8]], _ generator: inout SeededGenerator) {
        guard bytes.count > 4 else { return }
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: place)
        case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &generator)))
        case 5:
            let end = min(bytes.count, place + Int.random(in: 1...60, using: &generator))
            let target = Int.random(in: 0...bytes.count, using: &generator)
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: target)
        case 6, 7:
            // Another letter or digit, so that the file often stays well-formed.
            let isDigit = (0x30...0x39).contains(bytes[place])
            let isLetter = (0x61...0x7A).contains(bytes[place] | 0x20)
            if isDigit { bytes[place] = UInt8.random(in: 0x30...0x39, using: &generator) }
            if isLetter { bytes[place] = UInt8.random(in: 0x61...0x7A, using: &generator) }
        default:
            // Another value in the place of one: the likeliest to get past the parser.
            guard let colon = bytes[place...].firstIndex(of: UInt8(ascii: ":")) else { return }
            let stops = [UInt8(ascii: ","), UInt8(ascii: "}")]
            guard let end = bytes[(colon + 1)...].firstIndex(where: stops.contains) else { return }
            bytes.replaceSubrange((colon + 1)..<end, with: tokens.randomElement(using: &generator) ?? [])
        }
    }
}
