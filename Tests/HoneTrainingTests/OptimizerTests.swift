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
            try optimizer.step(parameters, plan: plan, learningRate: rate, rule: { _ in TrainingRule() })
            for place in 0..<4 {
                expected[place].update(Double(gradients[place]), plan, rate: place == 3 ? rate * 10 : rate)
            }
        }
        let found = try parameters.tensor("a").elements(Double.self) + parameters.tensor("h").elements(Double.self)
        for (value, scalar) in zip(found, expected) { #expect(abs(value - scalar.value) < 2e-6) }
        #expect(try parameters.tensor("unused").item() == 7)
    }

    @Test func `plain gradient descent steps along the gradient, with decay and the rates of rules`() throws {
        var plan = TrainingPlan(steps: 1, learningRate: 1)
        plan.rule = .gradientDescent
        plan.weightDecay = 0.5
        plan.headLearningRateFactor = 0
        var parameters = ParameterSet()
        parameters.set("a", try Tensor([2, -1] as [Float]))
        parameters.set("b", try Tensor([3] as [Float]))
        parameters.set("h", try Tensor([1] as [Float]), group: .head)
        try parameters.makeTrainable()
        var optimizer = try Optimizer(parameters)
        let sum = try parameters.trained.map { try ($0.tensor * 4).sum() }.reduce(Tensor.zeros([])) { try $0 + $1 }
        try sum.backward()
        try optimizer.step(parameters, plan: plan, learningRate: 0.1) { parameter in
            parameter.name == "b" ? TrainingRule(learningRateFactor: 0.5, weightDecay: 0) : TrainingRule()
        }
        let found = try ["a", "b", "h"].flatMap { try parameters.tensor($0).elements(Double.self) }
        for (value, wanted) in zip(found, [2 * 0.95 - 0.4, -0.95 - 0.4, 3 - 0.2, 1]) {
            #expect(abs(value - wanted) < 1e-6)
        }
        #expect(
            plan.json["optimizer"]?.string == "sgd" && TrainingPlan(steps: 1, learningRate: 1).json["optimizer"] == nil)
    }

    @Test func `a parameter that joins late begins with its first step and obeys its own rule`() throws {
        var plan = TrainingPlan(steps: 1, learningRate: 1)
        plan.weightDecay = 0.3
        var parameters = ParameterSet()
        parameters.set("early", try Tensor([1] as [Float]))
        parameters.set("kept", try Tensor([4] as [Float]), group: .state)
        try parameters.makeTrainable()
        var optimizer = try Optimizer(parameters)
        var late = Scalar(value: 2)
        var ruled = plan
        ruled.weightDecay = 0
        for step in 0..<8 {
            if step == 5 {
                parameters.set("late", try Tensor([2] as [Float]))
                try parameters.makeTrainable()
                try optimizer.extend(to: parameters)
            }
            for parameter in parameters.trained { parameter.tensor.clearGradient() }
            let gradient = Double(step % 3) - 0.5
            let sum = try parameters.trained.map { try ($0.tensor * gradient).sum() }.reduce(Tensor.zeros([])) {
                try $0 + $1
            }
            try sum.backward()
            try optimizer.step(parameters, plan: plan, learningRate: 0.01) { parameter in
                parameter.name == "late"
                    ? TrainingRule(learningRateFactor: 5, weightDecay: 0) : TrainingRule()
            }
            if step >= 5 { late.update(gradient, ruled, rate: 0.05) }
        }
        #expect(abs(try parameters.tensor("late").item() - late.value) < 1e-6)
        #expect(optimizer.steps == ["early": 8, "late": 3])
        #expect(try parameters.tensor("kept").item() == 4)
        #expect(parameters.count == 2)
        parameters.remove("early")
        try optimizer.extend(to: parameters)
        #expect(optimizer.means.all.map(\.name) == ["late"])
        #expect(try parameters.tensor("late").count == 1 && parameters["early"] == nil)
    }
}
