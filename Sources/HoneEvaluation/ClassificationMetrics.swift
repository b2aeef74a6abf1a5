import Foundation
import HoneFormats

/// Everything that is measured about a classifier on one set of examples.
///
/// The figures follow scikit-learn 1.9 where it has them. Intervals are percentile bootstraps over the examples.
public struct ClassificationMetrics: Hashable, Sendable {
    /// How many examples were measured.
    public let count: Int
    /// The share of examples that are right.
    public let accuracy: Interval
    /// The unweighted mean of the F1 of the classes that occur among the labels or the predictions.
    ///
    /// scikit-learn's `f1_score(average="macro", zero_division=0)` without `labels=`: a class that occurs in neither is
    /// left out of the mean, a class that occurs in only one of them counts as 0. Each resample follows the same rule.
    public let macroF1: Interval
    /// The mean negative logarithm of the right class's probability, in nats; nil without probabilities.
    public let logLoss: Interval?
    /// The mean over the examples of the squared error summed over the classes, from 0 to 2; nil without probabilities.
    ///
    /// Brier, "Verification of forecasts expressed in terms of probability", 1950. For two classes this is twice the
    /// score that counts the positive class only.
    public let brierScore: Interval?
    /// The mean entropy of the predicted probabilities, in nats; nil without probabilities.
    public let meanEntropy: Double?
    /// The reliability bins and the expected calibration error; nil without probabilities.
    public let calibration: Calibration?
    /// Precision, recall, F1 and support of each class, in order of index.
    public let classes: [ClassMetrics]
    /// How often each class was predicted for each class.
    public let confusion: ConfusionMatrix

    /// Measures the outcomes of a classifier.
    public init(_ outcomes: ClassificationOutcomes, bootstrap: Bootstrap = Bootstrap()) {
        let correctness = outcomes.correctness
        let counts = ClassCounts(outcomes)
        count = outcomes.count
        accuracy = bootstrap.proportion(correctness.count { $0 }, of: outcomes.count, stream: "accuracy")
        confusion = ConfusionMatrix(outcomes)
        classes = counts.classMetrics
        macroF1 = Self.macroF1(outcomes, value: counts.macroF1, cells: confusion.cells, bootstrap: bootstrap)
        guard outcomes.hasProbabilities, !outcomes.labels.isEmpty else {
            logLoss = nil
            brierScore = nil
            meanEntropy = nil
            calibration = nil
            return
        }
        logLoss = bootstrap.mean(of: outcomes.losses, stream: "log loss")
        brierScore = bootstrap.mean(of: outcomes.squaredErrors, stream: "Brier score")
        meanEntropy = outcomes.entropies.reduce(0, +) / Double(outcomes.count)
        calibration = Calibration(
            confidences: outcomes.confidences, correctness: correctness, bootstrap: bootstrap)
    }

    /// Draws examples, counts them by cell of the confusion matrix, and computes F1 from the few cells.
    private static func macroF1(
        _ outcomes: ClassificationOutcomes, value: Double, cells: [ConfusionMatrix.Cell], bootstrap: Bootstrap
    ) -> Interval {
        guard outcomes.count > 0 else { return .none }
        // Examples of one cell are interchangeable: an index into the examples sorted by cell says the cell.
        let cellOfExample = cells.indices.flatMap { [Int](repeating: $0, count: cells[$0].count) }
        var drawn = [Int](repeating: 0, count: cells.count)
        let figures = bootstrap.resample(count: outcomes.count, stream: "macro F1") { indices in
            for cell in drawn.indices { drawn[cell] = 0 }
            for index in indices { drawn[cellOfExample[index]] += 1 }
            var counts = ClassCounts(classCount: outcomes.classCount)
            for (cell, count) in zip(cells, drawn) where count > 0 {
                counts.add(label: cell.label, prediction: cell.prediction, count: count)
            }
            return counts.macroF1
        }
        return bootstrap.interval(value: value, figures: figures)
    }

    /// The figures as JSON: intervals under the metric's name, classes and confusion matrix in full.
    public var json: JSON {
        var object = JSONObject()
        object["count"] = .integer(count)
        object["accuracy"] = accuracy.json
        object["macro_f1"] = macroF1.json
        object["log_loss"] = logLoss?.json
        object["brier_score"] = brierScore?.json
        object["mean_entropy"] = meanEntropy.map(JSON.finite)
        object["expected_calibration_error"] = calibration?.expectedCalibrationError.json
        object["reliability"] = calibration.map { .array($0.bins.map(\.json)) }
        object["classes"] = .array(classes.map(\.json))
        object["confusion"] = confusion.json
        return .object(object)
    }
}

/// The natural logarithm, under a name that cannot be mistaken for writing to a log.
func logarithm(_ value: Double) -> Double { log(value) }
