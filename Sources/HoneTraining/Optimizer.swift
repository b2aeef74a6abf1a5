import HoneFormats
import HoneMethods
import HoneTorch

/// AdamW over a parameter set (Loshchilov and Hutter 2019), with one running mean and square a parameter, and a count of its
/// steps: a parameter that joins late begins with its first. Where the plan wants plain gradient descent, they stay unused.
struct Optimizer {
    private(set) var means: ParameterSet
    private(set) var squares: ParameterSet
    private(set) var steps: [String: Int]

    /// A fresh optimiser for parameters.
    init(_ parameters: ParameterSet) throws {
        means = ParameterSet()
        squares = ParameterSet()
        steps = [:]
        try extend(to: parameters)
    }

    /// An optimiser as it was saved.
    init(means: ParameterSet, squares: ParameterSet, steps: [String: Int]) {
        self.means = means
        self.squares = squares
        self.steps = steps
    }

    /// Adds moments for parameters that are new or have another shape, and drops those of parameters that are gone.
    mutating func extend(to parameters: ParameterSet) throws {
        for parameter in parameters.trained where means[parameter.name]?.shape != parameter.tensor.shape {
            let zeros = { try Tensor.zeros(parameter.tensor.shape, .float32, on: parameter.tensor.device) }
            means.set(parameter.name, try zeros(), group: parameter.group)
            squares.set(parameter.name, try zeros(), group: parameter.group)
            steps[parameter.name] = 0
        }
        for parameter in means.all where parameters[parameter.name] == nil {
            means.remove(parameter.name)
            squares.remove(parameter.name)
            steps[parameter.name] = nil
        }
    }

    /// What the parameters of one call to the engine share.
    private struct Kind: Hashable {
        var isHead: Bool
        var rule: TrainingRule
    }

    /// One step with the gradients that the parameters hold; parameters without a gradient stay.
    mutating func step(
        _ parameters: ParameterSet, plan: TrainingPlan, learningRate: Double, rule: (Parameter) -> TrainingRule
    ) throws {
        var order: [Kind] = []
        var kinds: [Kind: [Parameter]] = [:]
        for parameter in parameters.trained where parameter.tensor.gradient != nil {
            steps[parameter.name, default: 0] += 1
            let kind = Kind(isHead: parameter.group == .head, rule: rule(parameter))
            if kinds[kind] == nil { order.append(kind) }
            kinds[kind, default: []].append(parameter)
        }
        for kind in order {
            let own = kinds[kind] ?? []
            let factor = kind.rule.learningRateFactor * (kind.isHead ? plan.headLearningRateFactor : 1)
            guard plan.rule == .adamW else {
                try withoutGradients {
                    let decay = kind.rule.weightDecay ?? plan.weightDecay
                    for tensor in own.map(\.tensor) {
                        guard let gradient = tensor.gradient else { continue }
                        if decay > 0 { try tensor.multiplyInPlace(1 - learningRate * factor * decay) }
                        try tensor.addInPlace(gradient, scale: -learningRate * factor)
                    }
                }
                continue
            }
            try adamWStep(
                parameters: own.map(\.tensor), gradients: own.compactMap(\.tensor.gradient),
                means: own.map { try means.tensor($0.name) }, squares: own.map { try squares.tensor($0.name) },
                steps: own.map { try Tensor([Float(steps[$0.name] ?? 1)], shape: []) },
                learningRate: learningRate * factor, beta1: plan.beta1, beta2: plan.beta2,
                weightDecay: kind.rule.weightDecay ?? plan.weightDecay, epsilon: plan.epsilon)
        }
    }
}
