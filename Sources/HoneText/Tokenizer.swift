import Foundation
import HoneFormats

/// Turns text into the token ids of a model and back, as the model's `tokenizer.json` says.
///
///     let tokenizer = try Tokenizer(folder: "models/all-MiniLM-L6-v2")
///     tokenizer.encode("Hello, world!")      // [101, 7592, 1010, 2088, 999, 102]
///     tokenizer.decode([7592, 1010, 2088])   // "hello, world"
///
/// The stages are those of Hugging Face's `tokenizers`, and so are the ids: added tokens are found first; then a normalizer,
/// a pre-tokenizer, a model (WordPiece, byte-pair encoding or Unigram), and a post-processor that adds special tokens. The settings
/// `truncation` and `padding` of the file are ignored: a maximum length is given with each call, and batches are padded by
/// who makes them.
///
/// Text does not become special tokens unless the caller says that it is trusted, whatever it contains.
///
/// Immutable once loaded, so that any number of threads may use it at once.
public struct Tokenizer: Sendable {
    let pipeline: TokenizerPipeline
    /// Special tokens and what else the files beside `tokenizer.json` say.
    public let settings: TokenizerSettings

    /// Reads a `tokenizer.json`; the special tokens by role (`padId` and so on) stay unknown.
    ///
    /// - Throws: `HoneError` with `.fileSystem` where the file cannot be read, `.badFile` where it is damaged,
    ///   `.unsupported` where it uses a component that Hone does not have.
    public init(file path: String) throws {
        pipeline = try TokenizerPipeline(path: path)
        settings = TokenizerSettings()
    }

    /// Reads `tokenizer.json` from a model folder, and the roles of special tokens from `tokenizer_config.json`,
    /// `special_tokens_map.json` and `config.json` beside it, where they exist.
    ///
    /// As in transformers, tokens that these files name become special tokens; but one that the vocabulary does not have is
    /// ignored, because the model has no embedding for it.
    ///
    /// - Throws: as `init(file:)`, for each of the files.
    public init(folder: String) throws {
        let files = try TokenizerFolder(folder)
        pipeline = try TokenizerPipeline(path: folder + "/tokenizer.json", declared: files.tokens)
        settings = try TokenizerSettings(folder: folder, files: files, pipeline: pipeline)
    }

    /// How many tokens there are, added tokens included.
    public var vocabularySize: Int { pipeline.model.vocabulary.table.count + pipeline.added.additionalCount }

    /// The largest id of any token. An embedding needs at least one row more; ids may have holes.
    public var largestId: Int { max(pipeline.model.vocabulary.largestId, pipeline.added.largestId) }

    /// The ids of a text.
    ///
    /// - Parameters:
    ///   - addSpecialTokens: put the model's special tokens around the text, such as `[CLS]` and `[SEP]`.
    ///   - trusted: whether text such as `<|end|>` becomes the special token of that name. Only for what a program wrote, such
    ///     as a filled-in chat template: text of users must not be able to forge the structure of a prompt.
    public func encode(_ text: String, addSpecialTokens: Bool = true, trusted: Bool = false) -> [Int] {
        encoding(text, addSpecialTokens: addSpecialTokens, trusted: trusted).ids
    }

    /// The ids of each text; the same as one after the other, with less work for each.
    public func encode(_ texts: [String], addSpecialTokens: Bool = true, trusted: Bool = false) -> [[Int]] {
        var scratch = EncodingScratch()
        return texts.map { text in
            let tokens = pipeline.tokens(of: text, isTrusted: trusted, hasOffsets: false, &scratch)
            guard addSpecialTokens else { return tokens.ids }
            return pipeline.postProcessor.encoding(tokens, nil, addsSpecialTokens: true, truncation: Truncation()).ids
        }
    }

    /// The ids of a text with their types, cut to a length.
    ///
    /// - Parameters:
    ///   - maximumLength: the most ids to return, special tokens included. Those are always kept, so that a maximum below
    ///     their number is exceeded.
    ///   - side: the side that is cut off.
    ///   - offsets: also find out where in the text each token stands, which takes about twice as long.
    public func encoding(
        _ text: String, addSpecialTokens: Bool = true, trusted: Bool = false, maximumLength: Int? = nil,
        side: TruncationSide = .right, offsets: Bool = false
    ) -> Encoding {
        var scratch = EncodingScratch()
        return pipeline.postProcessor.encoding(
            pipeline.tokens(of: text, isTrusted: trusted, hasOffsets: offsets, &scratch), nil,
            addsSpecialTokens: addSpecialTokens, truncation: Truncation(maximumLength: maximumLength, side: side))
    }

    /// The ids of two texts in one sequence, such as a question and a passage, with their types.
    ///
    /// - Parameters:
    ///   - maximumLength: the most ids to return, special tokens included.
    ///   - side: the side of a text that is cut off.
    ///   - strategy: which text is cut.
    public func encodePair(
        _ first: String, _ second: String, addSpecialTokens: Bool = true, trusted: Bool = false,
        maximumLength: Int? = nil, side: TruncationSide = .right, strategy: TruncationStrategy = .longestFirst,
        offsets: Bool = false
    ) -> Encoding {
        var scratch = EncodingScratch()
        return pipeline.postProcessor.encoding(
            pipeline.tokens(of: first, isTrusted: trusted, hasOffsets: offsets, &scratch),
            pipeline.tokens(of: second, isTrusted: trusted, hasOffsets: offsets, &scratch),
            addsSpecialTokens: addSpecialTokens,
            truncation: Truncation(maximumLength: maximumLength, side: side, strategy: strategy))
    }

    /// The text of some ids; ids that no token has are left out.
    ///
    /// - Parameter skipSpecialTokens: leave out special tokens.
    public func decode(_ ids: [Int], skipSpecialTokens: Bool = true) -> String {
        let text = pipeline.decode(ids, skipsSpecial: skipSpecialTokens)
        guard settings.cleansUpSpaces, !pipeline.isBytePair else { return text }
        var bytes = Array(text.utf8)
        BlankCleanUp.text.apply(to: &bytes, from: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The token of an id, as the vocabulary writes it (`##ing`, `Ġthe`, `▁a`).
    public func token(_ id: Int) -> String? {
        if let added = pipeline.added.token(id: id) { return String(decoding: added.content, as: UTF8.self) }
        return pipeline.model.vocabulary.token(id: id).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The id of a token, as the vocabulary writes it.
    public func id(_ token: String) -> Int? { pipeline.id(token) }

    /// The id that fills up a batch.
    public var padId: Int? { settings.padId }
    /// The id that starts a sequence.
    public var bosId: Int? { settings.bosId }
    /// The id that ends a sequence.
    public var eosId: Int? { settings.eosId }
    /// The id of the token for classification, first in BERT's sequences.
    public var clsId: Int? { settings.clsId }
    /// The id that separates texts.
    public var sepId: Int? { settings.sepId }
    /// The id that stands for what has no token.
    public var unkId: Int? { settings.unkId }
    /// The id that hides a token.
    public var maskId: Int? { settings.maskId }
}
