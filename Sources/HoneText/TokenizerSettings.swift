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
    /// The Jinja text of the chat template; of several the one called `default`. `ChatTemplateFolder` has them all.
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
        let templates = try ChatTemplateFolder(folder, files: files).entries
        chatTemplate = (templates.first { $0.name == "default" } ?? templates.first)?.source
    }
}
