import HoneModels
import HoneTasks

/// How one parameter is trained, where that differs from the run's plan.
public struct TrainingRule: Hashable, Sendable {
    /// Its learning rate over the plan's.
    public var learningRateFactor: Double
    /// Its decoupled weight decay; the plan's where `nil`.
    public var weightDecay: Double?

    /// A rule; without arguments, the plan as it is.
    public init(learningRateFactor: Double = 1, weightDecay: Double? = nil) {
        self.learningRateFactor = learningRateFactor
        self.weightDecay = weightDecay
    }
}

/// What a method's own work before the first step and after the last costs, counted in steps of the run.
public struct StageCost: Hashable, Sendable {
    /// The work of `prepare`.
    public var before: Double
    /// The work of `finish`.
    public var after: Double

    /// A cost; without arguments, none.
    public init(before: Double = 0, after: Double = 0) {
        self.before = before
        self.after = after
    }

    /// What reading rows without a gradient costs.
    public static func reading(rows: Int, batchSize: Int) -> Double {
        // Forward and back is three times as much arithmetic as forward.
        Double(rows) / Double(max(1, batchSize)) / 3
    }
}

/// What a method may use before the first step and after the last.
public struct TrainingContext {
    /// The frozen base.
    public let model: BaseModel
    /// What the task looks like.
    public let task: TaskShape
    /// The names of the classes, in classification.
    public let labels: [String]
    /// The training rows as tokens.
    public let rows: [EncodedExample]
    /// The training rows as they were read; empty where the caller has only tokens.
    public let examples: [Example]
    /// How examples are turned into tokens.
    public let encoding: ExampleEncoder.Options
    /// The run's seed.
    public let seed: UInt64
    /// How many steps the run has.
    public let steps: Int
    /// How many rows a step has.
    public let batchSize: Int
    /// The run's learning rate.
    public let learningRate: Double
    /// Trains parameters with a method of their own for some steps at a learning rate, otherwise as the run's plan says; gives
    /// what came of it, and leaves what it was given.
    public let train:
        (_ method: any Method, _ parameters: ParameterSet, _ steps: Int, _ learningRate: Double) throws -> ParameterSet
    /// The mean loss over the targets of some rows, with its gradients left in the tensors that require them (none are cleared).
    public let gradients: (_ method: any Method, _ parameters: ParameterSet, _ rows: [EncodedExample]) throws -> Double
    /// What validation says of parameters of the run's method, where there are validation rows: what is to be high, and the loss.
    public let validate: ((ParameterSet) throws -> (score: Double, loss: Double))?
    /// Tells a person something.
    public let note: (String) throws -> Void
    /// Ends the work where a person has asked for it: to be called between pieces of a long stage.
    ///
    /// - Throws: `CancellationError`.
    public let checkStop: () throws -> Void

    /// A context from its parts.
    public init(
        model: BaseModel, task: TaskShape, labels: [String], rows: [EncodedExample], examples: [Example],
        encoding: ExampleEncoder.Options, seed: UInt64, steps: Int, batchSize: Int, learningRate: Double,
        train: @escaping (any Method, ParameterSet, Int, Double) throws -> ParameterSet,
        gradients: @escaping (any Method, ParameterSet, [EncodedExample]) throws -> Double,
        validate: ((ParameterSet) throws -> (score: Double, loss: Double))?,
        note: @escaping (String) throws -> Void, checkStop: @escaping () throws -> Void
    ) {
        self.model = model
        self.task = task
        self.labels = labels
        self.rows = rows
        self.examples = examples
        self.encoding = encoding
        self.seed = seed
        self.steps = steps
        self.batchSize = batchSize
        self.learningRate = learningRate
        self.train = train
        self.gradients = gradients
        self.validate = validate
        self.note = note
        self.checkStop = checkStop
    }
}
