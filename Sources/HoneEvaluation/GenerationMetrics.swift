import Foundation
import HoneFormats

/// The loss of one example: the negative log-likelihood of its target, summed over the target's tokens.
public struct TokenLoss: Hashable, Sendable {
    /// The sum of the tokens' negative log-likelihoods, in nats.
    public var sum: Double
    /// How many target tokens were scored.
    public var tokens: Int

    /// The loss of an example.
    public init(sum: Double, tokens: Int) {
        self.sum = sum
        self.tokens = tokens
    }
}

/// Everything that is measured about a generator on one set of examples.
public struct GenerationMetrics: Hashable, Sendable {
    /// How many examples were measured.
    public let count: Int
    /// The share of outputs that equal a reference after `normalised`; nil where nothing was generated.
    public let exactMatch: Interval?
    /// Whether each output equals a reference; empty where nothing was generated.
    public let matches: [Bool]
    /// The mean negative log-likelihood of a target token, in nats: all tokens weigh the same. nil without losses.
    public let loss: Interval?
    /// The exponential of `loss`; nil without losses.
    public let perplexity: Interval?
    /// How many target tokens were scored.
    public let tokens: Int

    /// Measures a generator. Intervals draw whole examples, because the tokens of one are not independent.
    /// - Parameters:
    ///   - outputs: the generated text of each example; leave empty where nothing was generated.
    ///   - references: for each output the texts that count as right.
    ///   - losses: the loss of each example's target; leave empty where nothing was scored.
    ///   - bootstrap: how the intervals are drawn.
    /// - Throws: `HoneError` of kind `badData` if the counts differ or a token count is negative.
    public init(
        outputs: [String] = [], references: [[String]] = [], losses: [TokenLoss] = [],
        bootstrap: Bootstrap = Bootstrap()
    ) throws {
        guard outputs.count == references.count else {
            throw HoneError(.badData, "there are \(outputs.count) outputs but \(references.count) references")
        }
        guard outputs.isEmpty || losses.isEmpty || outputs.count == losses.count else {
            throw HoneError(.badData, "there are \(outputs.count) outputs but \(losses.count) losses")
        }
        if let bad = losses.firstIndex(where: { $0.tokens < 0 }) {
            throw HoneError(.badData, "the loss of example \(bad + 1) has a negative number of tokens")
        }
        count = max(outputs.count, losses.count)
        matches = zip(outputs, references).map { output, references in
            let wanted = Self.normalised(output)
            return references.contains { Self.normalised($0) == wanted }
        }
        exactMatch =
            matches.isEmpty
            ? nil : bootstrap.proportion(matches.count { $0 }, of: matches.count, stream: "exact match")
        let loss =
            losses.isEmpty
            ? nil
            : bootstrap.ratio(losses.map(\.sum), over: losses.map { Double($0.tokens) }, stream: "token loss")
        self.loss = loss
        perplexity = loss?.mapIncreasing { exp($0) }
        tokens = losses.reduce(0) { $0 &+ $1.tokens }
    }

    /// What exact match compares: the text without white space and line breaks at both ends.
    ///
    /// Nothing else is changed: case, punctuation and inner spaces count. Texts that differ only in how Unicode
    /// composes their characters are equal, as Swift compares strings.
    public static func normalised(_ text: String) -> String {
        text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The figures as JSON.
    public var json: JSON {
        var object = JSONObject()
        object["count"] = .integer(count)
        object["exact_match"] = exactMatch?.json
        object["loss"] = loss?.json
        object["perplexity"] = perplexity?.json
        if loss != nil { object["tokens"] = .integer(tokens) }
        return .object(object)
    }
}

/// Sums and means of log-likelihoods, such as of the right answers of a choice task or of a whole corpus.
public struct LogLikelihoodMetrics: Hashable, Sendable {
    /// The sum over all examples, in nats.
    public let total: Double
    /// The mean over the examples, in nats.
    public let perExample: Interval
    /// The mean over the tokens, in nats; NaN without tokens.
    public let perToken: Interval
    /// Bits needed per UTF-8 byte, which compares models of different tokenizers; nil where no bytes were given.
    public let bitsPerByte: Interval?

    /// Aggregates log-likelihoods.
    /// - Parameters:
    ///   - logLikelihoods: of each example, summed over its tokens, in nats.
    ///   - tokens: the number of tokens of each example.
    ///   - bytes: the number of UTF-8 bytes of each example, where wanted.
    ///   - bootstrap: how the intervals are drawn.
    /// - Throws: `HoneError` of kind `badData` if the counts differ.
    public init(
        logLikelihoods: [Double], tokens: [Int], bytes: [Int]? = nil, bootstrap: Bootstrap = Bootstrap()
    ) throws {
        guard tokens.count == logLikelihoods.count, bytes == nil || bytes?.count == logLikelihoods.count else {
            throw HoneError(.badData, "log-likelihoods, token counts and byte counts differ in number")
        }
        total = logLikelihoods.reduce(0, +)
        perExample = bootstrap.mean(of: logLikelihoods, stream: "log-likelihood")
        perToken = bootstrap.ratio(logLikelihoods, over: tokens.map(Double.init), stream: "log-likelihood per token")
        bitsPerByte = bytes.map { bytes in
            bootstrap.ratio(
                logLikelihoods.map { -$0 / M_LN2 }, over: bytes.map(Double.init), stream: "bits per byte")
        }
    }
}
