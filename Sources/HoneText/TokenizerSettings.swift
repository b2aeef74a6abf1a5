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
    /// The Jinja text of the chat template: from `chat_template.jinja`, or from `tokenizer_config.json`, where of several
    /// the one called `default` is taken.
    public var chatTemplate: String?

    /// Nothing known.
    public init() {}

    /// Reads what is there of `tokenizer_config.json`, `special_tokens_map.json`, `config.json` and `chat_template.jinja`.
    init(folder: String, pipeline: TokenizerPipeline) throws {
        func read(_ name: String) throws -> JSON? {
            let path = folder + "/" + name
            guard FileManager.default.fileExists(atPath: path) else { return nil }
            let value = try JSON.read(file: path)
            guard value.object != nil else {
                throw HoneError(.badFile, "should hold an object, found \(value.kind)", file: path)
            }
            return value
        }
        let config = try read("tokenizer_config.json")
        let map = try read("special_tokens_map.json")
        let model = try read("config.json")

        func id(_ role: String) -> Int? {
            for source in [config, map] {
                // A token is a string, or an object that describes it.
                guard let value = source?["\(role)_token"] else { continue }
                if let content = value.string ?? value["content"]?.string, let id = pipeline.id(content) { return id }
            }
            // A model may have several tokens that end a sequence.
            guard let value = model?["\(role)_token_id"] else { return nil }
            guard let id = value.integer ?? value.array?.first?.integer, id >= 0 else { return nil }
            return id
        }
        padId = id("pad")
        bosId = id("bos")
        eosId = id("eos")
        clsId = id("cls")
        sepId = id("sep")
        unkId = id("unk")
        maskId = id("mask")
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
