import Foundation
import HoneEvaluation
import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneReports
import HoneTasks
import HoneTorch

/// The main job: a base model and a table of examples in, a measured specialist out.
public struct Fit {
    /// What can be chosen.
    public struct Options: Sendable {
        /// A data file, a folder of them, or a `task.yaml`.
        public var data: String
        /// A file with validation rows.
        public var validation: String?
        /// A file with test rows.
        public var test: String?
        /// The folder of the base model, or its name on the Hub; the default encoder where none is named.
        public var model: String?
        /// Downloads a model of the Hub that is not there; one of the environment where none is given.
        public var hub: HubClient?
        /// The methods to try; those that `fit` tries by default and that fit where none is named.
        public var methods: [String] = []
        /// The learning rates that every gradient method tries, the usual one first; each method's own where there are none.
        public var learningRates: [Double] = []
        /// How long the search may take, in seconds.
        public var budget = 900.0
        /// Where the run goes.
        public var out: String?
        /// What everything random is drawn from.
        public var seed: UInt64 = 0
        /// The most tokens of a row; chosen from the data where none is given.
        public var maximumLength: Int?
        /// How many rows a step has.
        public var batchSize = 32
        /// How many threads; calibrated where none is given.
        public var threads: Int?
        /// An earlier run whose search is done again, step for step; its methods, seed, batch size and lengths win.
        public var repeating: SearchPlan?

        /// The defaults for some data.
        public init(data: String) { self.data = data }
    }

    /// The choices.
    public let options: Options
    /// Task and model.
    public let preparation: Preparation
    /// The methods to be tried.
    public let methods: [any Method]

    /// Reads data and model.
    ///
    /// - Throws: `HoneError` for everything that is wrong with options, data or model, before any work is done.
    public init(_ given: Options) throws {
        var options = given
        if let plan = options.repeating {
            options.methods = plan.methods
            options.seed = plan.seed
            options.batchSize = plan.batchSize
            options.learningRates = plan.learningRates
            options.maximumLength = plan.maximumLength
        }
        guard options.budget > 0, options.budget.isFinite else {
            throw HoneError(.usage, "must be a time above zero, such as 15m", item: "--budget")
        }
        guard (1...65536).contains(options.batchSize) else {
            throw HoneError(.usage, "must be from 1 to 65536, not \(options.batchSize)", item: "--batch-size")
        }
        for rate in options.learningRates where !(rate > 0 && rate.isFinite) {
            throw HoneError(.usage, "must be numbers above 0, not \(rate)", item: "--learning-rates")
        }
        let names = options.methods
        for name in names { _ = try Methods.named(name) }
        self.options = options
        let task = try TaskData.load(
            path: options.data, validation: options.validation, test: options.test, seed: options.seed)
        guard !task.split.validation.isEmpty else {
            throw HoneError(
                .badData, "there are no validation rows to choose by; give more rows, or a --validation file",
                file: options.data)
        }
        if options.model == nil, task.kind == .generation {
            throw HoneError(
                .usage, "the task is to generate text (\(task.verdict)); name a decoder with --model", item: "--model")
        }
        if options.model == nil, task.definition.columns.image != nil {
            throw HoneError(
                .usage, "the rows are images (\(task.verdict)); name a model of images (ViT, DeiT) with --model",
                item: "--model")
        }
        let model = try BaseModel(DefaultModel.location(options.model, hub: options.hub))
        methods = try (names.isEmpty ? Methods.triedByDefault : names).map { try Methods.make($0) }
        // All methods read rows of one length, so that their losses are of the same tokens.
        let room = max(1, model.maximumLength - (methods.map(\.addedPositions).max() ?? 0))
        let length = try options.maximumLength ?? min(room, Preparation.suggestedLength(task, model))
        guard (1...1 << 20).contains(length) else {
            throw HoneError(.usage, "must be from 1 to \(1 << 20), not \(length)", item: "--max-length")
        }
        preparation = try Preparation(
            task: task, model: model, encoding: .init(maximumLength: length, marksCompletions: true))
        if !names.isEmpty {
            for method in methods { try method.checkFit(model.configuration, preparation.shape) }
        }
    }

