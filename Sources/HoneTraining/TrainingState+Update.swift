import HoneFormats
import HoneMethods
import HoneTorch

extension TrainingState {
    /// The most steps in a row that may be left out because something is not finite.
    private static let mostBadSteps = 3

    /// Takes the next step with the gradients that the parameters hold; leaves it out where they or the loss are not finite.
    ///
    /// - Returns: the norm of the gradient before clipping, and whether the step was taken.
    mutating func update(loss: Double, plan: TrainingPlan, method: any Method) throws -> (
        gradientNorm: Double, isTaken: Bool
    ) {
        let number = step + 1
        let gradients = parameters.trained.compactMap(\.tensor.gradient)
        let norm = try jointNorm(gradients)
        step = number
        guard loss.isFinite, norm.isFinite else {
            badSteps += 1
            return (norm, false)
        }
        badSteps = 0
        if plan.maximumGradientNorm > 0, norm > plan.maximumGradientNorm {
            try withoutGradients {
                for gradient in gradients { try gradient.multiplyInPlace(plan.maximumGradientNorm / norm) }
            }
        }
        try optimizer.step(
            parameters, plan: plan, learningRate: plan.learningRate(at: number), rule: method.rule(for:))
        if try method.afterStep(plan.report(of: number), &parameters) {
            try parameters.makeTrainable()
            try optimizer.extend(to: parameters)
        }
        return (norm, true)
    }

    /// - Throws: `HoneError` with code `.notFinite` after too many steps in a row that were left out.
    mutating func checkBadSteps(learningRate: Double) throws {
        guard badSteps >= TrainingState.mostBadSteps else { return }
        // A resumed run gets as many tries again.
        badSteps = 0
        step -= 1
        let name = try parameters.trained.first { parameter in
            guard let gradient = parameter.tensor.gradient else { return false }
            return try gradient.isFinite().all().item() == 0
        }?.name
        throw HoneError(
            .notFinite,
            "three steps in a row had a loss or gradient that is not finite; lower the learning rate of \(learningRate)",
            item: name)
    }
}
