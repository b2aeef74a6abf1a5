import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// What the conformance matrix has to know about a method: its row.
public struct ConformanceRow: Sendable {
    /// The method with the settings to test.
    public var method: any Method
    /// Whether an untrained adapter leaves the base's output as it is, bit for bit.
    public var startsAtBase: Bool
    /// How many numbers the method trains on a model, without the classification head.
    public var parameterCount: @Sendable (TransformerConfiguration) -> Int
    /// The learning rate; the first of the method's card where left out.
    public var learningRate: Double?
    /// How many steps of eight rows the loss has to fall in.
    public var steps = 50
    /// The share of the first steps' loss that the last steps' may be at most.
    public var largestShare = 0.8
    /// How far a loss may be off where steps are cut into pieces, relative to the largest. Rounding becomes more where a method adds
    /// small tensors in training: the optimiser's first step on them is as long whatever the gradient.
    public var accumulationTolerance = 1e-6

    /// A row for a method.
    public init(
        _ method: any Method, startsAtBase: Bool, learningRate: Double? = nil,
        parameterCount: @escaping @Sendable (TransformerConfiguration) -> Int
    ) {
        self.method = method
        self.startsAtBase = startsAtBase
        self.learningRate = learningRate
        self.parameterCount = parameterCount
    }
}

/// What every method must hold, whoever wrote it; adding a method adds a row here and no test.
///
///     let row = ConformanceRow(MyMethod(settings), startsAtBase: true) { $0.width * $0.layerCount }
///     #expect(try Conformance.findings(row, on: .llama, task: .generation()).isEmpty)
///
/// Nothing is compared with a tolerance that could be exact: frozen weights, detaching, files and resumed runs are
/// compared bit for bit.
public struct Conformance {
    /// One thing that a method must hold.
    public enum Check: String, CaseIterable, Sendable {
        /// The loss falls, and every trained tensor takes part.
        case learns
        /// Training leaves the base's weights as they were, and taking the adapter off gives the base's output.
        case leavesTheBase
        /// An untrained adapter changes nothing, where the row says so.
        case startsAtTheBase
        /// Weights with the adapter folded in compute what the adapter computes.
        case mergesExactly
        /// A model folder with the adapter folded in computes what the adapter computes; one that cannot be is refused.
        case exportsWhole
        /// Files hold all of the adapter: results, settings and a second writing are the same.
        case survivesFiles
        /// Damaged files and files for another base are refused with a sentence.
        case refusesWrongFiles
        /// A run that was stopped and resumed ends with the same numbers.
        case resumesExactly
        /// There are as many parameters as the row says.
        case countsParameters
        /// A step cut into pieces is the same step.
        case accumulates
        /// A row's result does not depend on the rows beside it.
        case ignoresPadding
        /// In a batch with rows of other adapters and of the base alone, a row's result is its own; switching changes nothing.
        case sharesABatch
        /// Settings that are unknown, out of bounds or of the wrong kind are refused by name.
        case refusesWrongSettings
    }

    /// Something that does not hold.
    public struct Finding: Sendable, CustomStringConvertible {
        /// What should hold.
        public var check: Check
        /// What was seen instead.
        public var sentence: String

        /// `check: sentence`
        public var description: String { "\(check.rawValue): \(sentence)" }
    }

    let row: ConformanceRow
    let model: BaseModel
    let other: BaseModel
    let task: TinyTask
    let scratch: TemporaryFolder
    let encoded: [EncodedExample]

    /// Everything that does not hold for a method on a tiny model and a task; empty where all is well.
    ///
    /// - Throws: `HoneError` where the model cannot be made, or with code `.mismatch` where the method says that it does
    ///   not fit.
    public static func findings(_ row: ConformanceRow, on model: TinyModel, task: TinyTask) throws -> [Finding] {
        let scratch = try TemporaryFolder()
        let conformance = try Conformance(
            row: row, model: model.load(in: scratch, seed: 1), other: model.load(in: scratch, seed: 2), task: task,
            scratch: scratch)
        return try conformance.findings()
    }

    /// Why a method does not work on a model and a task, in its own words; `nil` where it does.
    ///
    /// - Throws: an error that is no refusal with code `.mismatch`.
    public static func refusal(_ method: any Method, on model: TinyModel, task: TinyTask) throws -> String? {
        let scratch = try TemporaryFolder()
        let base = try model.load(in: scratch)
        do {
            _ = try Adapter.initial(
                method, for: base, task: task.shape, labels: task.labels, encoding: .init(), seed: 0)
            return nil
        } catch let error as HoneError where error.code == .mismatch {
            return error.description
        }
    }

