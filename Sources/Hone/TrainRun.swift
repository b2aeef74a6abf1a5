import Foundation
import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// One method, trained by hand.
public struct TrainRun {
    /// What can be chosen.
    public struct Options: Sendable {
        /// A data file, a folder of them, or a `task.yaml`. Of a single file every row is trained on.
        public var data: String
        /// A file with validation rows.
        public var validation: String?
        /// A file with test rows.
        public var test: String?
        /// The method's name.
        public var method: String
        /// Its settings as typed.
        public var settings: [String: String] = [:]
        /// The folder of the base model, or its name on the Hub; the default encoder where none is named.
        public var model: String?
        /// Downloads a model of the Hub that is not there; one of the environment where none is given.
        public var hub: HubClient?
        /// An adapter folder, of Hone or of PEFT, to start from.
        public var initialAdapter: String?
        /// How many steps; wins over epochs.
        public var steps: Int?
        /// How many epochs.
        public var epochs: Double?
        /// The most tokens of a row.
        public var maximumLength = 256
        /// What the base model computes in; what is trained stays `float32`.
        public var dtype = DType.float32
        /// Whether only libtorch's own operators are used, without fused kernels and packed rows.
        public var exact = false
        /// The device.
        public var device = Device.cpu
        /// Whether prompts begin and completions end with the tokenizer's own tokens.
        public var marksCompletions = false
        /// Whether classification starts from a solved head instead of a random one.
        public var startsFromProbe = false
        /// Whether the classification head of the initial adapter stays as it is.
        public var keepsHead = false
        /// Where the run goes.
        public var out: String?
        /// Whether to go on with the run in `out`; where there is none yet, it begins.
        public var resume = false
        /// How many adapters of late steps are kept beside the run's own, in `adapters/step-N`.
        public var keptAdapters = 0
        /// How many steps lie between two that are kept; the last one is of the last step.
        public var keptEvery = 1
        /// Validate after so many steps; four times a run where not given.
        public var evaluateEvery: Int?
        /// Batch size, learning rate and the like; its `steps` are worked out from the data where epochs are given, and a
        /// learning rate of 0 stands for the method's own.
        public var plan = TrainingPlan(steps: 1, learningRate: 0)

        /// The defaults for some data and a method.
        public init(data: String, method: String) {
            self.data = data
            self.method = method
        }
    }

    /// What came of it.
    public struct Result {
        /// Where everything is.
        public var folder: RunFolder
        /// How training ended.
        public var ending: TrainingOutcome.Ending
        /// The machine-readable summary.
        public var json: JSON
        /// The summary in one sentence.
        public var verdict: String
    }

    /// The choices.
    public let options: Options
    /// Task and model.
    public let preparation: Preparation
    /// Where training starts.
    public let adapter: Adapter
    /// How it goes.
    public let plan: TrainingPlan

    /// Reads data, model and adapter.
    ///
    /// - Throws: `HoneError` for everything that is wrong with them, before any work is done.
    public init(_ options: Options) throws {
        let method = try Methods.make(options.method, typed: options.settings)
        guard (1...1 << 20).contains(options.maximumLength) else {
            throw HoneError(.usage, "must be from 1 to \(1 << 20), not \(options.maximumLength)", item: "--max-length")
        }
        guard options.steps == nil || options.epochs == nil else {
            throw HoneError(.usage, "give --steps or --epochs, not both", item: "--steps")
        }
        guard (1...65536).contains(options.plan.batchSize) else {
            throw HoneError(
                .usage, "must be from 1 to 65536, not \(options.plan.batchSize)", item: "--batch-size")
        }
        if let steps = options.steps, steps < 1 {
            throw HoneError(.usage, "must be at least 1, not \(steps)", item: "--steps")
        }
        if let epochs = options.epochs, !(epochs > 0 && epochs <= 1e6) {
            throw HoneError(.usage, "must be a number above 0, not \(epochs)", item: "--epochs")
        }
        guard options.keptAdapters >= 0 else {
            throw HoneError(.usage, "must not be below 0, not \(options.keptAdapters)", item: "--keep-adapters")
        }
        guard options.keptEvery >= 1 else {
            throw HoneError(.usage, "must be at least 1, not \(options.keptEvery)", item: "--keep-every")
        }
        guard !options.resume || options.out != nil else {
            throw HoneError(.usage, "--resume needs the run's folder: give --out", item: "--resume")
        }
        guard !options.keepsHead || (options.initialAdapter != nil && !options.startsFromProbe) else {
            throw HoneError(
                .usage, "keeps the head of the adapter in --init-adapter, and goes without --probe-head",
                item: "--keep-head")
        }
        let task = try TrainRun.load(options)
        let location = try DefaultModel.location(options.model, hub: options.hub)
        let model = try BaseModel(location, dtype: options.dtype, on: options.device, exact: options.exact)
        preparation = try Preparation(
            task: task, model: model,
            encoding: .init(maximumLength: options.maximumLength, marksCompletions: options.marksCompletions))
        var plan = options.plan
        if plan.learningRate == 0 { plan.learningRate = type(of: method).card.learningRates.first ?? 1e-3 }
        plan.batchSize = plan.order == .file ? plan.batchSize : min(plan.batchSize, preparation.train.count)
        let epochSteps = (preparation.train.count + max(1, plan.batchSize) - 1) / max(1, plan.batchSize)
        let wanted = options.steps ?? Int(((options.epochs ?? 3) * Double(epochSteps)).rounded(.up))
        plan.steps = max(1, wanted)
        if options.keepsHead { plan.headLearningRateFactor = 0 }
        plan.evaluateEvery = options.evaluateEvery ?? max(1, (plan.steps + 3) / 4)
        try plan.check()
        self.options = options
        self.plan = plan
        adapter = try TrainRun.start(options, method: method, preparation: preparation, seed: plan.seed)
    }

