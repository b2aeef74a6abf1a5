import HoneFormats

/// Tokenizers of about a hundred tokens that know the words of `TinyTask` whole and spell everything else.
enum TinyTokenizer {
    /// The words that are one token each.
    static let words = TinyTask.keywords.flatMap { $0 } + TinyTask.fillers

    private static let letters = (UInt8(ascii: "a")...UInt8(ascii: "z")).map { String(UnicodeScalar($0)) }

    /// Writes `tokenizer.json` and `tokenizer_config.json`.
    ///
    /// - Returns: how many tokens there are.
    static func write(to folder: String, byteLevel: Bool) throws -> Int {
        let (json, roles, count) = byteLevel ? bytePair() : wordPiece()
        try AtomicFile.write(json.text(pretty: true), to: folder + "/tokenizer.json")
        try AtomicFile.write(roles.text(pretty: true), to: folder + "/tokenizer_config.json")
        return count
    }

    private static func vocabulary(_ tokens: [String]) -> JSON {
        var object = JSONObject()
        for (id, token) in tokens.enumerated() { object[token] = .integer(id) }
        return .object(object)
    }

    private static func added(_ tokens: [String]) -> JSON {
        .array(
            tokens.enumerated().map { id, token in
                [
                    "id": .integer(id), "content": .string(token), "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true,
                ]
            })
    }

    private static func wordPiece() -> (tokenizer: JSON, roles: JSON, count: Int) {
        let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        let tokens = special + [":", "."] + letters + letters.map { "##" + $0 } + words
        func piece(_ name: String, _ id: String, _ type: Int) -> JSON {
            [name: ["id": .string(id), "type_id": .integer(type)]]
        }
        func place(_ token: String, _ id: Int) -> JSON {
            ["id": .string(token), "ids": [.integer(id)], "tokens": [.string(token)]]
        }
        let single = [
            piece("SpecialToken", "[CLS]", 0), piece("Sequence", "A", 0), piece("SpecialToken", "[SEP]", 0),
        ]
        let pair = single + [piece("Sequence", "B", 1), piece("SpecialToken", "[SEP]", 1)]
        let tokenizer: JSON = [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": added(special),
            "normalizer": [
                "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": .null,
                "lowercase": true,
            ],
            "pre_tokenizer": ["type": "BertPreTokenizer"],
            "post_processor": [
                "type": "TemplateProcessing", "single": .array(single), "pair": .array(pair),
                "special_tokens": ["[CLS]": place("[CLS]", 2), "[SEP]": place("[SEP]", 3)],
            ],
            "decoder": ["type": "WordPiece", "prefix": "##", "cleanup": true],
            "model": [
                "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary(tokens),
            ],
        ]
        let roles: JSON = [
            "pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]",
            "mask_token": "[MASK]", "tokenizer_class": "BertTokenizer",
        ]
        return (tokenizer, roles, tokens.count)
    }

    private static func bytePair() -> (tokenizer: JSON, roles: JSON, count: Int) {
        let special = ["<|end|>", "<|pad|>"]
        // Ġ and Ċ are how byte-level vocabularies write the space and the line break.
        var tokens = special + ["Ġ", "Ċ", ":", ".", "I", "L"] + letters
        var merges: [JSON] = []
        for word in words {
            var left = "Ġ"
            for letter in word {
                let joined = left + String(letter)
                if !tokens.contains(joined) {
                    tokens.append(joined)
                    merges.append(.string("\(left) \(letter)"))
                }
                left = joined
            }
        }
        let bytes: JSON = ["type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true]
        let tokenizer: JSON = [
            "version": "1.0", "truncation": .null, "padding": .null, "added_tokens": added(special),
            "normalizer": .null,
            "pre_tokenizer": bytes, "post_processor": .null, "decoder": bytes,
            "model": [
                "type": "BPE", "dropout": .null, "unk_token": .null, "continuing_subword_prefix": .null,
                "end_of_word_suffix": .null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary(tokens), "merges": .array(merges),
            ],
        ]
        let roles: JSON = [
            "eos_token": "<|end|>", "bos_token": "<|end|>", "pad_token": "<|pad|>",
            "tokenizer_class": "PreTrainedTokenizerFast",
        ]
        return (tokenizer, roles, tokens.count)
    }
}
