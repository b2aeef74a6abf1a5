import HoneFormats

/// What `BytePairTrainer` learned: a tokenizer that can be written as `tokenizer.json`.
public struct TrainedBytePairs: Sendable {
    private let options: BytePairTrainer.Options
    private let tokens: TokenTable
    private let pairs: [(first: Int32, second: Int32)]

    init(options: BytePairTrainer.Options, tokens: TokenTable, merges: [(first: Int32, second: Int32)]) {
        self.options = options
        self.tokens = tokens
        pairs = merges
    }

    /// How many tokens there are.
    public var vocabularySize: Int { tokens.count }

    /// The tokens by id, as the vocabulary writes them (`Ġthe`).
    public var vocabulary: [String] { (0..<tokens.count).map(text) }

    /// The pairs that are joined, the first learned first.
    public var merges: [(String, String)] { pairs.map { (text(Int($0.first)), text(Int($0.second))) } }

    private func text(_ entry: Int) -> String { String(decoding: tokens.token(entry: entry), as: UTF8.self) }

    /// The tokenizer as the text of a `tokenizer.json`, which Hugging Face's `tokenizers` reads too.
    public func json() -> String {
        let quoted = vocabulary.map { JSON.string($0).text() }
        let added = options.specialTokens.map { token -> JSON in
            let bytes = Array(token.utf8)
            return [
                "id": .integer(Int(tokens.id(bytes))), "content": .string(token), "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            ]
        }
        // Members that are long are written piece by piece; everything else through JSON values.
        let entries = quoted.enumerated().map { "\($1):\($0)" }
        let merges = pairs.map { "[\(quoted[Int($0.first)]),\(quoted[Int($0.second)])]" }
        let members = [
            ("version", JSON.string("1.0")), ("truncation", .null), ("padding", .null), ("added_tokens", .array(added)),
            ("normalizer", options.composes ? ["type": "NFC"] : .null), ("pre_tokenizer", preTokenizer),
            ("post_processor", bytes), ("decoder", bytes),
        ]
        let model = """
            {"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,\
            "fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{\(entries.joined(separator: ","))},\
            "merges":[\(merges.joined(separator: ","))]}
            """
        return "{" + members.map { "\"\($0)\":\($1.text())" }.joined(separator: ",") + ",\"model\":\(model)}"
    }

    private var bytes: JSON {
        [
            "type": "ByteLevel", "add_prefix_space": .bool(options.addsPrefixSpace), "trim_offsets": true,
            "use_regex": .bool(options.pattern == nil),
        ]
    }

    private var preTokenizer: JSON {
        guard let pattern = options.pattern else { return bytes }
        let split: JSON = [
            "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated", "invert": false,
        ]
        return ["type": "Sequence", "pretokenizers": [split, bytes]]
    }

    /// Writes the tokenizer to a file, completely or not at all.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) where it cannot be written.
    public func write(to path: String) throws { try AtomicFile.write(json(), to: path) }
}
