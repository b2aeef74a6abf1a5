import HoneMethods
import HoneModels
import HoneTorch

/// What a method does before the first step and after the last.
extension Trainer {
    /// How much of it a run does.
    public enum Stages: Sendable {
        /// The steps alone, from the parameters as they are: to measure time.
        case none
        /// What comes before the first step: to compare learning rates.
        case preparation
        /// Everything.
        case all
    }

    /// The parameters as the method prepares them.
    ///
    /// - Throws: `CancellationError` where `shouldStop` said so.
    func prepared(
        _ parameters: ParameterSet, shouldStop: () -> Bool, report: (TrainingEvent) throws -> Void
    ) throws -> ParameterSet {
        var parameters = parameters
        try withContext(shouldStop: shouldStop, report: report) { try adapter.method.prepare(&parameters, $0) }
        return parameters
    }

    /// The parameters of a method that takes no steps, as it reads them from the model and the rows.
    ///
    /// - Throws: `CancellationError` where `shouldStop` said so.
    public func readParameters(
        shouldStop: () -> Bool = { false }, report: (TrainingEvent) throws -> Void = { _ in }
    ) throws -> ParameterSet {
        try prepared(adapter.parameters.copied(), shouldStop: shouldStop, report: report)
    }

    /// Lets the method finish the parameters.
    func finish(
        _ parameters: inout ParameterSet, shouldStop: () -> Bool, report: (TrainingEvent) throws -> Void
    ) throws {
        try withContext(shouldStop: shouldStop, report: report) { try adapter.method.finish(&parameters, $0) }
    }

    /// What the method makes of parameters that are trained already: its work after the last step, alone.
    ///
    /// - Throws: `CancellationError` where `shouldStop` said so.
    public func finishing(
        _ parameters: ParameterSet, shouldStop: () -> Bool = { false },
        report: (TrainingEvent) throws -> Void = { _ in }
    ) throws -> ParameterSet {
        var parameters = try parameters.copied()
        try finish(&parameters, shouldStop: shouldStop, report: report)
        return parameters
    }

    private func withContext(
        shouldStop: () -> Bool, report: (TrainingEvent) throws -> Void, _ body: (TrainingContext) throws -> Void
    ) throws {
        try withoutActuallyEscaping(shouldStop) { shouldStop in
            try withoutActuallyEscaping(report) { report in
                try body(context(shouldStop: shouldStop, report: report))
            }
        }
    }

    private func context(
        shouldStop: @escaping () -> Bool, report: @escaping (TrainingEvent) throws -> Void
    ) -> TrainingContext {
        let checkStop = { if shouldStop() { throw CancellationError() } }
        let measure: ((ParameterSet) throws -> (score: Double, loss: Double))? = validate.map { validate in
            { parameters in
                let point = try validate(parameters, 0)
                return (point.score, point.loss)
            }
        }
        return TrainingContext(
            model: model, task: adapter.task, labels: adapter.labels, rows: examples, examples: source,
            encoding: adapter.encoding, seed: plan.seed, steps: plan.steps, batchSize: plan.batchSize,
            learningRate: plan.learningRate,
            train: { method, parameters, steps, learningRate in
                try stage(method, parameters, steps: steps, learningRate: learningRate, shouldStop: shouldStop)
            },
            gradients: { method, parameters, rows in
                let targets = rows.reduce(0) { $0 + $1.targetCount }
                guard targets > 0 else { return 0 }
                let objective = Objective(model: model, task: adapter.task, method: method)
                let loss = try withGradients {
                    try objective.loss(rows, parameters: parameters, dropout: nil) / Double(targets)
                }
                try loss.backward()
                return try loss.item()
            },
            validate: measure, note: { try report(.note($0)) }, checkStop: checkStop)
    }

    /// A training of its own within this one.
    private func stage(
        _ method: any Method, _ parameters: ParameterSet, steps: Int, learningRate: Double, shouldStop: () -> Bool
    ) throws -> ParameterSet {
        var own = adapter
        own.method = method
        own.parameters = parameters
        var plan = plan
        plan.steps = steps
        plan.learningRate = learningRate
        plan.evaluateEvery = 0
        plan.patience = 0
        plan.checkpointEvery = 0
        let outcome = try Trainer(model: model, adapter: own, examples: examples, source: source, plan: plan)
            .run(shouldStop: shouldStop)
        guard outcome.ending != .interrupted else { throw CancellationError() }
        return outcome.parameters
    }
}
