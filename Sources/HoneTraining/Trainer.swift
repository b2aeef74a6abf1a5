import Glibc
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// One optimiser step as it happened.
public struct TrainingStep: Hashable, Sendable {
    /// Counted from 1.
    public var step: Int
    /// The mean loss over the step's targets, before its update.
    public var loss: Double
    /// The learning rate used.
    public var learningRate: Double
    /// How many tokens went through the model, padding not counted.
    public var tokens: Int
    /// How long it took.
    public var seconds: Double
    /// The norm of the gradient before clipping.
    public var gradientNorm: Double
    /// The term that the method adds to the loss, where it has one; no part of `loss`.
    public var penalty: Double?
}

/// What validation found after a step.
public struct ValidationPoint: Hashable, Sendable {
    /// After which step.
    public var step: Int
    /// What is to be high: accuracy, or the negative loss.
    public var score: Double
    /// The mean loss over the targets.
    public var loss: Double

    /// A point of the validation curve.
    public init(step: Int, score: Double, loss: Double) {
        self.step = step
        self.score = score
        self.loss = loss
    }
}

/// What a training run tells while it goes.
public enum TrainingEvent: Sendable {
    /// Training goes on after a step: 0 for a run that begins.
    case begin(after: Int)
    /// A step is done.
    case step(TrainingStep)
    /// Validation is done.
    case validation(ValidationPoint)
    /// A checkpoint is safe on disk.
    case checkpoint(step: Int)
    /// Something that a person should know.
    case warning(String)
    /// Something that a person may want to know.
    case note(String)
}

/// How a training run ended.
public struct TrainingOutcome {
    /// Why it ended.
    public enum Ending: Sendable {
        /// All steps are done.
        case finished
        /// Validation stopped improving.
        case stoppedEarly
        /// It was asked to stop; it can be resumed from its checkpoint.
        case interrupted
    }

    /// The parameters of the best validation, or of the last step where there was none.
    public var parameters: ParameterSet
    /// The best validation.
    public var best: ValidationPoint?
    /// How many steps were done.
    public var steps: Int
    /// Why it ended.
    public var ending: Ending
    /// How long the steps of this process took, without validation.
    public var trainingSeconds: Double
}

/// Trains an adapter on encoded examples.
///
/// The run is a pure function of model, adapter, examples and plan: a second run on the same machine with as many threads
/// gives the same numbers, and so does a run that was stopped anywhere and resumed. Each step's loss is divided by the
/// step's whole number of targets, however it is cut into pieces.
public struct Trainer {
    /// The frozen base.
    public let model: BaseModel
    /// Where training starts: the adapter's parameters are copied, not changed.
    public let adapter: Adapter
    /// The rows.
    public let examples: [EncodedExample]
    /// The rows as they were read, for methods that look at them before the first step.
    public let source: [Example]
    /// How it goes.
    public let plan: TrainingPlan
    /// Measures parameters on validation data.
    public let validate: ((ParameterSet, _ step: Int) throws -> ValidationPoint)?
    /// Given the parameters after every step, which training goes on to change in place.
    public var keep: ((ParameterSet, _ step: Int) throws -> Void)?

    /// A trainer.
    ///
    /// - Throws: `HoneError` where the plan is out of bounds, or no row has a target.
    public init(
        model: BaseModel, adapter: Adapter, examples: [EncodedExample], source: [Example] = [], plan: TrainingPlan,
        validate: ((ParameterSet, _ step: Int) throws -> ValidationPoint)? = nil
    ) throws {
        try plan.check()
        let examples = examples.map(adapter.method.learned)
        let usable = examples.filter { $0.targetCount > 0 }
        guard !usable.isEmpty else {
            throw HoneError(.badData, "no row has a target left to learn; raise --max-length or check the completions")
        }
        self.model = model
        self.adapter = adapter
        self.source = source
        // In file order even rows without targets keep their place, so that steps are what the file says.
        self.examples = plan.order == .file ? examples : usable
        self.plan = plan
        self.validate = validate
    }

