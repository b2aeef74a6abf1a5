import Foundation
import HoneFormats
import Testing

@testable import HoneEvaluation

struct ChoiceTests {
    /// `right` examples right out of `count`, the wrong ones spread from `offset` on.
    private func correctness(_ right: Int, of count: Int, offset: Int = 0) -> ValidationScores {
        .correctness((0..<count).map { ($0 + offset) % count < right })
    }

    @Test func `takes the cheaper of two that cannot be told apart`() throws {
        let choice = try ModelChoice([
            .init(name: "full", costRank: 3, trainedParameters: 22_000_000, scores: correctness(560, of: 600)),
            .init(name: "lora", costRank: 2, trainedParameters: 300_000, scores: correctness(557, of: 600, offset: 3)),
            .init(name: "zero-shot", costRank: 0, scores: correctness(400, of: 600)),
        ])
        #expect(choice.best == 0 && choice.chosen == 1)
        #expect(choice.explanation.hasPrefix("lora was chosen: its validation accuracy of 0.928 cannot be told from"))
        #expect(choice.explanation.contains("full with 0.933"))
        #expect(choice.explanation.contains("300 k trained parameters against 22.0 M"))
        #expect(choice.comparisons[0] == nil && (choice.comparisons[2]?.pValue ?? 1) < 0.001)
    }

    @Test func `does not take the cheaper of two that are right equally often where its loss is clearly worse`() throws
    {
        let losses = (0..<600).map { 0.1 + Double($0 % 7) / 10 }
        func choice(_ cheap: [Double]) throws -> ModelChoice {
            try ModelChoice([
                .init(
                    name: "full", costRank: 3, scores: correctness(560, of: 600), losses: .losses(losses)),
                .init(
                    name: "probe", costRank: 1, scores: correctness(557, of: 600, offset: 3), losses: .losses(cheap)),
            ])
        }
        let worse = try choice(losses.map { $0 + 0.05 })
        #expect(worse.chosen == 0)
        #expect(worse.explanation.contains("probe, cheaper, with 0.928 cannot be told from it by that"))
        #expect(worse.explanation.contains("its loss of 0.449 is clearly worse than 0.399"), "\(worse.explanation)")
        #expect(try choice(losses.map { $0 - 0.05 }).chosen == 1, "a better loss is no reason against it")
        #expect(try choice(losses.reversed()).chosen == 1, "nor is one that cannot be told apart")
    }

