import HoneFormats

/// Percentile bootstrap intervals that are the same each time.
///
/// Examples are drawn with replacement, as many as there are; the figure is computed on each such resample, and the
/// interval holds the middle `confidence` of those figures. Percentiles interpolate linearly between order statistics
/// (type 7 of Hyndman and Fan, NumPy's default). Efron and Tibshirani, "An introduction to the bootstrap", 1993,
/// chapter 13.
///
/// Each figure draws from a random stream of its own name, so adding one figure to a report never moves another.
public struct Bootstrap: Hashable, Sendable {
    /// How many resamples are drawn.
    public var resamples: Int
    /// The coverage of the intervals, between 0 and 1.
    public var confidence: Double
    /// The seed of the run.
    public var seed: UInt64

    /// Settings of intervals: 2,000 resamples and 95 % unless told otherwise; at least one resample is drawn.
    public init(seed: UInt64 = 0, resamples: Int = 2000, confidence: Double = 0.95) {
        self.seed = seed
        self.resamples = max(resamples, 1)
        self.confidence = confidence
    }

    /// The interval of a proportion, such as accuracy or exact match.
    ///
    /// The number of counted items in a resample follows a binomial distribution, so it is drawn at once instead of
    /// item by item. Where all or none are counted every resample is the same and says nothing about the uncertainty;
    /// there Wilson's interval is given instead.
    /// - Parameters:
    ///   - count: how many items are counted; clamped to `0...total`.
    ///   - total: how many items there are; with none the result is `Interval.none`.
    ///   - stream: the name of the random stream.
    public func proportion(_ count: Int, of total: Int, stream: String = "proportion") -> Interval {
        guard total > 0 else { return .none }
        guard count > 0, count < total else {
            return .wilson(count: count, total: total, confidence: confidence)
        }
        let value = Double(count) / Double(total)
        let cumulative = BinomialDistribution.cumulative(trials: total, probability: value)
        var generator = SeededGenerator(seed: seed, stream: "bootstrap " + stream)
        let figures = (0..<resamples).map { _ in
            let drawn = generator.uniform()
            return Double(min(firstIndex(above: drawn, in: cumulative), total)) / Double(total)
        }
        return interval(value: value, figures: figures)
    }

    /// The interval of a mean; `Interval.none` of no values.
    public func mean(of values: [Double], stream: String = "mean") -> Interval {
        guard !values.isEmpty else { return .none }
        let count = Double(values.count)
        let value = values.reduce(0, +) / count
        let figures = resample(count: values.count, stream: stream) { indices in
            var sum = 0.0
            for index in indices { sum += values[index] }
            return sum / count
        }
        return interval(value: value, figures: figures)
    }

    /// The interval of the quotient of two sums over the same examples, such as loss per token.
    ///
    /// Whole examples are drawn, each with its own denominator: the tokens of one example are not independent.
    /// - Parameters:
    ///   - numerators: one number per example.
    ///   - denominators: one number per example; where they sum to nothing the quotient is NaN.
    /// - Returns: the quotient of the sums; `Interval.none` if the counts differ or there are no examples.
    public func ratio(_ numerators: [Double], over denominators: [Double], stream: String = "ratio") -> Interval {
        guard !numerators.isEmpty, numerators.count == denominators.count else { return .none }
        let value = numerators.reduce(0, +) / denominators.reduce(0, +)
        let figures = resample(count: numerators.count, stream: stream) { indices in
            var numerator = 0.0
            var denominator = 0.0
            for index in indices {
                numerator += numerators[index]
                denominator += denominators[index]
            }
            return numerator / denominator
        }
        return interval(value: value, figures: figures)
    }

    /// The interval of any figure.
    /// - Parameters:
    ///   - count: how many examples there are; with none the result is `Interval.none`.
    ///   - stream: the name of the random stream.
    ///   - statistic: the figure of the examples with the given indices, of which there are `count`, some repeated.
    public func statistic(count: Int, stream: String, _ statistic: (ArraySlice<Int>) -> Double) -> Interval {
        guard count > 0 else { return .none }
        return interval(
            value: statistic(ArraySlice(0..<count)),
            figures: resample(count: count, stream: stream, statistic))
    }

    /// The figure of each resample. One buffer of indices is used again for all of them.
    func resample(count: Int, stream: String, _ statistic: (ArraySlice<Int>) -> Double) -> [Double] {
        var generator = SeededGenerator(seed: seed, stream: "bootstrap " + stream)
        var indices = [Int](repeating: 0, count: count)
        return (0..<resamples).map { _ in
            indices.withUnsafeMutableBufferPointer { buffer in
                for position in buffer.indices { buffer[position] = generator.below(count) }
            }
            return statistic(indices[...])
        }
    }

    /// The interval around a value whose ends are percentiles of the resamples' figures.
    ///
    /// Figures that are not finite are left out: they come from resamples on which the figure does not exist.
    func interval(value: Double, figures: [Double]) -> Interval {
        let sorted = figures.filter(\.isFinite).sorted()
        guard !sorted.isEmpty else { return Interval(value: value, low: .nan, high: .nan) }
        let tail = (1 - min(max(confidence, 0), 1)) / 2
        return Interval(
            value: value, low: Self.percentile(tail, ofSorted: sorted),
            high: Self.percentile(1 - tail, ofSorted: sorted))
    }

    /// The number below which a share of the sorted numbers lies, with linear interpolation; NaN of no numbers.
    static func percentile(_ share: Double, ofSorted sorted: [Double]) -> Double {
        guard let last = sorted.last else { return .nan }
        let position = min(max(share, 0), 1) * Double(sorted.count - 1)
        let below = Int(position)
        guard below + 1 < sorted.count else { return last }
        return sorted[below] + (position - Double(below)) * (sorted[below + 1] - sorted[below])
    }

    private func firstIndex(above drawn: Double, in cumulative: [Double]) -> Int {
        var low = 0
        var high = cumulative.count
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] > drawn { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
