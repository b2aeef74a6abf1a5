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

    /// A report of a step.
    public init(step: Int, totalSteps: Int) {
        self.step = step
        self.totalSteps = totalSteps
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

    /// What the parameters attach to the model. Called for every forward pass, so that it may depend on the step.
    ///
    /// - Parameter dropout: draws dropout masks in training; `nil` otherwise.
    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments

    /// A term to add to the loss.
    func penalty(_ parameters: ParameterSet) throws -> Tensor?

    /// Changes the parameters after a step (growing, pruning, re-routing). Gives whether tensors were replaced.
    func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool

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

    /// No term.
    public func penalty(_ parameters: ParameterSet) throws -> Tensor? { nil }

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
}
