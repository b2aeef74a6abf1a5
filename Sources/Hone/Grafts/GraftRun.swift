import Foundation
import HoneEvaluation
import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// Makes a graft of a model that is fine-tuned already, and measures it against the base and the whole.
public struct GraftRun {
    /// What can be chosen.
    public struct Options: Sendable {
        /// The base model; a run knows its own.
        public var base: String?
        /// The fine-tuned model: a run folder, or a model folder.
        public var finetuned: String
        /// The file with the training rows, or a folder, or a `task.yaml`.
        public var data: String
        /// A file with validation rows.
        public var validation: String?
        /// A file with the rows that are measured on.
        public var test: String?
        /// The settings of the method `graft` as typed.
        public var settings: [String: String] = [:]
        /// The label words of a generation task; the different completions of its training rows where none are named.
        public var labels: [String] = []
        /// The most tokens of a row, where the fine-tuned model does not say.
        public var maximumLength = 256
        /// How many rows are computed together in the search.
        public var batchSize = 8
        /// What everything random is drawn from.
        public var seed: UInt64 = 0
        /// Where models come from that are not on disk.
        public var hub: HubClient?

        /// The defaults for a fine-tuned model and data.
        public init(finetuned: String, data: String) {
            self.finetuned = finetuned
            self.data = data
        }
    }

    /// The base and the fine-tuned model.
    public let source: GraftSource
    private let method: Grafting
    private let options: Options
    private let task: TaskData
    private let labels: [String]

    /// Opens models and data.
    ///
    /// - Throws: `HoneError` for everything that is wrong with them, before any work is done.
    public init(_ options: Options) throws {
        self.options = options
        method = try Grafting(MethodSettings(Grafting.card, typed: options.settings))
        source = try GraftSource(
            base: options.base, finetuned: options.finetuned, maximumLength: options.maximumLength, hub: options.hub)
        var definition = source.definition
        definition.data = nil
        definition.validation = nil
        definition.test = nil
        definition.splits = SplitFractions(validation: 0, test: 0)
        task = try TaskData.load(
            path: options.data, validation: options.validation, test: options.test, seed: options.seed,
            definition: definition)
        switch task.kind {
        case .classification:
            guard !source.head.all.isEmpty else {
                throw HoneError(
                    .mismatch,
                    "a classifier's head is missing: name a run, or a folder with the classification_head.safetensors that "
                        + "`hone export` writes", file: options.finetuned)
            }
            labels = task.labels
            guard labels == source.labels else {
                throw HoneError(
                    .mismatch,
                    "the rows' labels are not those of the fine-tuned model (\(labels.count) and "
                        + "\(source.labels.count))", file: options.data)
            }
        case .generation:
            labels = options.labels.isEmpty ? GraftMeasures.labelWords(task.split.train) : options.labels
        }
    }

    /// A graft with what was measured.
    public struct Result {
        /// The graft.
        public var file: GraftFile
        /// Everything measured.
        public var json: JSON
    }

    private var shape: TaskShape {
        task.kind == .classification ? .classification(classes: labels.count) : .generation
    }

