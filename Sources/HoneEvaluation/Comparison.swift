import HoneFormats

/// The difference between two methods measured on the same examples, and whether chance explains it.
public struct Comparison: Hashable, Sendable, Codable {
    /// A way of testing for a difference.
    public enum Method: String, Hashable, Sendable, Codable {
        /// McNemar's test with exact binomial probabilities.
        case mcNemarExact = "McNemar exact"
        /// McNemar's test with the mid-p correction, which is less conservative and rarely too liberal.
        case mcNemarMidP = "McNemar mid-p"
        /// Random sign flips of the paired differences.
        case signFlip = "sign-flip permutation"
        /// All sign flips of the paired differences.
        case exactSignFlip = "exact sign-flip permutation"
    }

    /// The mean of the first minus the mean of the second, with its paired bootstrap interval.
    public var difference: Interval
    /// The probability, if both were equally good, of a difference at least this large in either direction.
    public var pValue: Double
    /// Which test gave the p-value.
    public var method: Method

    /// A comparison with known figures.
    public init(difference: Interval, pValue: Double, method: Method) {
        self.difference = difference
        self.pValue = pValue
        self.method = method
    }

    /// Compares which of the same examples two classifiers got right: McNemar's test, difference of the accuracies.
    /// - Parameters:
    ///   - first: whether the first was right on each example.
    ///   - second: whether the second was, in the same order.
    ///   - midP: whether the p-value is the mid-p (the default) or the exact one.
    ///   - bootstrap: how the interval is drawn.
    /// - Throws: `HoneError` of kind `mismatch` if the numbers of examples differ or are zero.
    public init(
        correctness first: [Bool], against second: [Bool], midP: Bool = true, bootstrap: Bootstrap = Bootstrap()
    ) throws {
        try Self.check(first.count, second.count)
        let table = McNemar(first, second)
        let differences = zip(first, second).map { ($0 ? 1.0 : 0) - ($1 ? 1.0 : 0) }
        difference = bootstrap.mean(of: differences, stream: "paired difference")
        pValue = midP ? table.midP : table.exactP
        method = midP ? .mcNemarMidP : .mcNemarExact
    }

    /// Compares scores or losses of the same examples: sign-flip permutation test, difference of the means.
    /// - Parameters:
    ///   - first: one number per example.
    ///   - second: one number per example, in the same order.
    ///   - weights: what the differences are divided by in sum, such as token counts where the numbers are sums over
    ///     tokens; without it each example counts as one.
    ///   - flips: how many random flips are tried; where there are no more in total, all are tried.
    ///   - bootstrap: how the interval is drawn, and the seed of the flips.
    /// - Throws: `HoneError` of kind `mismatch` if the numbers of examples differ or are zero, of kind `notFinite` if a
    ///   difference is not finite.
    public init(
        scores first: [Double], against second: [Double], weights: [Double]? = nil, flips: Int = 9999,
        bootstrap: Bootstrap = Bootstrap()
    ) throws {
        try Self.check(first.count, second.count)
        try Self.check(first.count, weights?.count ?? first.count)
        let differences = zip(first, second).map { $0 - $1 }
        if let bad = differences.firstIndex(where: { !$0.isFinite }) {
            throw HoneError(
                .notFinite, "example \(bad + 1) has a score that is not finite, so methods cannot be compared")
        }
        if let weights {
            difference = bootstrap.ratio(differences, over: weights, stream: "paired difference")
        } else {
            difference = bootstrap.mean(of: differences, stream: "paired difference")
        }
        let test = SignFlipTest(differences: differences, flips: flips, seed: bootstrap.seed)
        pValue = test.pValue
        method = test.isExact ? .exactSignFlip : .signFlip
    }

    /// The comparison the other way round.
    public var reversed: Comparison { Comparison(difference: difference.negated, pValue: pValue, method: method) }

    /// The comparison as JSON.
    public var json: JSON {
        ["difference": difference.json, "p_value": .finite(pValue), "test": .string(method.rawValue)]
    }

    private static func check(_ first: Int, _ second: Int) throws {
        guard first == second, first > 0 else {
            throw HoneError(
                .mismatch, "a paired comparison needs the same examples on both sides, not \(first) and \(second)")
        }
    }
}
