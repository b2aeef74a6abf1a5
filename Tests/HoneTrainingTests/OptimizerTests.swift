import HoneMethods
import HoneTorch
import Testing

@testable import HoneTraining

@Suite struct OptimizerTests {
    /// AdamW of one number as the paper writes it (Loshchilov and Hutter 2019, algorithm 2, decay scaled by the rate).
    private struct Scalar {
        var value: Double
        var mean = 0.0
        var square = 0.0
        var step = 0

        mutating func update(_ gradient: Double, _ plan: TrainingPlan, rate: Double) {
            step += 1
            func power(_ base: Double) -> Double { (0..<step).reduce(1) { product, _ in product * base } }
            value -= rate * plan.weightDecay * value
            mean = plan.beta1 * mean + (1 - plan.beta1) * gradient
            square = plan.beta2 * square + (1 - plan.beta2) * gradient * gradient
            let correctedMean = mean / (1 - power(plan.beta1))
            let correctedSquare = square / (1 - power(plan.beta2))
            value -= rate * correctedMean / (correctedSquare.squareRoot() + plan.epsilon)
        }
    }

    @Test func `steps are those of AdamW, with a rate of its own for the head`() throws {
        var plan = TrainingPlan(steps: 1, learningRate: 1)
        plan.weightDecay = 0.1
        plan.headLearningRateFactor = 10
        plan.beta1 = 0.8
        plan.beta2 = 0.95
        var parameters = ParameterSet()
        parameters.set("a", try Tensor([0.5, -2, 3] as [Float]))
        parameters.set("h", try Tensor([1] as [Float]), group: .head)
        parameters.set("unused", try Tensor([7] as [Float]))
        try parameters.makeTrainable()
        var optimizer = try Optimizer(parameters)
        var expected = [0.5, -2, 3, 1].map { Scalar(value: $0) }
        for step in 0..<25 {
            let rate = 0.01 / Double(1 + step)
            let gradients = (0..<4).map { Float((step * 7 + $0 * 3) % 11 - 5) / 4 }
            for parameter in parameters.all { parameter.tensor.clearGradient() }
            let first = try (parameters.tensor("a") * Tensor(Array(gradients[..<3]))).sum()
            let second = try (parameters.tensor("h") * Tensor([gradients[3]])).sum()
            try (first + second).backward()
            try optimizer.step(parameters, plan: plan, learningRate: rate)
            for place in 0..<4 {
                expected[place].update(Double(gradients[place]), plan, rate: place == 3 ? rate * 10 : rate)
            }
        }
        let found = try parameters.tensor("a").elements(Double.self) + parameters.tensor("h").elements(Double.self)
        for (value, scalar) in zip(found, expected) { #expect(abs(value - scalar.value) < 2e-6) }
        #expect(try parameters.tensor("unused").item() == 7)
    }
}
