import HoneFormats
import HoneMethods
import HoneTorch

/// AdamW over a parameter set (Loshchilov and Hutter 2019), with one running mean and square a parameter.
struct Optimizer {
    private(set) var means: ParameterSet
    private(set) var squares: ParameterSet
    private(set) var steps: Int

    /// A fresh optimiser for parameters.
    init(_ parameters: ParameterSet) throws {
        means = ParameterSet()
        squares = ParameterSet()
        steps = 0
        try extend(to: parameters)
    }

    /// An optimiser as it was saved.
    init(means: ParameterSet, squares: ParameterSet, steps: Int) {
        self.means = means
        self.squares = squares
        self.steps = steps
    }

    /// Adds moments for parameters that are new or have another shape.
    mutating func extend(to parameters: ParameterSet) throws {
        for parameter in parameters.all where means[parameter.name]?.shape != parameter.tensor.shape {
            let zeros = { try Tensor.zeros(parameter.tensor.shape, .float32, on: parameter.tensor.device) }
            means.set(parameter.name, try zeros(), group: parameter.group)
            squares.set(parameter.name, try zeros(), group: parameter.group)
        }
    }

    /// One step with the gradients that the parameters hold; parameters without a gradient stay.
    mutating func step(_ parameters: ParameterSet, plan: TrainingPlan, learningRate: Double) throws {
        steps += 1
        for group in [Parameter.Group.adapter, .head] {
            let own = parameters.all.filter { $0.group == group && $0.tensor.gradient != nil }
            let rate = group == .head ? learningRate * plan.headLearningRateFactor : learningRate
            try adamWStep(
                parameters: own.map(\.tensor), gradients: own.compactMap(\.tensor.gradient),
                means: own.map { try means.tensor($0.name) }, squares: own.map { try squares.tensor($0.name) },
                steps: own.map { _ in try Tensor([Float(steps)], shape: []) }, learningRate: rate, beta1: plan.beta1,
                beta2: plan.beta2, weightDecay: plan.weightDecay, epsilon: plan.epsilon)
        }
    }
}
