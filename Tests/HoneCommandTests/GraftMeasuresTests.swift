import Hone
import HoneEvaluation
import HoneFormats
import Testing

/// The figures that `hone graft` prints, of answers made by hand.
@Suite struct GraftMeasuresTests {
    private static let labels = [0, 1, 1, 0, 2, 2, 0, 1]

    /// Answers to the same rows of which so many, the first ones, are right; the others are one class too high.
    private func outcomes(right: Int) throws -> ClassificationOutcomes {
        let answers = Self.labels.enumerated().map { $0 < right ? $1 : ($1 + 1) % 3 }
        return try ClassificationOutcomes(labels: Self.labels, predictions: answers, classCount: 3)
    }

    @Test func `the gain of a graft is its share of what fine-tuning gained`() throws {
        let cases: [(base: Int, tuned: Int, graft: Int, gain: Double)] = [
            (2, 6, 4, 0.5), (2, 6, 6, 1), (2, 6, 2, 0), (2, 6, 8, 1.5), (2, 6, 0, -0.5), (0, 8, 7, 0.875),
            // Fine-tuning that lost something: what the graft lost, as a share of it.
            (6, 2, 4, 0.5), (6, 2, 6, 0),
        ]
        for (base, tuned, graft, gain) in cases {
            let found = try GraftMeasures.relativeGain(
                base: outcomes(right: base), tuned: outcomes(right: tuned), graft: outcomes(right: graft))
            #expect(found == gain, "\(base) \(tuned) \(graft)")
        }
    }

    @Test func `where fine-tuning gained nothing, there is no share of it`() throws {
        for right in [0, 5, 8] {
            let same = try outcomes(right: right)
            #expect(try GraftMeasures.relativeGain(base: same, tuned: same, graft: outcomes(right: 3)) == nil)
        }
        let none = try ClassificationOutcomes(labels: [], predictions: [], classCount: 3)
        #expect(GraftMeasures.relativeGain(base: none, tuned: none, graft: none) == nil)
        #expect(GraftMeasures.agreement(none, none) == 0)
    }

    @Test func `two models agree where they answer alike, right or wrong`() throws {
        func agreement(_ first: [Int], _ second: [Int]) throws -> Double {
            let labels = [0, 0, 0, 0]
            return try GraftMeasures.agreement(
                ClassificationOutcomes(labels: labels, predictions: first, classCount: 3),
                ClassificationOutcomes(labels: labels, predictions: second, classCount: 3))
        }
        #expect(try agreement([0, 1, 2, 0], [0, 1, 2, 0]) == 1)
        #expect(try agreement([1, 1, 1, 1], [1, 1, 2, 0]) == 0.5)
        // Both wrong, in different ways.
        #expect(try agreement([1, 2, 1, 2], [2, 1, 2, 1]) == 0)
        #expect(try agreement([0, 1, 2, 0], [0, 2, 1, 1]) == 0.25)
    }

    @Test func `accuracy, macro F1 and calibration of four answers are those by hand`() throws {
        let figures = try GraftMeasures.figures(
            ClassificationOutcomes(
                labels: [0, 1, 1, 0], probabilities: [0.9, 0.1, 0.2, 0.8, 0.61, 0.39, 0.7, 0.3], classCount: 2))
        #expect(figures["n"]?.integer == 4 && figures["accuracy"]?.number == 0.75)
        // Class 0: precision 2/3, recall 1; class 1: precision 1, recall 1/2.
        #expect(abs((figures["macro_f1"]?.number ?? 0) - (0.8 + 2.0 / 3) / 2) < 1e-9)
        // Each in a bin of its own: three right answers and a wrong one, by how sure the model was.
        #expect(abs((figures["ece_percent"]?.number ?? 0) - 100 * (0.1 + 0.2 + 0.61 + 0.3) / 4) < 1e-4)
    }
}
