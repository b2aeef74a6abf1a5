import HoneFormats
import Testing

@testable import HoneEvaluation

@Suite struct ChoiceMetricsTests {
    @Test func `long choices are not at a disadvantage where lengths count`() throws {
        let questions = [
            ScoredChoices(logLikelihoods: [-4, -6], lengths: [2, 12], answer: 1),
            ScoredChoices(logLikelihoods: [-1, -3], lengths: [4, 4], answer: 0),
            ScoredChoices(logLikelihoods: [-2, -2], lengths: [3, 3], answer: 1),
            ScoredChoices(logLikelihoods: [-9, -1], lengths: [1, 1]),
        ]
        #expect(questions.map(\.predicted) == [0, 0, 0, 1] && questions.map(\.predictedByLength) == [1, 0, 0, 1])
        let metrics = try #require(try ChoiceMetrics(questions))
        #expect(metrics.count == 3)
        #expect(agree(metrics.accuracy.value, 1.0 / 3) && agree(metrics.accuracyByLength.value, 2.0 / 3))
        #expect(agree(metrics.logLikelihood.value, -3))
        #expect(metrics.accuracy.low < 1.0 / 3 && metrics.accuracy.high > 1.0 / 3)
    }

    @Test func `what does not fit is refused, and nothing is measured without answers`() throws {
        #expect(try ChoiceMetrics([ScoredChoices(logLikelihoods: [-1], lengths: [1])]) == nil)
        #expect(throws: HoneError.self) {
            try ChoiceMetrics([ScoredChoices(logLikelihoods: [-1], lengths: [1], answer: 1)])
        }
        #expect(throws: HoneError.self) {
            try ChoiceMetrics([ScoredChoices(logLikelihoods: [-1], lengths: [], answer: 0)])
        }
    }
}
