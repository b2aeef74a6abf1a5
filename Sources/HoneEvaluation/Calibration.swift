import HoneFormats

/// One bin of a reliability diagram: the examples whose confidence lies in `(low, high]`.
public struct ReliabilityBin: Hashable, Sendable, Codable {
    /// The lower end of the bin, not included except in the first.
    public var low: Double
    /// The upper end of the bin, included.
    public var high: Double
    /// How many examples fall into the bin.
    public var count: Int
    /// The mean confidence of these examples; NaN where there are none (`null` in JSON).
    public var meanConfidence: Double
    /// The share of these examples that is right; NaN where there are none (`null` in JSON).
    public var accuracy: Double

    /// A bin of a reliability diagram.
    public init(low: Double, high: Double, count: Int, meanConfidence: Double, accuracy: Double) {
        self.low = low
        self.high = high
        self.count = count
        self.meanConfidence = meanConfidence
        self.accuracy = accuracy
    }

    /// The bin as JSON.
    public var json: JSON {
        [
            "low": .finite(low), "high": .finite(high), "count": .integer(count),
            "confidence": .finite(meanConfidence), "accuracy": .finite(accuracy),
        ]
    }

    private enum CodingKeys: String, CodingKey { case low, high, count, confidence, accuracy }

    /// Encodes the bin with the keys of `json`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(low, forKey: .low)
        try container.encode(high, forKey: .high)
        try container.encode(count, forKey: .count)
        try container.encode(meanConfidence.isFinite ? meanConfidence : nil, forKey: .confidence)
        try container.encode(accuracy.isFinite ? accuracy : nil, forKey: .accuracy)
    }

    /// Decodes what `encode` writes.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        low = try container.decode(Double.self, forKey: .low)
        high = try container.decode(Double.self, forKey: .high)
        count = try container.decode(Int.self, forKey: .count)
        meanConfidence = try container.decode(Double?.self, forKey: .confidence) ?? .nan
        accuracy = try container.decode(Double?.self, forKey: .accuracy) ?? .nan
    }
}

/// How well confidences match how often a classifier is right.
///
/// Guo et al., "On calibration of modern neural networks", ICML 2017, equations 2 and 3: bins of equal width on the top
/// probability, closed on the right; the expected calibration error is the mean over the examples of the absolute
/// difference between a bin's accuracy and its mean confidence.
public struct Calibration: Hashable, Sendable {
    /// The bins from low confidence to high, empty ones included.
    public let bins: [ReliabilityBin]
    /// The expected calibration error, from 0 to 1, with its interval.
    ///
    /// The bootstrap tends to centre above the value, because noise within bins only ever adds to this error.
    public let expectedCalibrationError: Interval

    /// Measures the calibration of a classifier.
    /// - Parameters:
    ///   - confidences: the top probability of each example.
    ///   - correctness: whether each example was right; must be as many, else nothing is measured.
    ///   - binCount: how many bins; at least 1 is used.
    ///   - bootstrap: how the interval is drawn.
    public init(confidences: [Double], correctness: [Bool], binCount: Int = 15, bootstrap: Bootstrap = Bootstrap()) {
        let binCount = max(binCount, 1)
        let pairs = confidences.count == correctness.count ? Array(zip(confidences, correctness)) : []
        let homes = pairs.map { Self.bin(of: $0.0, count: binCount) }
        var counts = [Int](repeating: 0, count: binCount)
        var confidenceSums = [Double](repeating: 0, count: binCount)
        var rights = [Double](repeating: 0, count: binCount)
        for (home, (confidence, right)) in zip(homes, pairs) {
            counts[home] += 1
            confidenceSums[home] += confidence
            rights[home] += right ? 1 : 0
        }
        bins = (0..<binCount).map { index in
            let count = Double(counts[index])
            return ReliabilityBin(
                low: Double(index) / Double(binCount), high: Double(index + 1) / Double(binCount), count: counts[index],
                meanConfidence: confidenceSums[index] / count, accuracy: rights[index] / count)
        }
        let gaps = pairs.map { ($0.1 ? 1 : 0) - $0.0 }
        let total = Double(pairs.count)
        var sums = [Double](repeating: 0, count: binCount)
        expectedCalibrationError = bootstrap.statistic(count: pairs.count, stream: "calibration") { indices in
            for bin in sums.indices { sums[bin] = 0 }
            for index in indices { sums[homes[index]] += gaps[index] }
            return sums.reduce(0) { $0 + abs($1) } / total
        }
    }

    /// The bin of a confidence: the first whose upper end is not below it. What is not a number goes to the first.
    static func bin(of confidence: Double, count: Int) -> Int {
        guard confidence > 0 else { return 0 }
        return Int(min((confidence * Double(count)).rounded(.up) - 1, Double(count - 1)))
    }
}