    /// Of a plain file every row is trained on; nothing is set aside unless a file or a `task.yaml` says so.
    private static func load(_ options: Options) throws -> TaskData {
        let isPlain =
            !options.data.hasSuffix(".yaml") && !options.data.hasSuffix(".yml") && !FileStatus.isFolder(options.data)
        let whole = TaskDefinition(splits: SplitFractions(validation: 0, test: 0))
        return try TaskData.load(
            path: options.data, validation: options.validation, test: options.test, seed: options.plan.seed,
            definition: isPlain ? whole : nil)
    }

    private static func start(
        _ options: Options, method: any Method, preparation: Preparation, seed: UInt64
    ) throws -> Adapter {
        let model = preparation.model
        var earlier: (method: any Method, parameters: ParameterSet)?
        if let path = options.initialAdapter {
            let folder = try AdapterFolderReader(path: path)
            earlier = try Adapter.readMethod(folder, for: model, task: preparation.shape)
            try folder.checkBase(model)
        }
        var adapter: Adapter
        do {
            adapter = try Adapter.initial(
                method, for: model, task: preparation.shape, labels: preparation.task.labels,
                encoding: preparation.encoding, seed: seed, from: earlier)
        } catch let error as HoneError where earlier != nil && error.item == nil {
            throw HoneError(error.code, error.message, file: options.initialAdapter, item: "--init-adapter")
        }
        if let path = options.initialAdapter {
            let head = try Adapter.head(path, for: model, labels: adapter.labels)
            for parameter in head { adapter.parameters.set(parameter.name, parameter.tensor, group: .head) }
            if options.keepsHead, head.isEmpty {
                throw HoneError(
                    .mismatch, "has no classification head for these labels", file: path, item: "--keep-head")
            }
        }
        if options.startsFromProbe, preparation.shape != .generation, type(of: method).card.training == .gradient {
            let solved = try solvedHead(LinearProbe(MethodSettings(LinearProbe.card)), preparation)
            for parameter in solved.all { adapter.parameters.set(parameter.name, parameter.tensor, group: .head) }
        }
        return adapter
    }

    /// How many threads a run to be resumed was begun with.
    public static func threads(ofRun path: String) -> Int? {
        CheckpointStore.threads(in: RunFolder(path: path).checkpoints)
    }

    private static func solvedHead(_ solver: any SolverMethod, _ preparation: Preparation) throws -> ParameterSet {
        try solver.solve(
            preparation.train, on: preparation.model, labels: preparation.task.labels, encoding: preparation.encoding)
    }

    /// What the run is: a checkpoint of another one is refused.
    var identity: JSON {
        get throws {
            [
                "plan": plan.json, "method": .string(adapter.method.name), "settings": adapter.method.settings.json,
                "model": .string(try preparation.model.fingerprint), "dtype": .string("\(options.dtype)"),
                "exact": .bool(options.exact), "data": .string(preparation.task.dataHash),
                "maximum_length": .integer(preparation.encoding.maximumLength),
                "marks_completions": .bool(preparation.encoding.marksCompletions), "threads": .integer(Engine.threads),
                "instruction_set": .string(Engine.instructionSet),
            ]
        }
    }