    /// Chooses the coordinates and measures.
    ///
    /// - Parameter note: told what happens.
    public func run(shouldStop: @escaping () -> Bool = { false }, note: (String) -> Void = { _ in }) throws -> Result {
        source.warnings.forEach { note("warning: " + $0) }
        let model = source.base
        let space = try GraftSpace(model, shape)
        let after = try source.after(space)
        var parameters = ParameterSet()
        for (name, tensor) in try space.parts(after) { parameters.set(name, try tensor.cloned()) }
        for parameter in source.head.all { parameters.set(parameter.name, parameter.tensor, group: .head) }
        let adapter = Adapter(
            method: method, task: shape, labels: task.kind == .classification ? labels : [], parameters: parameters,
            encoding: source.encoding)
        let encoder = try ExampleEncoder(model, options: source.encoding)
        var plan = TrainingPlan(steps: 1, learningRate: 1e-3)
        plan.batchSize = options.batchSize
        plan.seed = options.seed
        var validate: ((ParameterSet, Int) throws -> ValidationPoint)?
        let validation = task.split.validation
        if !validation.isEmpty {
            validate = { parameters, step in
                var candidate = adapter
                candidate.parameters = parameters
                let point = try Evaluation.measure(
                    Specialist(base: model, adapter: candidate), on: validation, split: "validation", generates: false
                ).point
                return ValidationPoint(step: step, score: point.score, loss: point.loss)
            }
        }
        let trainer = try Trainer(
            model: model, adapter: adapter, examples: task.split.train.map(encoder.encode), source: task.split.train,
            plan: plan, validate: validate)
        let finished = try trainer.finishing(parameters, shouldStop: shouldStop) { event in
            if case .note(let text) = event { note(text) }
        }
        guard var graft = Grafting.graft(in: finished, for: model.configuration) else {
            throw HoneError(.usage, "keeps everything, so that there is nothing to write", item: "mask=whole")
        }
        graft.selected = space.count
        graft.base = try Graft.Base(of: graft, model: model.transformer)
        let scores = try scores(graft, after: after, space: space)
        let file = GraftFile(graft, head: source.head, labels: labels, scores: scores)
        var json = JSONObject()
        json["k"] = .integer(graft.count)
        json["n"] = .integer(graft.selected)
        json["settings"] = method.settings.json
        json["scores"] = scores
        return Result(file: file, json: .object(json))
    }

    /// The figures of base, whole, graft, and of the graft with everything else of the layers set to zero.
    private func scores(_ graft: Graft, after: Tensor, space: GraftSpace) throws -> JSON {
        let splits = [("train", task.split.train), ("validation", task.split.validation), ("test", task.split.test)]
        let whole = try Dictionary(uniqueKeysWithValues: space.parts(after).map { ($0.name, $0.tensor) })
        var json = JSONObject()
        for (name, rows) in splits where !rows.isEmpty {
            let measures = try GraftMeasures(
                source.base, head: source.head, labels: labels, encoding: source.encoding, examples: rows)
            let base = try measures.outcomes([:])
            let tuned = try measures.outcomes(whole)
            let own = try measures.outcomes(graft.weights(source.base.transformer))
            let alone = try measures.outcomes(graft.weights(source.base.transformer, zeroingRest: true))
            json[name] = [
                "base": GraftMeasures.figures(base), "finetuned": GraftMeasures.figures(tuned),
                "graft": GraftMeasures.figures(own), "rest_zeroed": GraftMeasures.figures(alone),
                "relative_gain": GraftMeasures.relativeGain(base: base, tuned: tuned, graft: own).map { .number($0) }
                    ?? .null,
                "agreement": .number(GraftMeasures.agreement(own, tuned)),
            ]
        }
        return .object(json)
    }
}

/// Measures grafts that exist on other rows.
public enum GraftEvaluation {
    /// The figures of a base with grafts put in one after the other.
    ///
    /// - Parameters:
    ///   - grafts: their files or folders.
    ///   - head: the file or folder whose head and labels answer, a file's whatever the model has learned since; the last graft's
    ///     where left out.
    public static func run(
        _ grafts: [String], model path: String?, head: String?, data: String, maximumLength: Int = 256
    ) throws -> JSON {
        let first = try GraftFile.read(grafts.first ?? "")
        let model = try BaseModel(DefaultModel.location(path ?? first.model))
        let files = try grafts.map { try GraftFile.read($0, for: model) }
        let task = try head.map { try GraftFile.readHead($0, for: model) } ?? files.last
        let (union, _) = try Graft.union(files.map(\.graft))
        let labels = task?.labels ?? []
        let isHeaded = task?.head.all.isEmpty == false
        let definition = TaskDefinition(
            kind: isHeaded ? .classification : .generation, labels: isHeaded ? labels : nil,
            splits: SplitFractions(validation: 0, test: 0))
        let rows = try TaskData.load(path: data, definition: definition).split.train
        let measures = try GraftMeasures(
            model, head: task?.head ?? ParameterSet(), labels: labels.isEmpty ? GraftMeasures.labelWords(rows) : labels,
            encoding: .init(maximumLength: maximumLength), examples: rows)
        let base = try measures.outcomes([:])
        let own = try measures.outcomes(union.weights(model.transformer))
        return [
            "k": .integer(union.count), "base": GraftMeasures.figures(base), "graft": GraftMeasures.figures(own),
        ]
    }
}
