import Foundation
import HoneFormats

/// What the files beside `tokenizer.json` say: which token has which role, and how chats are written.
public struct TokenizerSettings: Sendable {
    /// The id that fills up a batch.
    public var padId: Int?
    /// The id that starts a sequence.
    public var bosId: Int?
    /// The id that ends a sequence.
    public var eosId: Int?
    /// The id of the token for classification.
    public var clsId: Int?
    /// The id that separates texts.
    public var sepId: Int?
    /// The id that stands for what has no token.
    public var unkId: Int?
    /// The id that hides a token.
    public var maskId: Int?
    /// The most tokens that the model takes, where the files say something sensible: from 1 to 100 million.
    public var maximumLength: Int?
    /// Whether decoding takes back blanks before punctuation and English contractions (not where the model is byte-pair
    /// encoding, whose blanks are the text's own).
    public var cleansUpSpaces = false
    /// The Jinja text of the chat template: from `chat_template.jinja`, or from `tokenizer_config.json`, where of several
    /// the one called `default` is taken.
    public var chatTemplate: String?

    /// Nothing known.
    public init() {}

    /// Reads what is there of `tokenizer_config.json`, `special_tokens_map.json`, `config.json` and `chat_template.jinja`.
    init(folder: String, files: TokenizerFolder, pipeline: TokenizerPipeline) throws {
        func id(_ role: String) -> Int? {
            if let token = files.token(role), let id = pipeline.id(token) { return id }
            // A model may have several tokens that end a sequence.
            guard let value = files.model?["\(role)_token_id"] else { return nil }
            guard let id = value.integer ?? value.array?.first?.integer, id >= 0 else { return nil }
            return id
        }
        let config = files.config
        padId = id("pad") ?? pipeline.paddingId
        bosId = id("bos")
        eosId = id("eos")
        clsId = id("cls")
        sepId = id("sep")
        unkId = id("unk")
        maskId = id("mask")
        cleansUpSpaces = config?["clean_up_tokenization_spaces"]?.bool ?? false
        if let length = config?["model_max_length"]?.integer, (1...100_000_000).contains(length) {
            maximumLength = length
        }
        chatTemplate = try Self.chatTemplate(folder: folder, config: config)
    }

    private static func chatTemplate(folder: String, config: JSON?) throws -> String? {
        let path = folder + "/chat_template.jinja"
        if FileManager.default.fileExists(atPath: path) {
            guard let data = FileManager.default.contents(atPath: path), data.count <= 16 << 20,
                let text = String(validating: data, as: UTF8.self)
            else { throw HoneError(.badFile, "is not valid UTF-8 of at most 16 MiB", file: path) }
            return text
        }
        guard let template = config?["chat_template"] else { return nil }
        if let text = template.string { return text }
        let named = template.array ?? []
        return (named.first { $0["name"]?.string == "default" } ?? named.first)?["template"]?.string
    }
}