    @Test func `says why a cheaper method than the chosen one was passed over`() throws {
        let losses = (0..<600).map { 0.1 + Double($0 % 7) / 10 }
        func candidate(_ name: String, _ rank: Int, right: Int, offset: Int, worse: Double) -> ModelChoice.Candidate {
            .init(
                name: name, costRank: rank, scores: correctness(right, of: 600, offset: offset),
                losses: .losses(losses.map { $0 + worse }))
        }
        let choice = try ModelChoice([
            candidate("probe", 1, right: 557, offset: 3, worse: 0.05),
            candidate("lora", 2, right: 558, offset: 2, worse: 0),
            candidate("full", 3, right: 560, offset: 0, worse: 0),
        ])
        #expect(choice.chosen == 1)
        #expect(
            choice.explanation.hasSuffix(
                "probe, cheaper still, was passed over: its loss of 0.449 is clearly worse than 0.399 "
                    + "(p < 0.001 by a sign-flip permutation test)."), "\(choice.explanation)")
    }

    @Test func `takes the best where it is clearly ahead`() throws {
        let choice = try ModelChoice([
            .init(name: "prompt", costRank: 1, scores: correctness(400, of: 600)),
            .init(name: "lora", costRank: 2, scores: correctness(550, of: 600)),
        ])
        #expect(choice.chosen == 1 && choice.best == 1)
        #expect(choice.explanation.contains("clearly ahead of the next, prompt with 0.667"))
        #expect(choice.explanation.contains("p < 0.001"))
    }

    @Test func `prefers low losses and ignores those that are not finite`() throws {
        let base = (0..<100).map { 1 + Double($0 % 5) / 10 }
        let choice = try ModelChoice([
            .init(name: "broken", costRank: 0, scores: .losses(base.map { _ in .nan })),
            .init(name: "worse", costRank: 1, scores: .losses(base.map { $0 + 0.5 })),
            .init(name: "good", costRank: 2, scores: .losses(base)),
        ])
        #expect(choice.chosen == 2 && choice.comparisons[0] == nil)
        #expect((choice.comparisons[1]?.difference.high ?? 1) < 0)
        #expect(throws: HoneError.self) { try ModelChoice([.init(name: "broken", scores: .losses([.nan]))]) }
        #expect(throws: HoneError.self) { try ModelChoice([]) }
    }

    @Test func `weights tokens and refuses different tokens`() throws {
        let first = ValidationScores.tokenLosses([TokenLoss(sum: 10, tokens: 10), TokenLoss(sum: 3, tokens: 1)])
        let second = ValidationScores.tokenLosses([TokenLoss(sum: 21, tokens: 10), TokenLoss(sum: 3, tokens: 1)])
        #expect(first.mean == 13.0 / 11)
        #expect(try first.compared(with: second).difference.value == 1)
        let other = ValidationScores.tokenLosses([TokenLoss(sum: 1, tokens: 1), TokenLoss(sum: 3, tokens: 1)])
        #expect(throws: HoneError.self) { try first.compared(with: other) }
        #expect(throws: HoneError.self) { try first.compared(with: .losses([1, 2])) }
    }

    @Test func `breaks ties by cost and says so`() throws {
        let choice = try ModelChoice([
            .init(name: "slow", trainedParameters: 5, seconds: 9, scores: correctness(9, of: 10)),
            .init(name: "quick", trainedParameters: 5, seconds: 2, scores: correctness(9, of: 10)),
        ])
        #expect(choice.chosen == 1 && choice.best == 1)
        #expect(choice.explanation.contains("no other is cheaper; next comes slow"))
        let single = try ModelChoice([.init(name: "lora", scores: correctness(9, of: 10))])
        #expect(single.explanation.contains("the only method tried"))
    }

    @Test func `drops what is clearly behind, and only that`() throws {
        let best = correctness(90, of: 100)
        #expect(try correctness(40, of: 100).isClearlyBehind(best))
        #expect(try !correctness(89, of: 100).isClearlyBehind(best))
        #expect(try !correctness(2, of: 10).isClearlyBehind(correctness(10, of: 10)))
        #expect(try ValidationScores.losses([.nan]).isClearlyBehind(.losses([1])))
    }

    @Test func `compares identical methods without a difference`() throws {
        let scores = (0..<50).map { Double($0) }
        let same = try Comparison(scores: scores, against: scores)
        #expect(same.pValue == 1 && same.difference == Interval(exactly: 0))
        let classes = try Comparison(correctness: [true, false], against: [true, false])
        #expect(classes.pValue == 1)
        #expect(throws: HoneError.self) { try Comparison(scores: [1], against: [1, 2]) }
        #expect(throws: HoneError.self) { try Comparison(scores: [], against: []) }
    }

    @Test func `approximates the exact sign-flip test with random flips`() throws {
        var generator = SeededGenerator(seed: 9, stream: "test")
        let differences = (0..<60).map { _ in generator.uniform() - 0.42 }
        let test = SignFlipTest(differences: differences, flips: 4000)
        // The normal approximation of the same test.
        let deviate = abs(differences.reduce(0, +)) / differences.reduce(0) { $0 + $1 * $1 }.squareRoot()
        #expect(!test.isExact)
        #expect(abs(test.pValue - erfc(deviate / 2.0.squareRoot())) < 0.03)
        #expect(SignFlipTest(differences: [Double](repeating: 1, count: 64), flips: 99).pValue == 0.01)
    }
}