    /// Runs until the end, or until `shouldStop` says so.
    ///
    /// - Parameters:
    ///   - checkpoints: where checkpoints go, and from where a run is resumed.
    ///   - resume: whether to go on from the last checkpoint.
    ///   - checkpointSeconds: where the plan does not count steps, a checkpoint is written after so much time; when one is
    ///     written does not influence any number.
    ///   - stages: how much of the method's own work before the first step and after the last is done.
    ///   - shouldStop: asked after every step.
    ///   - report: told what happens.
    public func run(
        checkpoints: CheckpointStore? = nil, resume: Bool = false, checkpointSeconds: Double = 60,
        stages: Stages = .all, shouldStop: () -> Bool = { false },
        report: (TrainingEvent) throws -> Void = { _ in }
    ) throws -> TrainingOutcome {
        var state = try TrainingState(parameters: adapter.parameters.copied())
        var isFresh = true
        if resume, let checkpoints {
            let (found, warnings) = try checkpoints.latest(like: state)
            for warning in warnings { try report(.warning(warning)) }
            if let found {
                state = found
                isFresh = false
            } else {
                try report(.warning("there is no checkpoint to go on from; starting from the beginning"))
            }
        }
        try report(.begin(after: state.step))
        /// Writes a checkpoint. The first one of a new run replaces those that an earlier run has left.
        var replacesOthers = !resume
        func save() throws {
            guard let checkpoints else { return }
            if replacesOthers { try checkpoints.clear() }
            replacesOthers = false
            try checkpoints.write(state)
            try report(.checkpoint(step: state.step))
        }
        if isFresh, stages != .none, adapter.method.hasStages {
            do {
                try state.parameters = prepared(state.parameters, shouldStop: shouldStop, report: report)
            } catch is CancellationError {
                return TrainingOutcome(
                    parameters: state.parameters, best: nil, steps: 0, ending: .interrupted, trainingSeconds: 0)
            }
            try state.optimizer.extend(to: state.parameters)
        }
        try state.parameters.makeTrainable()
        let objective = Objective(model: model, task: adapter.task, method: adapter.method)
        let trunk = try TrunkCache(objective, examples, parameters: state.parameters, plan: plan)
        var cursor = BatchOrder.Cursor(BatchOrder(lengths: examples.map(\.length), plan: plan))
        var trainingSeconds = 0.0
        var ending = TrainingOutcome.Ending.finished
        var savedAt = monotonicSeconds()
        if state.stoppedEarly { ending = .stoppedEarly }
        while state.step < plan.steps, ending == .finished {
            let started = monotonicSeconds()
            let rows = cursor.rows(step: state.step)
            let step: TrainingStep
            do {
                step = try self.step(rows, &state, objective: objective, trunk: trunk, report: report)
            } catch let error as HoneError where error.code == .notFinite {
                // The bad steps have changed nothing: what was learned before them is kept.
                try save()
                throw error
            }
            trainingSeconds += monotonicSeconds() - started
            try report(.step(step))
            try keep?(state.parameters, state.step)
            let isLast = state.step == plan.steps
            if let validate, isLast || (plan.evaluateEvery > 0 && state.step % plan.evaluateEvery == 0) {
                let point = try validate(state.parameters, state.step)
                try report(.validation(point))
                try state.note(point, mayBeBest: adapter.method.isComplete(after: plan.report(of: state.step)))
                if plan.patience > 0, state.evaluationsWithoutImprovement >= plan.patience {
                    state.stoppedEarly = true
                    ending = .stoppedEarly
                }
            }
            let stops = shouldStop() && !isLast && ending == .finished
            let isDue =
                plan.checkpointEvery > 0
                ? state.step % plan.checkpointEvery == 0 : monotonicSeconds() - savedAt > checkpointSeconds
            if isLast || stops || isDue || ending == .stoppedEarly {
                try save()
                savedAt = monotonicSeconds()
            }
            if stops {
                ending = .interrupted
                break
            }
        }
        var parameters = try state.best?.parameters ?? state.parameters.copied()
        if ending != .interrupted, stages == .all, adapter.method.hasStages {
            do {
                try finish(&parameters, shouldStop: shouldStop, report: report)
            } catch is CancellationError {
                // The checkpoint of the last step is there: a resumed run does this stage again.
                ending = .interrupted
            }
        }
        return TrainingOutcome(
            parameters: parameters, best: state.best?.point, steps: state.step, ending: ending,
            trainingSeconds: trainingSeconds)
    }

    private func step(
        _ places: [Int], _ state: inout TrainingState, objective: Objective, trunk: TrunkCache?,
        report: (TrainingEvent) throws -> Void
    ) throws -> TrainingStep {
        let started = monotonicSeconds()
        let rows = places.map { examples[$0] }
        let number = state.step + 1
        let targets = rows.reduce(0) { $0 + $1.targetCount }
        for parameter in state.parameters.trained { parameter.tensor.clearGradient() }
        let dropout = DropoutSource(seed: plan.seed, step: number)
        var loss = 0.0
        var term: Double?
        if targets > 0 {
            let piece = (rows.count + plan.accumulation - 1) / plan.accumulation
            for start in stride(from: 0, to: rows.count, by: piece) {
                let range = start..<min(start + piece, rows.count)
                let some = Array(rows[range])
                guard some.contains(where: { $0.targetCount > 0 }) else { continue }
                let sum = try withGradients {
                    try objective.loss(
                        some, parameters: state.parameters, dropout: dropout,
                        trunk: trunk?.states(of: Array(places[range]))) / Double(targets)
                }
                loss += try sum.item()
                try sum.backward()
            }
            if let penalty = try withGradients({ try adapter.method.penalty(state.parameters) }) {
                try penalty.backward()
                term = try penalty.item()
            }
        }
        let rate = plan.learningRate(at: number)
        let update = try state.update(loss: loss, plan: plan, method: adapter.method)
        if !update.isTaken {
            try report(.warning("step \(number): the loss or a gradient is not finite; the step is left out"))
            try state.checkBadSteps(learningRate: rate)
        }
        return TrainingStep(
            step: number, loss: loss, learningRate: rate, tokens: rows.reduce(0) { $0 + $1.length },
            seconds: monotonicSeconds() - started, gradientNorm: update.gradientNorm, penalty: term)
    }
}
