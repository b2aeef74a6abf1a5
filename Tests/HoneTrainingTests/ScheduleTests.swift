import HoneFormats
import HoneTraining
import Testing

@Suite struct ScheduleTests {
    private func rates(_ schedule: TrainingPlan.Schedule, warmup: Double = 0) -> [Double] {
        var plan = TrainingPlan(steps: 10, learningRate: 2)
        plan.schedule = schedule
        plan.warmup = warmup
        return (1...10).map(plan.learningRate(at:))
    }

    private func agree(_ found: [Double], _ expected: [Double]) -> Bool {
        found.count == expected.count && zip(found, expected).allSatisfy { abs($0 - $1) < 1e-12 }
    }

    @Test func `a constant rate stays`() {
        #expect(rates(.constant) == Array(repeating: 2, count: 10))
    }

    @Test func `a linear rate falls in equal parts and would be zero after the last step`() {
        let expected: [Double] = [2, 1.8, 1.6, 1.4, 1.2, 1, 0.8, 0.6, 0.4, 0.2]
        #expect(agree(rates(.linear), expected))
    }

    @Test func `a cosine rate is half way down in the middle`() {
        let found = rates(.cosine)
        #expect(found[0] == 2)
        #expect(abs(found[5] - 1) < 1e-12)
        // 2 · (1 + cos(0.9 π)) / 2
        #expect(abs(found[9] - 0.0489434837048464) < 1e-12)
    }

    @Test func `warm-up rises in equal parts to the full rate, then the schedule begins`() {
        let third = 1.0 / 3
        let linear: [Double] = [0.5, 1, 1.5, 2, 2, 5 * third, 4 * third, 1, 2 * third, third]
        #expect(agree(rates(.linear, warmup: 0.4), linear))
        let constant: [Double] = [1, 2, 2, 2, 2, 2, 2, 2, 2, 2]
        #expect(agree(rates(.constant, warmup: 0.2), constant))
    }

    @Test func `a run that is warm-up from end to end reaches the full rate`() {
        #expect(rates(.linear, warmup: 1).last == 2)
    }

    @Test func `values out of bounds are refused by their option`() {
        func refused(_ change: (inout TrainingPlan) -> Void) -> String? {
            var plan = TrainingPlan(steps: 10, learningRate: 1e-3)
            change(&plan)
            let error = #expect(throws: HoneError.self) { try plan.check() }
            #expect(error?.code == .usage)
            return error?.item
        }
        #expect(refused { $0.steps = 0 } == "--steps")
        #expect(refused { $0.batchSize = 0 } == "--batch-size")
        #expect(refused { $0.learningRate = .nan } == "--learning-rate")
        #expect(refused { $0.learningRate = 0 } == "--learning-rate")
        #expect(refused { $0.accumulation = 33 } == "--accumulate")
        #expect(refused { $0.warmup = 1.1 } == "--warmup")
        #expect(refused { $0.weightDecay = -1 } == "--weight-decay")
        #expect(refused { $0.maximumGradientNorm = -1 } == "--clip")
    }
}
