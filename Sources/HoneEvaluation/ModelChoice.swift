import HoneFormats

/// What a method scored on each validation example.
public enum ValidationScores: Hashable, Sendable {
    /// Whether each example was right; more is better.
    case correctness([Bool])
    /// The loss of each example; less is better.
    case losses([Double])
    /// The loss of each example summed over its tokens, compared per token; less is better.
    case tokenLosses([TokenLoss])

    /// How many examples were scored.
    public var count: Int {
        switch self {
        case .correctness(let values): values.count
        case .losses(let values): values.count
        case .tokenLosses(let values): values.count
        }
    }

    /// The figure that the choice goes by: accuracy, mean loss, or loss per token; NaN without examples.
    public var mean: Double {
        switch self {
        case .correctness(let values): Double(values.count { $0 }) / Double(values.count)
        case .losses(let values): values.reduce(0, +) / Double(values.count)
        case .tokenLosses(let values):
            values.reduce(0) { $0 + $1.sum } / values.reduce(0) { $0 + Double($1.tokens) }
        }
    }

    /// Whether a larger mean is better.
    public var higherIsBetter: Bool {
        if case .correctness = self { true } else { false }
    }

    /// What the mean is called: "accuracy", "loss", "loss per token".
    public var name: String {
        switch self {
        case .correctness: "accuracy"
        case .losses: "loss"
        case .tokenLosses: "loss per token"
        }
    }

    /// Tests for a difference from other scores of the same examples; positive differences favour this side.
    /// - Throws: `HoneError` of kind `mismatch` if kinds, numbers of examples or numbers of tokens differ, of kind
    ///   `notFinite` if a loss is not finite.
    public func compared(with other: ValidationScores, bootstrap: Bootstrap = Bootstrap()) throws -> Comparison {
        switch (self, other) {
        case (.correctness(let first), .correctness(let second)):
            return try Comparison(correctness: first, against: second, bootstrap: bootstrap)
        case (.losses(let first), .losses(let second)):
            return try Comparison(scores: second, against: first, bootstrap: bootstrap)
        case (.tokenLosses(let first), .tokenLosses(let second)):
            guard first.map(\.tokens) == second.map(\.tokens) else {
                throw HoneError(.mismatch, "losses per token of different tokens cannot be compared")
            }
            return try Comparison(
                scores: second.map(\.sum), against: first.map(\.sum), weights: first.map { Double($0.tokens) },
                bootstrap: bootstrap)
        default:
            throw HoneError(.mismatch, "\(name) and \(other.name) cannot be compared")
        }
    }

    /// Whether these scores are so far behind the best that going on is a waste: even the upper end of the paired
    /// bootstrap interval of the difference is below zero.
    ///
    /// Says no while there are fewer than `minimumCount` examples, where such intervals are too short.
    /// - Throws: as `compared(with:)`, except that losses that are not finite are behind any that are.
    public func isClearlyBehind(
        _ best: ValidationScores, minimumCount: Int = 20, bootstrap: Bootstrap = Bootstrap()
    ) throws -> Bool {
        if !mean.isFinite { return best.mean.isFinite }
        guard best.mean.isFinite, count >= minimumCount else { return false }
        return try compared(with: best, bootstrap: bootstrap).difference.high < 0
    }
}

/// The choice of one method among several by their validation scores: the cheapest that cannot be told from the best.
///
/// The best by mean sets the mark. A cheaper candidate wins if a paired test does not find it different from the best
/// at the given level, neither in its scores nor, where they are given, worse in its losses: classifiers that are right
/// equally often can still be told apart by how sure they are of what is right. Of several such, the cheapest. No correction for the number of tests is made: a correction would
/// only favour cheap methods more. With few validation examples little can be told apart; the sentence gives their
/// number.
public struct ModelChoice: Hashable, Sendable {
    /// One method that could be chosen.
    public struct Candidate: Hashable, Sendable {
        /// The name of the method.
        public var name: String
        /// The order of cost, cheapest first, as the caller sees it; equal ranks are ordered by the fields below.
        public var costRank: Int
        /// How many parameters were trained.
        public var trainedParameters: Int
        /// How long training took, in seconds.
        public var seconds: Double
        /// The scores on the validation examples, in the same order for all candidates.
        public var scores: ValidationScores
        /// The losses on the same examples, where the scores are something else.
        public var losses: ValidationScores?

