import Foundation

/// The standard normal distribution.
enum NormalDistribution {
    /// The deviate below which a share `probability` of the distribution lies; infinite at 0 and 1, NaN outside.
    ///
    /// Found by bisection on the complementary error function: slower than a rational approximation, and exact to the
    /// last bits, which is what a function called once per interval should be.
    static func quantile(_ probability: Double) -> Double {
        guard probability >= 0, probability <= 1 else { return .nan }
        if probability == 0 { return -.infinity }
        if probability == 1 { return .infinity }
        if probability > 0.5 { return -quantile(1 - probability) }
        var low = -40.0
        var high = 0.0
        while true {
            let middle = (low + high) / 2
            guard middle > low, middle < high else { return high }
            if erfc(-middle / 2.0.squareRoot()) / 2 < probability { low = middle } else { high = middle }
        }
    }
}

/// The binomial distribution, accurate to about 14 digits for any number of trials.
///
/// Loader, "Fast and accurate computation of binomial probabilities", 2000: the probability is written with deviances,
/// so that no large logarithms cancel.
enum BinomialDistribution {
    /// The probability of exactly `count` successes in `trials` trials of probability `probability`.
    static func mass(_ count: Int, trials: Int, probability: Double) -> Double {
        guard count >= 0, count <= trials else { return 0 }
        if probability <= 0 { return count == 0 ? 1 : 0 }
        if probability >= 1 { return count == trials ? 1 : 0 }
        let all = Double(trials)
        let hits = Double(count)
        let misses = all - hits
        if count == 0 { return exp(all * log1p(-probability)) }
        if count == trials { return exp(all * log(probability)) }
        let exponent =
            stirlingError(trials) - stirlingError(count) - stirlingError(trials - count)
            - deviance(hits, all * probability) - deviance(misses, all * (1 - probability))
        return exp(exponent) * (all / (2 * Double.pi * hits * misses)).squareRoot()
    }

    /// The probability of at most `count` successes in `trials` trials of probability one half.
    static func lowerTailOfHalf(_ count: Int, trials: Int) -> Double {
        guard count >= 0 else { return 0 }
        guard count < trials else { return 1 }
        if 2 * count >= trials { return 1 - lowerTailOfHalf(trials - count - 1, trials: trials) }
        var term = mass(count, trials: trials, probability: 0.5)
        var sum = 0.0
        var successes = count
        while successes >= 0, term > sum * 1e-17, term > 0 {
            sum += term
            term *= Double(successes) / Double(trials - successes + 1)
            successes -= 1
        }
        return min(sum, 1)
    }

    /// The cumulative probabilities of 0, 1, ... `trials` successes, which make drawing a count one binary search.
    static func cumulative(trials: Int, probability: Double) -> [Double] {
        var sum = 0.0
        return (0...max(trials, 0)).map { count in
            sum += mass(count, trials: trials, probability: probability)
            return sum
        }
    }

    /// log(n!) - log(sqrt(2 pi n) (n / e)^n).
    private static func stirlingError(_ number: Int) -> Double {
        if number < 16 {
            guard number > 0 else { return 0 }
            let factorial = (1...number).reduce(1.0) { $0 * Double($1) }
            let n = Double(number)
            return log(factorial) - (0.5 * log(2 * Double.pi * n) + n * log(n) - n)
        }
        let inverse = 1 / Double(number)
        let square = inverse * inverse
        let tail = 1.0 / 1260 - (1.0 / 1680 - 1.0 / 1188 * square) * square
        return (1.0 / 12 - (1.0 / 360 - tail * square) * square) * inverse
    }

    /// x log(x / m) + m - x without cancellation where x is near m.
    private static func deviance(_ x: Double, _ mean: Double) -> Double {
        let difference = x - mean
        guard abs(difference) < 0.1 * (x + mean) else { return x * log(x / mean) + mean - x }
        let ratio = difference / (x + mean)
        var sum = difference * ratio
        var term = 2 * x * ratio
        let square = ratio * ratio
        for index in 1..<1000 {
            term *= square
            let next = sum + term / Double(2 * index + 1)
            if next == sum { break }
            sum = next
        }
        return sum
    }
}
