import Foundation

/// Student's t distribution.
enum StudentDistribution {
    /// The share of the distribution above a deviate of zero or more: half the regularised incomplete beta function
    /// (Abramowitz and Stegun, 26.7.1).
    static func upperTail(_ deviate: Double, degrees: Double) -> Double {
        incompleteBeta(degrees / (degrees + deviate * deviate), degrees / 2, 0.5) / 2
    }

    /// The deviate below which a share of the distribution lies, found by bisection; NaN without degrees of freedom.
    static func quantile(_ probability: Double, degrees: Double) -> Double {
        guard degrees > 0, probability > 0, probability < 1 else { return .nan }
        if probability < 0.5 { return -quantile(1 - probability, degrees: degrees) }
        var low = 0.0
        var high = 1.0
        while upperTail(high, degrees: degrees) > 1 - probability, high < 1e300 { high *= 2 }
        while true {
            let middle = (low + high) / 2
            guard middle > low, middle < high else { return high }
            if upperTail(middle, degrees: degrees) > 1 - probability { low = middle } else { high = middle }
        }
    }

    /// The regularised incomplete beta function by its continued fraction (Abramowitz and Stegun, 26.5.8), evaluated from
    /// the front with Lentz's method.
    private static func incompleteBeta(_ x: Double, _ a: Double, _ b: Double) -> Double {
        guard x > 0 else { return 0 }
        guard x < 1 else { return 1 }
        // The fraction converges fast on this side of the mean.
        if x > (a + 1) / (a + b + 2) { return 1 - incompleteBeta(1 - x, b, a) }
        let front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)) / a
        let tiny = 1e-300
        var (fraction, c, d) = (1.0, 1.0, 0.0)
        for step in 0..<500 {
            let half = Double(step / 2)
            let numerator: Double
            if step == 0 {
                numerator = 1
            } else if step % 2 == 0 {
                numerator = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
            } else {
                numerator = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
            }
            d = 1 + numerator * d
            d = 1 / (abs(d) < tiny ? tiny : d)
            c = 1 + numerator / c
            if abs(c) < tiny { c = tiny }
            fraction *= c * d
            if abs(1 - c * d) < 1e-15 { break }
        }
        return front * (fraction - 1)
    }
}

extension Interval {
    /// The mean of a few independent measurements, such as runs with several seeds, with Student's interval.
    ///
    /// - Parameters:
    ///   - measurements: the figures; with one, the ends are the value, and with none the result is `Interval.none`.
    ///   - confidence: the coverage, between 0 and 1.
    public static func student(_ measurements: [Double], confidence: Double = 0.95) -> Interval {
        guard !measurements.isEmpty else { return .none }
        let count = Double(measurements.count)
        let mean = measurements.reduce(0, +) / count
        guard measurements.count > 1 else { return Interval(exactly: mean) }
        let variance = measurements.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / (count - 1)
        let half =
            StudentDistribution.quantile(0.5 + confidence / 2, degrees: count - 1) * (variance / count).squareRoot()
        return Interval(value: mean, low: mean - half, high: mean + half)
    }
}