        /// A method that could be chosen.
        public init(
            name: String, costRank: Int = 0, trainedParameters: Int = 0, seconds: Double = 0, scores: ValidationScores,
            losses: ValidationScores? = nil
        ) {
            self.losses = losses
            self.name = name
            self.costRank = costRank
            self.trainedParameters = trainedParameters
            self.seconds = seconds
            self.scores = scores
        }

        /// Whether this costs less: by rank, then parameters, then time.
        public func isCheaper(than other: Candidate) -> Bool {
            (costRank, trainedParameters, seconds) < (other.costRank, other.trainedParameters, other.seconds)
        }
    }

    /// The index of the chosen candidate.
    public let chosen: Int
    /// The index of the candidate with the best mean.
    public let best: Int
    /// The comparison of each candidate with the best; positive differences favour the candidate. nil for the best
    /// itself and for candidates whose scores are not finite.
    public let comparisons: [Comparison?]
    /// Why this one was chosen, with the numbers, in one or two sentences.
    public let explanation: String

    /// Chooses among candidates.
    /// - Parameters:
    ///   - candidates: at least one; all scored on the same examples.
    ///   - level: the p-value above which two candidates cannot be told apart.
    ///   - bootstrap: how intervals are drawn.
    /// - Throws: `HoneError` of kind `usage` without candidates, of kind `notFinite` if no candidate has a finite mean,
    ///   and as `ValidationScores.compared(with:)`.
    public init(_ candidates: [Candidate], level: Double = 0.05, bootstrap: Bootstrap = Bootstrap()) throws {
        guard !candidates.isEmpty else { throw HoneError(.usage, "there is no method to choose from") }
        let usable = candidates.indices.filter { candidates[$0].scores.mean.isFinite }
        let ordered = usable.sorted { first, second in
            let (a, b) = (candidates[first], candidates[second])
            if a.scores.mean != b.scores.mean {
                return (a.scores.mean > b.scores.mean) == a.scores.higherIsBetter
            }
            if a.isCheaper(than: b) != b.isCheaper(than: a) { return a.isCheaper(than: b) }
            return first < second
        }
        guard let best = ordered.first else {
            throw HoneError(.notFinite, "no method has a validation score that is a finite number")
        }
        let mark = candidates[best]
        var comparisons = [Comparison?](repeating: nil, count: candidates.count)
        for index in usable where index != best {
            comparisons[index] = try candidates[index].scores.compared(with: mark.scores, bootstrap: bootstrap)
        }
        let close = ordered.filter { index in
            guard let comparison = comparisons[index] else { return false }
            return comparison.pValue > level && candidates[index].isCheaper(than: mark)
        }
        var lossComparisons = [Comparison?](repeating: nil, count: candidates.count)
        for index in close {
            guard let own = candidates[index].losses, let wanted = mark.losses else { continue }
            guard own.mean.isFinite, wanted.mean.isFinite else { continue }
            lossComparisons[index] = try own.compared(with: wanted, bootstrap: bootstrap)
        }
        let equals = close.filter { index in
            guard let comparison = lossComparisons[index] else { return true }
            return comparison.pValue > level || comparison.difference.value >= 0
        }
        // `min` keeps the first of equals, which is the better one.
        let chosen = equals.min { candidates[$0].isCheaper(than: candidates[$1]) } ?? best
        self.best = best
        self.chosen = chosen
        self.comparisons = comparisons
        explanation =
            Explanation(
                candidates: candidates, ordered: ordered, best: best, chosen: chosen, comparisons: comparisons,
                lossComparisons: lossComparisons, level: level,
                confidence: bootstrap.confidence
            ).text
    }
}
