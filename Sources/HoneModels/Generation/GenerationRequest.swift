import HoneFormats

/// One prompt to go on from; of an encoder-decoder, one input to answer.
public struct GenerationRequest {
    /// The prompt's tokens; at least one.
    public var prompt: [Int]
    /// What the draws depend on besides the seed, so that a row's text is the same in any batch; the request's place where absent.
    public var stream: Int?
    /// What may come next; every token where absent.
    public var constraint: (any TokenConstraint)?
    /// What the encoder of an encoder-decoder reads; its prompt is then what the decoder starts from.
    var input: [Int]?

    /// A request for texts after a prompt.
    public init(prompt: [Int], stream: Int? = nil, constraint: (any TokenConstraint)? = nil) {
        self.prompt = prompt
        self.stream = stream
        self.constraint = constraint
    }
}

/// One text that a model has written.
public struct GeneratedText: Hashable, Sendable {
    /// Why a text ended.
    public enum Ending: Hashable, Sendable {
        /// The model made this end token.
        case endToken(Int)
        /// The text held this string.
        case stopString(String)
        /// As many tokens as were allowed, or as the model has positions for.
        case length
        /// Somebody asked to stop.
        case interrupted

        /// The word for it in JSON: `end`, `stop`, `length`, `interrupted`.
        public var word: String {
            switch self {
            case .endToken: "end"
            case .stopString: "stop"
            case .length: "length"
            case .interrupted: "interrupted"
            }
        }
    }

    /// The tokens made, without the end token. Of a stop string all tokens are there that were needed to see it.
    public var tokens: [Int]
    /// The text after the prompt, cut before a stop string; empty where no tokenizer was given.
    public var text: String
    /// Why it ended.
    public var ending: Ending
    /// The log-probability of each token under the model itself, where they were wanted.
    public var logProbabilities: [Double] = []
    /// The log-probability of the end token, where there is one and they were wanted.
    public var endLogProbability: Double?
    /// In a beam search, the score by which texts were ranked: the summed log-probability over the length to the power of the
    /// length penalty.
    public var score: Double?
}

/// A piece of a text, as it becomes certain: pieces never cut a character, and joined they are the text.
public struct GeneratedPiece: Sendable {
    /// The request that it belongs to, by its place.
    public var request: Int
    /// Which of the request's texts.
    public var sample: Int
    /// What has been written since the last piece.
    public var text: String
}
