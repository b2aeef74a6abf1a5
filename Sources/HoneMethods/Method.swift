import HoneFormats
import HoneModels
import HoneTorch

/// What a method has to know about a task.
public enum TaskShape: Hashable, Sendable {
    /// One of so many classes.
    case classification(classes: Int)
    /// Text that goes on from a prompt.
    case generation
}

/// What happened in a training step, for methods that change between steps.
public struct StepReport {
    /// The step just done, counted from 1.
    public var step: Int
    /// How many there will be.
    public var totalSteps: Int
    /// The run's seed.
    public var seed: UInt64

    /// A report of a step.
    public init(step: Int, totalSteps: Int, seed: UInt64 = 0) {
        self.step = step
        self.totalSteps = totalSteps
        self.seed = seed
    }

    /// A stream of random numbers for a purpose: the same at the same step of the same run, also of a resumed one.
    public func random(_ purpose: String) -> RandomStream {
        RandomStream(seed: seed, name: purpose, counter: UInt64(step) << 24)
    }
}

/// A way of adapting a model.
///
/// A method is a value: its settings, and functions from parameters to attachments. What is learned lives in a
/// `ParameterSet`; the model is never changed. A new method is one file with one conforming type, one row in the
/// conformance matrix and one entry in `Methods.all`. What it does not need has a default.
public protocol Method: Sendable {
    /// What it is, what it costs, what can be set.
    static var card: MethodCard { get }
    /// The values of its settings.
    var settings: MethodSettings { get }
    /// A method with settings of its own card.
    init(_ settings: MethodSettings)

    /// How many of the model's positions the method takes away from every row.
    var addedPositions: Int { get }

    /// Checks that the method can work on a model and a task.
    ///
    /// - Throws: `HoneError` with code `.mismatch`: one sentence that says why it cannot.
    func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws

    /// The tensors that training starts from.
    func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet

    /// Where training starts that goes on from an earlier adapter of this base.
    ///
    /// - Returns: the method to train, which may be another, and its tensors.
    /// - Throws: `HoneError` with code `.mismatch` where the method cannot go on from that adapter.
    func continuing(
        _ earlier: any Method, _ parameters: ParameterSet, for model: BaseModel, random: inout RandomStream
    ) throws -> (method: any Method, parameters: ParameterSet)

    /// What the parameters attach to the model. Called for every forward pass, so that it may depend on the step.
    ///
    /// - Parameter dropout: draws dropout masks in training; `nil` otherwise.
    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments

    /// The same for certain rows, for methods that treat rows of one batch differently.
    func attachments(
        _ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?, rows: [EncodedExample]
    ) throws -> Attachments

    /// A row as the method learns it: some of its targets may be left out.
    func learned(of row: EncodedExample) -> EncodedExample

    /// How a parameter is trained, where that differs from the plan.
    func rule(for parameter: Parameter) -> TrainingRule

    /// A term to add to the loss.
    func penalty(_ parameters: ParameterSet) throws -> Tensor?

    /// Whether the method has work to do before the first step or after the last: `prepare` or `finish`.
    var hasStages: Bool { get }

    /// Changes the initial parameters with the data at hand, before the first step. A resumed run does not do it again. What
    /// `initialParameters` gives must be trainable without it: time is measured so.
    func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws

    /// What the two cost, counted in steps of the run, so that a search stays within its budget.
    ///
    /// - Parameters:
    ///   - steps: how many steps the run has.
    ///   - rows: how many rows there are to learn from.
    ///   - batchSize: how many rows a step has.
    func stageCost(steps: Int, rows: Int, batchSize: Int) -> StageCost

    /// Changes the parameters after the last step, or those of the best validation.
    func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws

    /// Changes the parameters after a step (growing, pruning, re-routing), with the gradients of the step, after clipping, still
    /// in them. Gives whether tensors were added, replaced or taken out.
    func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool

    /// Whether the parameters after a step may be kept as the run's best: not, for instance, before a method has come down to
    /// its budget.
    func isComplete(after report: StepReport) -> Bool

    /// What there is to show of the parameters: drawn in reports and printed by `hone inspect`.
    func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure]

    /// What is attached as low-rank changes of linear maps, where it is no more than that: it can be written as a plain LoRA, with
    /// a rank of its own for each map. `nil` otherwise.
    func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]?

    /// The base weights that differ once the adapter is folded in, by their names; `nil` where it cannot be folded in.
    func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]?

    /// Writes the parameters into files of an adapter folder.
    func write(_ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter) throws

    /// Reads back what `write`, or PEFT, has written.
    static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws -> (
        method: Self, parameters: ParameterSet
    )
}

extension Method {
    /// None.
    public var addedPositions: Int { 0 }

    /// The earlier adapter as it is, which must be of this method.
    public func continuing(
        _ earlier: any Method, _ parameters: ParameterSet, for model: BaseModel, random: inout RandomStream
    ) throws -> (method: any Method, parameters: ParameterSet) {
        guard earlier.name == name else {
            throw HoneError(.mismatch, "holds an adapter of `\(earlier.name)`, not of `\(name)`")
        }
        return (earlier, parameters)
    }

    /// What is attached whatever the rows are.
    public func attachments(
        _ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?, rows: [EncodedExample]
    ) throws -> Attachments {
        try attachments(parameters, model: model, dropout: dropout)
    }

    /// All of the row.
    public func learned(of row: EncodedExample) -> EncodedExample { row }

    /// As the plan says.
    public func rule(for parameter: Parameter) -> TrainingRule { TrainingRule() }

    /// No.
    public var hasStages: Bool { false }

    /// Nothing worth counting.
    public func stageCost(steps: Int, rows: Int, batchSize: Int) -> StageCost { StageCost() }

    /// Nothing.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {}

    /// Nothing.
    public func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {}

    /// Always.
    public func isComplete(after report: StepReport) -> Bool { true }

    /// No term.
    public func penalty(_ parameters: ParameterSet) throws -> Tensor? { nil }

    /// Nothing.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] { [] }

    /// No such form.
    public func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]? { nil }

    /// No change.
    public func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool { false }

    /// Fits everywhere.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {}

    /// The method's name.
    public var name: String { Self.card.name }
}

/// Where dropout masks come from during one training step: the same step draws the same masks.
public final class DropoutSource {
    private var stream: RandomStream

    /// The masks of a step under a seed.
    public init(seed: UInt64, step: Int) {
        stream = RandomStream(seed: seed, name: "dropout", counter: UInt64(step) << 24)
    }

    /// A tensor with elements dropped at a rate and the others scaled up.
    public func apply(rate: Double, to tensor: Tensor) throws -> Tensor {
        guard rate > 0 else { return tensor }
        let mask = try stream.dropoutMask(tensor.shape, keeping: 1 - rate)
        return try tensor * mask.to(tensor.dtype).to(tensor.device)
    }

    /// Numbers spread evenly from 0 to 1.
    func uniform(_ shape: [Int]) throws -> Tensor { try stream.uniform(shape, low: 0, high: 1) }
}
