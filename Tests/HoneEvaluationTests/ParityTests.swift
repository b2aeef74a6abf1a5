import HoneFormats
import Testing

@testable import HoneEvaluation

struct ParityTests {
    @Test func `agrees with scikit-learn on classification`() throws {
        for reference in try Reference.load().classification {
            let outcomes = try ClassificationOutcomes(
                labels: reference.labels, probabilities: reference.probabilities, classCount: reference.classCount)
            #expect(outcomes.predictions == reference.predictions)
            let metrics = ClassificationMetrics(outcomes, bootstrap: Bootstrap(resamples: 50))
            #expect(agree(metrics.accuracy.value, reference.accuracy))
            #expect(agree(metrics.macroF1.value, reference.macroF1))
            #expect(agree(try #require(metrics.logLoss).value, reference.logLoss))
            #expect(agree(try #require(metrics.brierScore).value, reference.brier))
            #expect(agree(try #require(metrics.meanEntropy), reference.entropy))
            for (index, figures) in metrics.classes.enumerated() {
                #expect(agree(figures.precision, reference.precision[index]))
                #expect(agree(figures.recall, reference.recall[index]))
                #expect(agree(figures.f1, reference.f1[index]))
                #expect(figures.support == reference.support[index])
            }
            let classes = 0..<reference.classCount
            let flat = classes.flatMap { label in classes.map { metrics.confusion[label, $0] } }
            #expect(flat == reference.confusion)
        }
    }

    @Test func `agrees with NumPy on calibration`() throws {
        for reference in try Reference.load().classification {
            let outcomes = try ClassificationOutcomes(
                labels: reference.labels, probabilities: reference.probabilities, classCount: reference.classCount)
            let calibration = Calibration(
                confidences: outcomes.confidences, correctness: outcomes.correctness,
                bootstrap: Bootstrap(resamples: 10))
            #expect(agree(calibration.expectedCalibrationError.value, reference.calibrationError))
            #expect(calibration.bins.count == reference.bins.count)
            for (bin, expected) in zip(calibration.bins, reference.bins) {
                #expect(Double(bin.count) == expected[0])
                guard let confidence = expected[1], let accuracy = expected[2] else { continue }
                #expect(agree(bin.meanConfidence, confidence))
                #expect(agree(bin.accuracy, accuracy))
            }
        }
    }

    @Test func `agrees with scikit-learn on log loss and Brier score, also at probabilities 0 and 1`() throws {
        let reference = try Reference.load().exactRows
        let outcomes = try ClassificationOutcomes(
            labels: reference.labels, probabilities: reference.probabilities, classCount: reference.classCount)
        let metrics = ClassificationMetrics(outcomes, bootstrap: Bootstrap(resamples: 10))
        #expect(agree(try #require(metrics.logLoss).value, reference.logLoss))
        #expect(agree(try #require(metrics.brierScore).value, reference.brier))
    }

    @Test func `agrees with SciPy on McNemar's test`() throws {
        for reference in try Reference.load().mcnemar {
            let test = McNemar(onlyFirst: reference.onlyFirst, onlySecond: reference.onlySecond)
            #expect(abs(test.exactP - reference.exact) <= 1e-9 * reference.exact)
            #expect(abs(test.midP - reference.midP) <= 1e-9 * reference.midP)
        }
    }

    @Test func `agrees with SciPy on the exact sign-flip test`() throws {
        for reference in try Reference.load().signFlips {
            let test = SignFlipTest(differences: reference.differences)
            #expect(test.isExact)
            #expect(agree(test.pValue, reference.p))
        }
    }

    @Test func `agrees with SciPy on Wilson's interval`() throws {
        for reference in try Reference.load().wilson {
            let interval = Interval.wilson(
                count: reference.count, total: reference.total, confidence: reference.confidence)
            #expect(agree(interval.low, reference.low))
            #expect(agree(interval.high, reference.high))
        }
    }

    @Test func `agrees with SciPy on binomial probabilities`() throws {
        for reference in try Reference.load().binomial {
            let mass = BinomialDistribution.mass(
                reference.count, trials: reference.trials, probability: reference.probability)
            #expect(abs(mass - reference.mass) <= 1e-9 * reference.mass)
        }
    }
}
