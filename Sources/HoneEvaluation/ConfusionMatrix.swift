import HoneFormats

/// How often each class was predicted for each class. Only pairs that occur are kept, so many classes cost nothing.
public struct ConfusionMatrix: Hashable, Sendable, Codable {
    /// One pair of right and predicted class, and how often it occurred.
    public struct Cell: Hashable, Sendable, Codable {
        /// The index of the right class.
        public var label: Int
        /// The index of the predicted class.
        public var prediction: Int
        /// How many examples.
        public var count: Int

        /// A cell of the matrix.
        public init(label: Int, prediction: Int, count: Int) {
            self.label = label
            self.prediction = prediction
            self.count = count
        }
    }

    /// How many classes there are.
    public let classCount: Int
    /// The pairs that occur, by label, then by prediction.
    public let cells: [Cell]

    /// Counts the outcomes of a classifier.
    public init(_ outcomes: ClassificationOutcomes) {
        classCount = outcomes.classCount
        var counts: [Pair: Int] = [:]
        for (label, prediction) in zip(outcomes.labels, outcomes.predictions) {
            counts[Pair(label: label, prediction: prediction), default: 0] += 1
        }
        cells = counts.map { Cell(label: $0.key.label, prediction: $0.key.prediction, count: $0.value) }
            .sorted { ($0.label, $0.prediction) < ($1.label, $1.prediction) }
    }

    /// How many examples of class `label` were predicted as class `prediction`.
    public subscript(label: Int, prediction: Int) -> Int {
        cells.first { $0.label == label && $0.prediction == prediction }?.count ?? 0
    }

    /// The wrong pairs, the most frequent first; equal ones by index.
    public func mostConfused(limit: Int = .max) -> [Cell] {
        Array(
            cells.filter { $0.label != $0.prediction }
                .sorted { ($1.count, $0.label, $0.prediction) < ($0.count, $1.label, $1.prediction) }
                .prefix(max(limit, 0)))
    }

    /// The matrix as JSON: `{"classes": 3, "cells": [[label, prediction, count], ...]}`.
    public var json: JSON {
        [
            "classes": .integer(classCount),
            "cells": .array(cells.map { [.integer($0.label), .integer($0.prediction), .integer($0.count)] }),
        ]
    }

    private struct Pair: Hashable {
        var label: Int
        var prediction: Int
    }
}

/// Precision, recall and F1 of one class.
public struct ClassMetrics: Hashable, Sendable, Codable {
    /// The index of the class.
    public var label: Int
    /// The share of the class among the examples predicted as it; 0 where none was.
    public var precision: Double
    /// The share of the class's examples that were predicted as it; 0 where there are none.
    public var recall: Double
    /// The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); 0 where the class occurs in neither.
    public var f1: Double
    /// How many examples have this class.
    public var support: Int
    /// How many examples were predicted as this class.
    public var predicted: Int

    /// The figures of a class.
    public init(label: Int, precision: Double, recall: Double, f1: Double, support: Int, predicted: Int) {
        self.label = label
        self.precision = precision
        self.recall = recall
        self.f1 = f1
        self.support = support
        self.predicted = predicted
    }

    /// The figures as JSON, with scikit-learn's key names.
    public var json: JSON {
        [
            "class": .integer(label), "precision": .finite(precision), "recall": .finite(recall),
            "f1-score": .finite(f1),
            "support": .integer(support), "predicted": .integer(predicted),
        ]
    }
}

/// How many examples each class has, how many were predicted as it, and how many of these rightly.
struct ClassCounts {
    var supports: [Int]
    var predicted: [Int]
    var right: [Int]

    init(classCount: Int) {
        supports = [Int](repeating: 0, count: classCount)
        predicted = supports
        right = supports
    }

    init(_ outcomes: ClassificationOutcomes) {
        self.init(classCount: outcomes.classCount)
        for (label, prediction) in zip(outcomes.labels, outcomes.predictions) {
            add(label: label, prediction: prediction, count: 1)
        }
    }

    mutating func add(label: Int, prediction: Int, count: Int) {
        supports[label] += count
        predicted[prediction] += count
        if label == prediction { right[label] += count }
    }

    /// The unweighted mean of the F1 of the classes that occur as label or as prediction; NaN if none does.
    ///
    /// This is scikit-learn's `f1_score(labels, predictions, average="macro", zero_division=0)`.
    var macroF1: Double {
        var sum = 0.0
        var classes = 0
        for index in supports.indices {
            let total = supports[index] + predicted[index]
            guard total > 0 else { continue }
            classes += 1
            sum += Double(2 * right[index]) / Double(total)
        }
        return sum / Double(classes)
    }

    /// The figures of every class, in order.
    var classMetrics: [ClassMetrics] {
        supports.indices.map { index in
            let hits = Double(right[index])
            let total = supports[index] + predicted[index]
            return ClassMetrics(
                label: index,
                precision: predicted[index] > 0 ? hits / Double(predicted[index]) : 0,
                recall: supports[index] > 0 ? hits / Double(supports[index]) : 0,
                f1: total > 0 ? 2 * hits / Double(total) : 0,
                support: supports[index], predicted: predicted[index])
        }
    }
}
