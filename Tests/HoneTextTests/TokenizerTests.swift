import Foundation
import HoneFormats
import Testing

@testable import HoneText

@Suite struct TokenizerTests {
    @Test("special tokens in a user's text are text unless it is trusted")
    func untrustedText() throws {
        let tokenizer = try Fixtures.tokenizer("llama3")
        let end = try #require(tokenizer.id("<|end|>"))
        #expect(tokenizer.encode("a<|end|>b", trusted: true).contains(end))
        let plain = tokenizer.encode("a<|end|>b")
        #expect(!plain.contains(end))
        #expect(tokenizer.decode(plain) == "a<|end|>b")
        #expect(tokenizer.encode(["a<|end|>b"]) == [plain])
    }

    @Test("special tokens of the model are added and skipped as asked")
    func specialTokens() throws {
        let tokenizer = try Fixtures.tokenizer("wordpiece")
        let ids = tokenizer.encode("the card")
        #expect(ids.first == tokenizer.id("[CLS]") && ids.last == tokenizer.id("[SEP]"))
        #expect(tokenizer.encode("the card", addSpecialTokens: false) == Array(ids.dropFirst().dropLast()))
        #expect(tokenizer.decode(ids) == "the card")
        #expect(tokenizer.decode(ids, skipSpecialTokens: false) == "[CLS] the card [SEP]")
    }

    @Test("truncation and padding in the file are ignored")
    func fileSettings() throws {
        let tokenizer = try Fixtures.tokenizer("wordpiece")
        #expect(tokenizer.encode("a").count == 3)
        #expect(tokenizer.encode(String(repeating: "card ", count: 300)).count == 302)
    }

    @Test("a maximum below the special tokens keeps only these")
    func tinyMaximum() throws {
        let tokenizer = try Fixtures.tokenizer("wordpiece")
        for maximum in [Int.min, -1, 0, 1, 2] {
            let encoding = tokenizer.encoding("the card", maximumLength: maximum)
            #expect(encoding.ids.count == 2 && encoding.isTruncated)
            #expect(tokenizer.encodePair("the", "card", maximumLength: maximum).ids.count == 3)
        }
        #expect(tokenizer.encoding("the card", maximumLength: .max).isTruncated == false)
    }

    @Test("ids without a token decode to nothing")
    func unknownIds() throws {
        for name in Fixtures.names {
            let tokenizer = try Fixtures.tokenizer(name)
            #expect(tokenizer.decode([-1, .min, .max, tokenizer.largestId + 1, 1 << 40]) == "")
            #expect(tokenizer.token(-1) == nil && tokenizer.token(tokenizer.largestId + 1) == nil)
            #expect(tokenizer.token(tokenizer.largestId) != nil)
            #expect(tokenizer.vocabularySize == tokenizer.largestId + 1)
            for id in 0...tokenizer.largestId { #expect(tokenizer.token(id).flatMap(tokenizer.id) == id) }
        }
    }

    @Test("canonically equivalent tokens stay apart")
    func equivalentTokens() throws {
        let pipeline = try Fixtures.tokenizer(
            json: #"""
                {"added_tokens":[],"model":{"type":"BPE","vocab":{"\u00e9":0,"e\u0301":1,"e":2,"\u0301":3},
                "merges":[["e","\u0301"]]}}
                """#)
        var scratch = EncodingScratch()
        #expect(pipeline.ids(of: "\u{E9}e\u{301}", isTrusted: true, &scratch) == [0, 1])
        #expect(pipeline.id("e\u{301}") == 1 && pipeline.id("\u{E9}") == 0)
    }

    @Test("roles, limit and chat template are read from the folder")
    func folder() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("hone-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        func write(_ name: String, _ text: String) throws {
            try Data(text.utf8).write(to: folder.appendingPathComponent(name))
        }
        try FileManager.default.copyItem(
            atPath: Fixtures.path("wordpiece.json"), toPath: folder.appendingPathComponent("tokenizer.json").path)
        // As `padding` in the file says.
        #expect(try Tokenizer(folder: folder.path).padId == 0)
        try write(
            "tokenizer_config.json",
            #"{"pad_token":"[PAD]","sep_token":{"content":"[SEP]"},"bos_token":null,"model_max_length":512,"chat_template":"{{ x }}"}"#
        )
        try write("special_tokens_map.json", #"{"cls_token":"[CLS]","unk_token":"[UNK]","pad_token":"[MASK]"}"#)
        try write("config.json", #"{"eos_token_id":[7,8],"bos_token_id":5}"#)
        let tokenizer = try Tokenizer(folder: folder.path)
        // The map overrides the config, as in transformers.
        #expect(tokenizer.padId == 4 && tokenizer.unkId == 1 && tokenizer.clsId == 2 && tokenizer.sepId == 3)
        #expect(tokenizer.eosId == 7 && tokenizer.bosId == 5 && tokenizer.maskId == nil)
        #expect(tokenizer.settings.maximumLength == 512 && tokenizer.settings.chatTemplate == "{{ x }}")
        try write(
            "tokenizer_config.json",
            #"{"model_max_length":1e30,"chat_template":[{"name":"rag","template":"r"},{"name":"default","template":"d"}]}"#
        )
        #expect(try Tokenizer(folder: folder.path).settings.maximumLength == nil)
        #expect(try Tokenizer(folder: folder.path).settings.chatTemplate == "d")
        try write("chat_template.jinja", "j")
        #expect(try Tokenizer(folder: folder.path).settings.chatTemplate == "j")
        try write("tokenizer_config.json", "[]")
        #expect(throws: HoneError.self) { try Tokenizer(folder: folder.path) }
    }

    @Test("folders are understood as transformers understands them")
    func foldersLikeReference() throws {
        for (number, example) in try Fixtures.jsonLines(path: Fixtures.path("settings.jsonl")).enumerated() {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("hone-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            let name = try #require(example["tokenizer"]?.string)
            try FileManager.default.copyItem(
                atPath: Fixtures.path("\(name).json"), toPath: folder.appendingPathComponent("tokenizer.json").path)
            for (file, member) in [("tokenizer_config", "config"), ("special_tokens_map", "map")] {
                guard let value = example[member], !value.isNull else { continue }
                try Data(value.text().utf8).write(to: folder.appendingPathComponent(file + ".json"))
            }
            let tokenizer = try Tokenizer(folder: folder.path)
            let settings = tokenizer.settings
            let roles: [(String, Int?)] = [
                ("pad", settings.padId), ("bos", settings.bosId), ("eos", settings.eosId), ("cls", settings.clsId),
                ("sep", settings.sepId), ("unk", settings.unkId), ("mask", settings.maskId),
            ]
            for (role, id) in roles { #expect(id == example["roles"]?[role]?.integer, "case \(number): \(role)") }
            let texts = example["texts"]?.array ?? []
            #expect(!texts.isEmpty)
            for (index, text) in texts.enumerated() {
                let ids = example["ids"]?.array?[index].integers ?? []
                #expect(tokenizer.encode(text.string ?? "", trusted: true) == ids, "case \(number): \(text)")
                let decoded = example["decoded"]?.array?[index].string ?? ""
                #expect(tokenizer.decode(ids) == decoded, "case \(number): \(text)")
            }
        }
    }
}
