import HoneFormats

/// What a classifier said about each example, checked once so that every figure can rely on it.
public struct ClassificationOutcomes: Hashable, Sendable {
    /// The index of the right class of each example.
    public let labels: [Int]
    /// The index of the predicted class of each example.
    public let predictions: [Int]
    /// The predicted probabilities, row-major: `classCount` numbers for each example; empty where a method gives none.
    public let probabilities: [Float]
    /// How many classes there are.
    public let classCount: Int

    /// The outcomes of a classifier.
    /// - Parameters:
    ///   - labels: one class index per example.
    ///   - predictions: one class index per example; without them the most probable class counts as predicted, the
    ///     first of several equal ones.
    ///   - probabilities: row-major, examples times `classCount`; may be left out if predictions are given.
    ///   - classCount: how many classes there are.
    /// - Throws: `HoneError` of kind `badData` if counts differ, an index is not below `classCount`, there are over a
    ///   million classes, or a probability is not between 0 and 1 (rounding of 1e-3 is forgiven).
    public init(labels: [Int], predictions: [Int]? = nil, probabilities: [Float] = [], classCount: Int) throws {
        guard (0...1_000_000).contains(classCount) else {
            throw HoneError(.badData, "\(classCount) is no sensible number of classes")
        }
        let (expected, overflow) = labels.count.multipliedReportingOverflow(by: classCount)
        guard probabilities.isEmpty || (!overflow && probabilities.count == expected) else {
            throw HoneError(
                .badData,
                "\(labels.count) examples of \(classCount) classes do not fit \(probabilities.count) probabilities")
        }
        if let bad = probabilities.firstIndex(where: { !($0 >= -1e-3 && $0 <= 1.001) }) {
            throw HoneError(.badData, "a probability of example \(bad / max(classCount, 1) + 1) is not between 0 and 1")
        }
        guard predictions != nil || !probabilities.isEmpty || labels.isEmpty else {
            throw HoneError(.badData, "there are neither predictions nor probabilities")
        }
        let predictions = predictions ?? Self.mostProbable(probabilities, classCount: classCount)
        guard predictions.count == labels.count else {
            throw HoneError(.badData, "there are \(labels.count) labels but \(predictions.count) predictions")
        }
        for (what, indices) in [("label", labels), ("prediction", predictions)] {
            if let bad = indices.firstIndex(where: { $0 < 0 || $0 >= classCount }) {
                throw HoneError(
                    .badData,
                    "the \(what) of example \(bad + 1) is class \(indices[bad]), but there are \(classCount) classes")
            }
        }
        self.labels = labels
        self.predictions = predictions
        self.probabilities = probabilities
        self.classCount = classCount
    }

    /// The same from one array of probabilities per example.
    /// - Throws: `HoneError` of kind `badData` as above, and if a row does not have `classCount` numbers.
    public init(labels: [Int], predictions: [Int]? = nil, probabilityRows: [[Float]], classCount: Int) throws {
        if let bad = probabilityRows.firstIndex(where: { $0.count != classCount }) {
            throw HoneError(
                .badData,
                "example \(bad + 1) has \(probabilityRows[bad].count) probabilities, but there are \(classCount) classes"
            )
        }
        try self.init(
            labels: labels, predictions: predictions, probabilities: Array(probabilityRows.joined()),
            classCount: classCount)
    }

    /// How many examples there are.
    public var count: Int { labels.count }

    /// Whether each example was predicted right.
    public var correctness: [Bool] { zip(labels, predictions).map { $0 == $1 } }

    /// The highest probability of each example, which calibration calls the confidence; empty without probabilities.
    public var confidences: [Double] {
        guard hasProbabilities else { return [] }
        return labels.indices.map { Double(row($0).max() ?? 0) }
    }

    /// Whether there are probabilities.
    public var hasProbabilities: Bool { !probabilities.isEmpty && classCount > 0 }

    /// The negative logarithm of the right class's probability of each example, in nats; empty without probabilities.
    ///
    /// A probability is kept within [2^-52, 1 - 2^-52] first, as scikit-learn does for doubles.
    public var losses: [Double] {
        guard hasProbabilities else { return [] }
        return labels.indices.map { example in
            let probability = Double(probabilities[example * classCount + labels[example]])
            return -logarithm(min(max(probability, Double.ulpOfOne), 1 - Double.ulpOfOne))
        }
    }

    /// The sum over the classes of (probability - 1 if right, else 0) squared of each example; empty without
    /// probabilities.
    public var squaredErrors: [Double] {
        guard hasProbabilities else { return [] }
        return labels.indices.map { example in
            var sum = 0.0
            for (position, probability) in row(example).enumerated() {
                let error = Double(probability) - (position == labels[example] ? 1 : 0)
                sum += error * error
            }
            return sum
        }
    }

    /// The entropy of each example's probabilities, in nats; empty without probabilities.
    public var entropies: [Double] {
        guard hasProbabilities else { return [] }
        return labels.indices.map { example in
            row(example).reduce(0) { $1 > 0 ? $0 - Double($1) * logarithm(Double($1)) : $0 }
        }
    }

    private func row(_ example: Int) -> ArraySlice<Float> {
        probabilities[example * classCount..<(example + 1) * classCount]
    }

    private static func mostProbable(_ probabilities: [Float], classCount: Int) -> [Int] {
        guard classCount > 0 else { return [] }
        return stride(from: 0, to: probabilities.count, by: classCount).map { start in
            var best = start
            for index in start..<start + classCount where probabilities[index] > probabilities[best] { best = index }
            return best - start
        }
    }
}