    /// Trains, measures, and writes the run folder.
    ///
    /// - Parameters:
    ///   - shouldStop: asked after every step; the run can then be resumed.
    ///   - report: told what happens.
    public func run(shouldStop: @escaping () -> Bool, report: (TrainingEvent) throws -> Void) throws -> Result {
        let folder: RunFolder
        if options.resume, let out = options.out, FileStatus.isFolder(out) {
            folder = RunFolder(path: out)
            folder.removeTemporaryFiles()
        } else {
            folder = try RunFolder.create(options.out, name: RunFolder.name(after: options.data) + "-" + options.method)
        }
        if options.resume, FileStatus.exists(folder.description) {
            throw HoneError(.usage, "this run is finished already; there is nothing to resume", file: folder.path)
        }
        let started = Date()
        let clock = monotonicSeconds()
        for warning in preparation.warnings { try report(.warning(warning)) }
        if plan.patience > 0, preparation.task.split.validation.isEmpty {
            try report(.warning("--patience has no effect: there are no validation rows; give --validation"))
        }
        let trained: Trained
        switch type(of: adapter.method).card.training {
        case .gradient: trained = try train(folder, shouldStop: shouldStop, report: report)
        case .solver, .none:
            do {
                trained = try Trained(adapter: untrained(shouldStop: shouldStop, report: report), ending: .finished)
            } catch is CancellationError {
                trained = Trained(adapter: adapter, ending: .interrupted)
            }
        }
        if trained.ending == .interrupted {
            return Result(
                folder: folder, ending: .interrupted,
                json: ["run": .string(folder.path), "interrupted": true, "steps": .integer(trained.steps)],
                verdict:
                    "stopped after step \(trained.steps) of \(plan.steps); go on with --resume --out \(folder.path)")
        }
        return try finish(trained, folder: folder, started: started, clock: clock)
    }

    /// What training leaves for the run folder.
    struct Trained {
        var adapter: Adapter
        var ending: TrainingOutcome.Ending
        var steps = 0
        var seconds = 0.0
        var tokens = 0
        var losses: [(step: Int, loss: Double)] = []
        var points: [ValidationPoint] = []
    }

    /// What validation says of parameters, where there are validation rows.
    private var validate: ((ParameterSet, Int) throws -> ValidationPoint)? {
        adapter.validation(on: preparation.model, rows: preparation.task.split.validation, seed: plan.seed)
    }

    private func train(
        _ folder: RunFolder, shouldStop: @escaping () -> Bool, report: (TrainingEvent) throws -> Void
    ) throws -> Trained {
        let store = try CheckpointStore(folder: folder.checkpoints, identity: try identity)
        // Opened when it is known after which step the run goes on: the newest checkpoint may be damaged.
        var log: TrainingLog?
        var validations: TrainingLog?
        var trained = Trained(adapter: adapter, ending: .finished)
        var trainer = try Trainer(
            model: preparation.model, adapter: adapter, examples: preparation.train,
            source: preparation.task.split.train, plan: plan, validate: validate)
        trainer.keep = { parameters, step in try keepAdapter(parameters, of: step, in: folder) }
        let outcome = try trainer.run(checkpoints: store, resume: options.resume, shouldStop: shouldStop) { event in
            switch event {
            case .begin(let step):
                log = try TrainingLog(path: folder.log, after: step)
                validations = try TrainingLog(path: folder.validation, after: step)
            case .step(let step): try log?.write(step)
            case .validation(let point): try validations?.write(point)
            default: break
            }
            try report(event)
        }
        // The logs hold the whole run, also what an earlier process did of it.
        for line in try TrainingLog.lines(of: folder.log) {
            guard let step = line["step"]?.integer, let loss = line["loss"]?.number else { continue }
            trained.losses.append((step, loss))
            trained.tokens += line["tokens"]?.integer ?? 0
            trained.seconds += line["seconds"]?.number ?? 0
        }
        for line in try TrainingLog.lines(of: folder.validation) {
            guard let step = line["step"]?.integer, let score = line["validation_score"]?.number,
                let loss = line["validation_loss"]?.number
            else { continue }
            trained.points.append(ValidationPoint(step: step, score: score, loss: loss))
        }
        trained.adapter.parameters = outcome.parameters
        trained.ending = outcome.ending
        trained.steps = outcome.steps
        return trained
    }

    /// Writes the adapter of a late step, where the options want it.
    private func keepAdapter(_ parameters: ParameterSet, of step: Int, in folder: RunFolder) throws {
        let left = plan.steps - step
        guard left % options.keptEvery == 0, left / options.keptEvery < options.keptAdapters else { return }
        var kept = adapter
        kept.parameters = parameters
        let path = folder.keptAdapter(step)
        // A resumed run comes by here again.
        if FileStatus.isFolder(path) { try FileManager.default.removeItem(atPath: path) }
        try AtomicFolder.makeWithParents((path as NSString).deletingLastPathComponent)
        try AtomicFolder.create(at: path) { try kept.write(to: $0, for: preparation.model) }
    }

    private func untrained(shouldStop: () -> Bool, report: (TrainingEvent) throws -> Void) throws -> Adapter {
        if let solver = adapter.method as? any SolverMethod {
            var solved = adapter
            solved.parameters = try TrainRun.solvedHead(solver, preparation)
            return solved
        }
        return try adapter.untrained(
            on: preparation.model, examples: preparation.train, source: preparation.task.split.train, plan: plan,
            validate: validate, shouldStop: shouldStop, report: report)
    }
}
