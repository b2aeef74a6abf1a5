import Foundation
import HoneFormats
import Testing

@testable import HoneEvaluation

struct MetricsTests {
    @Test func `refuses outcomes that do not fit together`() {
        #expect(throws: HoneError.self) {
            try ClassificationOutcomes(labels: [0, 3], predictions: [0, 0], classCount: 3)
        }
        #expect(throws: HoneError.self) { try ClassificationOutcomes(labels: [0], predictions: [-1], classCount: 3) }
        #expect(throws: HoneError.self) { try ClassificationOutcomes(labels: [0], predictions: [], classCount: 3) }
        #expect(throws: HoneError.self) { try ClassificationOutcomes(labels: [0], probabilities: [0.5], classCount: 2) }
        #expect(throws: HoneError.self) {
            try ClassificationOutcomes(labels: [0], probabilities: [.nan, 0.5], classCount: 2)
        }
        #expect(throws: HoneError.self) { try ClassificationOutcomes(labels: [0], classCount: 2) }
        #expect(throws: HoneError.self) {
            try ClassificationOutcomes(labels: [0], predictions: [0], classCount: .max)
        }
        #expect(throws: HoneError.self) {
            try ClassificationOutcomes(labels: [0, 1], probabilityRows: [[0.5, 0.5], [1]], classCount: 2)
        }
    }

    @Test func `measures without probabilities and without examples`() throws {
        let plain = ClassificationMetrics(
            try ClassificationOutcomes(labels: [0, 1, 1], predictions: [0, 1, 0], classCount: 2))
        #expect(plain.logLoss == nil && plain.calibration == nil && plain.accuracy.value == 2.0 / 3)
        let empty = ClassificationMetrics(try ClassificationOutcomes(labels: [], predictions: [], classCount: 2))
        #expect(empty.accuracy.value.isNaN && empty.macroF1.value.isNaN && empty.classes.count == 2)
        #expect(empty.json["accuracy"]?["value"]?.isNull == true)
    }

    @Test func `takes the first of equally probable classes`() throws {
        let outcomes = try ClassificationOutcomes(
            labels: [1, 1], probabilityRows: [[0.4, 0.4, 0.2], [0.1, 0.45, 0.45]], classCount: 3)
        #expect(outcomes.predictions == [0, 1])
    }

    @Test func `puts confidences on a border into the lower bin`() {
        #expect(Calibration.bin(of: 0, count: 10) == 0)
        #expect(Calibration.bin(of: 0.5, count: 10) == 4)
        #expect(Calibration.bin(of: 1, count: 10) == 9)
        #expect(Calibration.bin(of: 1.0005, count: 10) == 9)
        #expect(Calibration.bin(of: .nan, count: 10) == 0)
    }

    @Test func `lists the most confused pairs`() throws {
        let outcomes = try ClassificationOutcomes(
            labels: [0, 0, 0, 1, 2, 2, 2], predictions: [1, 1, 0, 2, 0, 0, 0], classCount: 3)
        let pairs = ConfusionMatrix(outcomes).mostConfused(limit: 2)
        #expect(pairs.map { [$0.label, $0.prediction, $0.count] } == [[2, 0, 3], [0, 1, 2]])
    }

    @Test func `keeps the interval of macro-F1 around its value`() throws {
        let labels = (0..<400).map { $0 % 4 }
        let predictions = labels.enumerated().map { $0 % 9 == 0 ? ($1 + 1) % 4 : $1 }
        let metrics = ClassificationMetrics(
            try ClassificationOutcomes(labels: labels, predictions: predictions, classCount: 4))
        #expect(metrics.macroF1.contains(metrics.macroF1.value))
        #expect(metrics.macroF1.high - metrics.macroF1.low > 0.04 && metrics.macroF1.high - metrics.macroF1.low < 0.08)
    }

    @Test func `measures generation`() throws {
        let metrics = try GenerationMetrics(
            outputs: [" yes\n", "No", "caf\u{e9}"], references: [["yes"], ["no"], ["x", "cafe\u{301}"]],
            losses: [TokenLoss(sum: 1, tokens: 2), TokenLoss(sum: 2, tokens: 1), TokenLoss(sum: 3, tokens: 3)])
        #expect(metrics.matches == [true, false, true])
        #expect(metrics.loss?.value == 1)
        #expect(metrics.perplexity?.value == exp(1))
        #expect(metrics.tokens == 6)
        #expect(throws: HoneError.self) { try GenerationMetrics(outputs: ["a"], references: []) }
    }

    @Test func `aggregates log-likelihoods`() throws {
        let metrics = try LogLikelihoodMetrics(logLikelihoods: [-2, -4], tokens: [2, 4], bytes: [3, 9])
        #expect(metrics.total == -6 && metrics.perExample.value == -3 && metrics.perToken.value == -1)
        #expect(agree(try #require(metrics.bitsPerByte).value, 6 / 12 / log(2)))
    }
}