    private init(row: ConformanceRow, model: BaseModel, other: BaseModel, task: TinyTask, scratch: TemporaryFolder)
        throws
    {
        self.row = row
        self.model = model
        self.other = other
        self.task = task
        self.scratch = scratch
        let encoder = try ExampleEncoder(model, options: Conformance.encoding)
        encoded = try task.examples.map(encoder.encode)
    }

    static let encoding = ExampleEncoder.Options(maximumLength: 40, marksCompletions: true)
    static let batchSize = 8

    private func findings() throws -> [Finding] {
        let before = try hashes(model)
        let statesBefore = try states(model.transformer)
        let initial = try initialAdapter(row.method)
        let trained = try train(initial)
        var findings: [Finding] = []
        for check in Check.allCases {
            do {
                let sentences =
                    switch check {
                    case .learns: try learns(initial, trained)
                    case .leavesTheBase: try leavesTheBase(before, statesBefore, trained.adapter)
                    case .startsAtTheBase: try startsAtTheBase(initial, statesBefore)
                    case .mergesExactly: try mergesExactly(trained.adapter, statesBefore)
                    case .exportsWhole: try exportsWhole(trained.adapter)
                    case .survivesFiles: try survivesFiles(trained.adapter)
                    case .refusesWrongFiles: try refusesWrongFiles(trained.adapter)
                    case .resumesExactly: try resumesExactly()
                    case .countsParameters: try countsParameters(initial)
                    case .accumulates: try accumulates(initial)
                    case .ignoresPadding: try ignoresPadding(trained.adapter)
                    case .sharesABatch: try sharesABatch(initial, trained.adapter)
                    case .refusesWrongSettings: try refusesWrongSettings()
                    }
                findings += sentences.map { Finding(check: check, sentence: $0) }
            } catch {
                findings.append(Finding(check: check, sentence: "an error was thrown: \(error)"))
            }
        }
        return findings
    }

    // MARK: What the checks share

    func initialAdapter(_ method: any Method) throws -> Adapter {
        try Adapter.initial(
            method, for: model, task: task.shape, labels: task.labels, encoding: Conformance.encoding, seed: 5)
    }

    /// What the adapter answers: probabilities of the classes, or the loss of each completion.
    func answers(_ adapter: Adapter, _ examples: [Example]) throws -> [Double] {
        let specialist = try Specialist(base: model, adapter: adapter)
        switch task.shape {
        case .classification: return try specialist.probabilities(examples).map(Double.init)
        case .generation: return try specialist.targetLosses(try examples.map(specialist.encoder.encode)).map(\.loss)
        }
    }

    /// The states of a few rows, as `float32` numbers.
    func states(_ transformer: Transformer) throws -> [Float] {
        try withoutGradients {
            let rows = Array(encoded.prefix(5))
            let batch = try transformer.batch(rows, padId: model.padId)
            let states: [Float] = try transformer.states(batch).elements()
            guard transformer.configuration.decoder != nil, task.shape == .generation else { return states }
            return states + (try transformer.targetStates(rows, padId: model.padId).states.elements())
        }
    }

    func attached(_ adapter: Adapter) throws -> Transformer {
        try model.transformer.attaching(
            adapter.method.attachments(adapter.parameters, model: model.transformer, dropout: nil))
    }

    /// The bytes of every weight, as hashes.
    func hashes(_ model: BaseModel) throws -> [String: String] {
        try model.transformer.weights.mapValues(Conformance.hash)
    }

    static func hash(_ tensor: Tensor) throws -> String {
        try withoutGradients {
            try tensor.detached().to(.cpu).contiguous().withBytes { FileHash.sha256(of: Array($0)) }
        }
    }

    /// The name of each parameter with its bytes.
    static func hashes(_ parameters: ParameterSet) throws -> [String] {
        try parameters.all.map { "\($0.group.rawValue) \($0.name) \($0.tensor.shape) \(try hash($0.tensor))" }
    }

    /// The largest difference between two lists of numbers; infinite where they cannot be compared.
    static func distance(_ left: [some BinaryFloatingPoint], _ right: [some BinaryFloatingPoint]) -> Double {
        guard left.count == right.count else { return .infinity }
        var largest = 0.0
        for (first, second) in zip(left, right) {
            let difference = abs(Double(first) - Double(second))
            guard difference.isFinite else { return .infinity }
            largest = max(largest, difference)
        }
        return largest
    }
}
