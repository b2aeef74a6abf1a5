import HoneFormats

/// How a model writes: how tokens are chosen, and what ends a text.
///
/// Where transformers has a setting of the same name, it means the same here and acts in the same order: repetition penalty, least
/// length, constraint; then, where tokens are drawn, temperature, top-k, top-p, min-p.
public struct GenerationOptions: Hashable, Sendable {
    /// When a beam search that has as many finished texts as beams is over.
    public enum EarlyStopping: String, Hashable, Sendable, CaseIterable {
        /// At once.
        case atOnce = "true"
        /// When the best unfinished text, scored at its present length, is no better than the worst finished one.
        case likely = "false"
        /// When no unfinished text can become better, scored at the length that is best for it.
        case never
    }

    /// The most tokens that are added to a prompt.
    public var maximumNewTokens = 64
    /// So many tokens are made before an end token may come.
    public var minimumNewTokens = 0
    /// 0 takes the likeliest token; above it, scores are divided by it before drawing.
    public var temperature = 0.0
    /// Draw among so many likeliest tokens; 0 for all.
    public var topK = 0
    /// Draw among the likeliest tokens that together reach this probability (Holtzman et al. 2020); 0 for the likeliest alone.
    public var topP = 1.0
    /// Draw among the tokens that have at least this share of the likeliest one's probability (Nguyen et al. 2024).
    public var minP = 0.0
    /// Scores of tokens that the row holds already, prompt included, are divided by this where positive and multiplied where
    /// negative (Keskar et al. 2019).
    public var repetitionPenalty = 1.0
    /// Tokens that end a text; they are not part of it.
    public var stopIds: Set<Int> = []
    /// Strings that end a text as soon as it holds one of them; the text is cut before it.
    public var stopStrings: [String] = []
    /// How many texts are pursued side by side in a beam search; 1 for none.
    public var beams = 1
    /// A finished text's score is its summed log-probability divided by its length to this power.
    public var lengthPenalty = 1.0
    /// When a beam search is over.
    public var earlyStopping = EarlyStopping.likely
    /// How many texts are wanted of each prompt: drawn ones, or the best beams.
    public var samples = 1
    /// Whether the log-probability of each token is wanted: that under the model itself, before penalties and temperature.
    public var wantsLogProbabilities = false
    /// The most tokens that are guessed from what the text holds already and read together (prompt lookup, Saxena 2023), where one
    /// greedy text is written: the tokens are the same, fewer steps make them. 0 for none.
    public var guesses = 0
    /// The seed of the draws.
    public var seed: UInt64 = 0

    /// Greedy generation of at most 64 tokens.
    public init() {}

    /// Whether tokens are drawn.
    public var isSampling: Bool { temperature > 0 }

    /// Checks that each value is within its bounds and that they go together.
    ///
    /// - Throws: `HoneError` with code `.usage` that names the option as the command spells it.
    public func check() throws {
        func require(_ isMet: Bool, _ item: String, _ message: String) throws {
            guard isMet else { throw HoneError(.usage, message, item: item) }
        }
        func whole(_ value: Int, _ bounds: ClosedRange<Int>, _ item: String) throws {
            try require(
                bounds.contains(value), item, "must be from \(bounds.lowerBound) to \(bounds.upperBound), not \(value)")
        }
        func real(_ value: Double, _ bounds: ClosedRange<Double>, _ item: String) throws {
            try require(
                bounds.contains(value), item, "must be from \(bounds.lowerBound) to \(bounds.upperBound), not \(value)")
        }
        try whole(maximumNewTokens, 1...1 << 20, "--max-tokens")
        try whole(minimumNewTokens, 0...maximumNewTokens, "--min-tokens")
        try real(temperature, 0...100, "--temperature")
        try whole(topK, 0...1 << 24, "--top-k")
        try real(topP, 0...1, "--top-p")
        try real(minP, 0...1, "--min-p")
        try real(repetitionPenalty, 0.01...100, "--repetition-penalty")
        try whole(beams, 1...256, "--beams")
        try whole(samples, 1...1024, "--samples")
        try real(lengthPenalty, -100...100, "--length-penalty")
        try require(stopStrings.count <= 64, "--stop", "at most 64 strings can be given")
        try require(
            stopStrings.allSatisfy { (1...4096).contains($0.utf8.count) }, "--stop",
            "a string must have from 1 to 4096 bytes")
        try whole(guesses, 0...64, "--guesses")
        try require(
            guesses == 0 || (beams == 1 && !isSampling), "--guesses",
            "helps where the likeliest token is taken; leave out --temperature and --beams")
        try require(
            beams == 1 || temperature == 0, "--beams", "a beam search draws nothing; leave --temperature at 0")
        try require(
            beams == 1 || samples <= beams, "--samples", "a search with \(beams) beams finds no more texts than that")
        try require(
            isSampling || beams > 1 || samples == 1, "--samples",
            "without --temperature above 0 or --beams, all texts of a prompt would be the same")
        try require(
            isSampling || (topK == 0 && topP == 1 && minP == 0), "--temperature",
            "must be above 0 where --top-k, --top-p or --min-p are given; at 0 the likeliest token is taken")
    }
}
