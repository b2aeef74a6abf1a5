import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch

/// Trains the same adapter at several learning rates at once: every step runs the rows once for each rate in one forward
/// and one backward pass over the shared base, and updates each copy by itself.
///
/// Each copy learns what a `Trainer` of its own would teach it, up to the rounding of sums. It is faster where a batch alone
/// is too small to keep the processor busy, and needs the memory of all copies' activations.
public struct JointTrainer {
    /// How one copy ended.
    public enum Outcome {
        /// Trained for so many steps.
        case trained(ParameterSet, steps: Int)
        /// Losses or gradients were no longer finite.
        case diverged
    }

    private let model: BaseModel
    private let adapter: Adapter
    private let examples: [EncodedExample]
    private let plan: TrainingPlan
    private let learningRates: [Double]

    /// Whether copies of an adapter can be trained in one batch: where nothing that is attached replaces weights or stands
    /// before the rows, in a model of one stack.
    public static func suits(_ adapter: Adapter, _ model: BaseModel) throws -> Bool {
        guard model.configuration.decoder == nil, !adapter.method.hasStages,
            try adapter.method.penalty(adapter.parameters) == nil
        else { return false }
        return try adapter.method.attachments(adapter.parameters, model: model.transformer, dropout: nil)
            .suitsRowGroups
    }

    /// A trainer.
    ///
    /// - Parameters:
    ///   - plan: as for `Trainer`, whose learning rate is replaced. It has no validation, and steps are not cut into pieces.
    ///   - learningRates: one a copy.
    /// - Throws: `HoneError` where the plan is out of bounds, or no row has a target.
    public init(
        model: BaseModel, adapter: Adapter, examples: [EncodedExample], plan: TrainingPlan, learningRates: [Double]
    ) throws {
        precondition(!learningRates.isEmpty && plan.accumulation == 1)
        for rate in learningRates {
            var own = plan
            own.learningRate = rate
            try own.check()
        }
        self.examples = examples.filter { $0.targetCount > 0 }
        guard !self.examples.isEmpty else {
            throw HoneError(.badData, "no row has a target left to learn; raise --max-length or check the completions")
        }
        self.model = model
        self.adapter = adapter
        self.plan = plan
        self.learningRates = learningRates
    }

    /// Runs all steps, or until `shouldStop` says so.
    ///
    /// - Parameter report: told of each step, with the lowest loss and its rate, `tokens` counting those of all copies; and the
    ///   loss of each copy, not a number for one that has diverged before.
    /// - Returns: one outcome a learning rate, in their order.
    public func run(
        shouldStop: () -> Bool = { false }, report: (TrainingStep, _ losses: [Double]) throws -> Void = { _, _ in }
    ) throws -> [Outcome] {
        let objective = Objective(model: model, task: adapter.task, method: adapter.method)
        var states = try learningRates.map { _ in try TrainingState(parameters: adapter.parameters.copied()) }
        for state in states { try state.parameters.makeTrainable() }
        var active = Array(learningRates.indices)
        var cursor = BatchOrder.Cursor(BatchOrder(lengths: examples.map(\.length), plan: plan))
        for step in 0..<plan.steps where !active.isEmpty {
            let started = monotonicSeconds()
            let rows = cursor.rows(step: step).map { examples[$0] }
            let losses = try gradients(of: rows, step: step + 1, states: active.map { states[$0] }, objective)
            var best: TrainingStep?
            var diverged: Set<Int> = []
            for (place, loss) in zip(active, losses) {
                var own = plan
                own.learningRate = learningRates[place]
                let update = try states[place].update(loss: loss, plan: own, method: adapter.method)
                do {
                    try states[place].checkBadSteps(learningRate: own.learningRate)
                } catch let error as HoneError where error.code == .notFinite {
                    diverged.insert(place)
                }
                if loss.isFinite, best.map({ loss < $0.loss }) ?? true {
                    best = TrainingStep(
                        step: step + 1, loss: loss, learningRate: own.learningRate(at: step + 1), tokens: 0, seconds: 0,
                        gradientNorm: update.gradientNorm)
                }
            }
            if var best {
                best.tokens = active.count * rows.reduce(0) { $0 + $1.length }
                best.seconds = monotonicSeconds() - started
                var all = learningRates.map { _ in Double.nan }
                for (place, loss) in zip(active, losses) { all[place] = loss }
                try report(best, all)
            }
            active.removeAll { diverged.contains($0) }
            if shouldStop() { break }
        }
        return try states.enumerated().map { place, state in
            active.contains(place) ? .trained(try state.parameters.copied(), steps: state.step) : .diverged
        }
    }

    /// Leaves the gradients of one step in the parameters; gives the mean loss of each copy.
    private func gradients(
        of rows: [EncodedExample], step: Int, states: [TrainingState], _ objective: Objective
    ) throws -> [Double] {
        for state in states {
            for parameter in state.parameters.trained { parameter.tensor.clearGradient() }
        }
        // The masks of every copy are those that it would have alone.
        let dropout = states.map { _ in DropoutSource(seed: plan.seed, step: step) }
        let targets = Double(rows.reduce(0) { $0 + $1.targetCount })
        let losses = try withGradients {
            try objective.losses(rows, parameters: states.map(\.parameters), dropout: dropout).map { try $0 / targets }
        }
        // Copies share no parameter: the gradient of the sum is that of each.
        try withGradients { try losses.dropFirst().reduce(losses[0]) { try $0 + $1 } }.backward()
        return try losses.map { try $0.item() }
    }
}