    /// What came of it.
    public struct Result {
        /// Where everything is.
        public var folder: RunFolder
        /// What the search found.
        public var outcome: Search.Outcome
        /// The chosen specialist on validation.
        public var validation: Evaluation
        /// The chosen specialist on the test rows, read once; none where there are none.
        public var test: Evaluation?
        /// The machine-readable summary.
        public var json: JSON
        /// The summary in one sentence.
        public var verdict: String
    }

    /// Searches, chooses, measures, and writes the run folder.
    ///
    /// - Parameters:
    ///   - shouldStop: asked after every step; the run then ends with what has been measured.
    ///   - report: told what happens.
    public func run(shouldStop: @escaping () -> Bool, report: (SearchEvent) throws -> Void) throws -> Result {
        let folder = try RunFolder.create(options.out, name: RunFolder.name(after: options.data))
        let started = Date()
        let clock = monotonicSeconds()
        let search = Search(
            preparation, methods: methods, budget: options.budget, seed: options.seed, batchSize: options.batchSize,
            learningRates: options.learningRates, repeating: options.repeating)
        let log = try SearchLog(folder)
        let outcome = try search.run(shouldStop: shouldStop) { event in
            try log.write(event)
            try report(event)
        }
        let chosen = outcome.results[outcome.chosen]
        guard let adapter = chosen.adapter, var validation = chosen.validation else {
            throw HoneError(.badData, "the chosen method left no adapter")
        }
        let specialist = try Specialist(base: preparation.model, adapter: adapter)
        if preparation.shape == .generation {
            // Scores chose; what is reported also says whether whole answers are right.
            validation = try Evaluation.measure(
                specialist, on: preparation.task.split.validation, split: "validation", seed: options.seed)
        }
        let test =
            preparation.task.split.test.isEmpty
            ? nil
            : try Evaluation.measure(specialist, on: preparation.task.split.test, split: "test", seed: options.seed)
        try folder.replaceAdapter { try adapter.write(to: $0, for: preparation.model) }
        let seconds = monotonicSeconds() - clock
        let writer = RunWriter(
            folder: folder, preparation: preparation, seed: options.seed, started: started, seconds: seconds)
        let verdict = writer.verdict(chosen.name, validation: validation, test: test)
        var description = try writer.description(verb: "fit", method: adapter.method)
        description["options"] = [
            "methods": .array(methods.map { .string($0.name) }), "budget_seconds": .number(options.budget),
            "batch_size": .integer(options.batchSize),
            "learning_rates": .array(options.learningRates.map { .number($0) }),
        ]
        description["plan"] = outcome.plan
        description["chosen"] = .string(chosen.name)
        description["interrupted"] = .bool(outcome.wasInterrupted)
        let summary = writer.metrics(
            validation: validation, test: test, methods: outcome.results, chosen: chosen.name,
            explanation: outcome.explanation)
        try writer.write(
            description: description, metrics: summary, predictions: test ?? validation,
            examples: test != nil ? preparation.task.split.test : preparation.task.split.validation)
        var content = try writer.report(
            verdict: verdict, results: outcome.results, chosen: chosen.name, explanation: outcome.explanation,
            validation: validation, test: test)
        content.figures = try adapter.figures(of: preparation.model).map(ReportContent.Figure.init)
        content.settings = JSON.object(description).text(pretty: true)
        try HTMLReport(content).write(to: folder.report)
        var json = summary
        json["run"] = .string(folder.path)
        json["method"] = .string(chosen.name)
        json["report"] = .string(folder.report)
        json["seconds"] = .number(seconds)
        json["verdict"] = .string(verdict)
        json["interrupted"] = .bool(outcome.wasInterrupted)
        return Result(
            folder: folder, outcome: outcome, validation: validation, test: test, json: .object(json), verdict: verdict)
    }
}
