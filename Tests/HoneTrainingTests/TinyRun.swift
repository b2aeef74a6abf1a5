import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Synchronization

/// BitFit that gives not-a-number in chosen forward passes, counted from 1; with one piece a step, that is in those steps.
struct Poisoned: Method {
    static let card = MethodCard(
        name: "poisoned", title: "Poisoned", summary: "Gives not-a-number.", advice: "Never take it.", paper: "none",
        training: .gradient, costRank: 9)
    private final class Counter: Sendable {
        let calls = Mutex(0)
    }
    private struct Poison: StateAttachment {
        func state(_ state: Tensor) throws -> Tensor { try state * Double.nan }
    }

    let settings: MethodSettings
    var passes: Set<Int> = []
    private let counter = Counter()

    init(_ settings: MethodSettings) { self.settings = settings }

    init(passes: Set<Int>) throws {
        settings = try MethodSettings(Poisoned.card)
        self.passes = passes
    }

    private func plain() throws -> BitFit { BitFit(try MethodSettings(BitFit.card)) }

    func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try plain().initialParameters(for: model, random: &random)
    }

    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments {
        // Only a training step gives a source of dropout masks.
        let call = counter.calls.withLock { calls in
            if dropout != nil { calls += 1 }
            return calls
        }
        var attachments = try plain().attachments(parameters, model: model, dropout: dropout)
        if passes.contains(call) { attachments.states["states"] = [Poison()] }
        return attachments
    }

    func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    func write(_ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter) throws
    {}

    static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Poisoned, parameters: ParameterSet)
    {
        throw HoneError(.unsupported, "is never written")
    }
}

/// A run on the tiny encoder that keeps what it was told.
final class TinyRun {
    let scratch: TemporaryFolder
    let model: BaseModel
    var plan: TrainingPlan
    var validate: ((ParameterSet, Int) throws -> ValidationPoint)?
    private(set) var losses: [Int: Double] = [:]
    private(set) var warnings: [String] = []
    private(set) var checkpoints: [Int] = []
    private(set) var last = 0

    init(steps: Int) throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.bert.load(in: scratch)
        plan = TrainingPlan(steps: steps, learningRate: 1e-2)
        plan.batchSize = 4
    }

    func store(_ name: String = "checkpoints", identity: JSON? = nil) throws -> CheckpointStore {
        try CheckpointStore(folder: scratch.path + "/" + name, identity: identity ?? ["plan": plan.json])
    }

    func run(
        _ method: any Method, _ store: CheckpointStore? = nil, resume: Bool = false, stopAfter: Int? = nil
    ) throws -> TrainingOutcome {
        (losses, warnings, checkpoints, last) = ([:], [], [], 0)
        let task = TinyTask.classification(rows: 16)
        let adapter = try Adapter.initial(
            method, for: model, task: task.shape, labels: task.labels, encoding: .init(), seed: 1)
        let encoder = try ExampleEncoder(model, options: .init())
        let trainer = try Trainer(
            model: model, adapter: adapter, examples: try task.examples.map(encoder.encode), plan: plan,
            validate: validate)
        return try trainer.run(
            checkpoints: store, resume: resume, shouldStop: { self.last == stopAfter },
            report: { event in
                switch event {
                case .step(let step):
                    self.losses[step.step] = step.loss
                    self.last = step.step
                case .warning(let sentence): self.warnings.append(sentence)
                case .checkpoint(let step): self.checkpoints.append(step)
                case .begin, .validation, .note: break
                }
            })
    }

    func numbers(_ parameters: ParameterSet) throws -> [[Float]] { try parameters.all.map { try $0.tensor.elements() } }
}
