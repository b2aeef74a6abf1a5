import HoneFormats

/// McNemar's test: of the examples that exactly one of two classifiers got right, did one get more than half?
public struct McNemar: Hashable, Sendable {
    /// How many examples only the first got right.
    public var onlyFirst: Int
    /// How many examples only the second got right.
    public var onlySecond: Int

    /// The test on the counts of discordant examples; negative counts are taken as none.
    public init(onlyFirst: Int, onlySecond: Int) {
        self.onlyFirst = max(onlyFirst, 0)
        self.onlySecond = max(onlySecond, 0)
    }

    /// The test on which of the same examples each got right; what one side lacks is left out.
    public init(_ first: [Bool], _ second: [Bool]) {
        let pairs = zip(first, second)
        self.init(onlyFirst: pairs.count { $0 && !$1 }, onlySecond: pairs.count { !$0 && $1 })
    }

    /// The exact two-sided p-value: a binomial test of one half. 1 without discordant examples.
    public var exactP: Double { min(1, 2 * lowerTail) }

    /// The mid-p-value: the exact one minus the probability of the observed count.
    ///
    /// Fagerland, Lydersen and Laake, "The McNemar test for binary matched-pairs data: mid-p and asymptotic are better
    /// than exact conditional", BMC Medical Research Methodology 13:91, 2013, equation 6.
    public var midP: Double {
        guard onlyFirst + onlySecond > 0 else { return 1 }
        let observed = BinomialDistribution.mass(
            min(onlyFirst, onlySecond), trials: onlyFirst + onlySecond, probability: 0.5)
        return min(1, max(0, 2 * lowerTail - observed))
    }

    private var lowerTail: Double {
        BinomialDistribution.lowerTailOfHalf(min(onlyFirst, onlySecond), trials: onlyFirst + onlySecond)
    }
}

/// The sign-flip permutation test: if two methods are equally good, each paired difference could as well be of opposite
/// sign.
///
/// Two-sided on the sum of the differences. With few differences that are not zero all sign patterns are tried,
/// otherwise random ones, and the observed pattern counts as one of them, so that the p-value is never 0: Phipson and
/// Smyth, "Permutation p-values should never be zero", 2010.
public struct SignFlipTest: Hashable, Sendable {
    /// The p-value; 1 where all differences are zero.
    public let pValue: Double
    /// Whether all sign patterns were tried.
    public let isExact: Bool

    /// Tests paired differences.
    /// - Parameters:
    ///   - differences: one finite number per example.
    ///   - flips: how many random patterns are tried at most; at least 1.
    ///   - seed: the seed of the patterns.
    public init(differences: [Double], flips: Int = 9999, seed: UInt64 = 0) {
        let sizes = differences.filter { $0 != 0 }.map(abs)
        let observed = abs(differences.reduce(0, +))
        // Sums that differ only by the order of rounding count as equal.
        let bound = observed - 1e-12 * max(observed, sizes.reduce(0, +))
        guard !sizes.isEmpty else {
            pValue = 1
            isExact = true
            return
        }
        if sizes.count < 20, 1 << sizes.count <= max(flips, 1) {
            let patterns = 1 << sizes.count
            let extreme = (0..<patterns).count { pattern in
                var sum = 0.0
                for (bit, size) in sizes.enumerated() { sum += pattern >> bit & 1 == 0 ? size : -size }
                return abs(sum) >= bound
            }
            pValue = Double(extreme) / Double(patterns)
            isExact = true
            return
        }
        let flips = max(flips, 1)
        var generator = SeededGenerator(seed: seed, stream: "sign flips")
        var extreme = 0
        for _ in 0..<flips {
            var sum = 0.0
            var bits: UInt64 = 0
            for index in sizes.indices {
                if index & 63 == 0 { bits = generator.next() }
                // The lowest bit becomes the sign: a branch would be mispredicted half of the time.
                sum += Double(bitPattern: sizes[index].bitPattern ^ (bits << 63))
                bits >>= 1
            }
            if abs(sum) >= bound { extreme += 1 }
        }
        pValue = Double(extreme + 1) / Double(flips + 1)
        isExact = false
    }
}
