import Foundation
import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// A finished run, or an adapter alone, opened again: its specialist and its task.
public struct SavedRun {
    /// The folder.
    public let folder: RunFolder
    /// The specialist.
    public let specialist: Specialist
    /// How rows of this task are read.
    public let definition: TaskDefinition
    /// The class names.
    public let labels: [String]

    /// Opens a run folder, or the folder of an adapter that Hone or PEFT wrote.
    ///
    /// The base model is looked for in the folder where the run found it, and otherwise, where it came from the Hub, by its
    /// name and commit there.
    ///
    /// - Parameters:
    ///   - model: the base model's folder, or its name on the Hub, where it is no longer where the run found it.
    ///   - hub: downloads what is not there; one of the environment where it is not given.
    ///   - dtype: what the base computes in.
    ///   - exact: whether only libtorch's own operators are used.
    ///   - task: the name of one of its tasks, where the run tells several apart and only this one is wanted.
    /// - Throws: `HoneError` where the run is not finished, is damaged, or its base model has changed; `.mismatch` for an adapter
    ///   that PEFT alone wrote for a model which generates no text.
    public init(
        path: String, model: String? = nil, hub: HubClient? = nil, dtype: DType = .float32, exact: Bool = false,
        task: String? = nil
    ) throws {
        folder = RunFolder(path: path)
        guard FileStatus.isFolder(path) else { throw HoneError(.usage, "there is no such run folder", file: path) }
        if OpenedAdapter.isAdapter(path) {
            let opened = try OpenedAdapter(path: path, model: model, hub: hub, dtype: dtype, exact: exact)
            guard opened.saysItsTask || opened.base.configuration.hasLanguageHead else {
                throw HoneError(
                    .mismatch,
                    "an adapter of PEFT alone does not say what it is for, and its base generates no text; "
                        + "`hone train --init-adapter` gives it a task", file: path)
            }
            let adapter = try task.map(opened.adapter.narrowed(toTask:)) ?? opened.adapter
            labels = adapter.labels
            definition = opened.definition
            specialist = try Specialist(base: opened.base, adapter: adapter)
            return
        }
        guard FileStatus.exists(folder.description) else {
            throw HoneError(
                .badFile,
                FileStatus.exists(folder.checkpoints)
                    ? "this run is not finished; go on with `hone train … --resume --out \(path)`"
                    : "this is neither a run nor an adapter: it has no run.json, adapter_config.json or hone.json",
                file: path)
        }
        let json = try JSON.read(file: folder.description)
        guard let version = json["version"]?.integer else {
            throw HoneError(.badFile, "the field is missing", file: folder.description, item: "version")
        }
        guard version <= 1 else {
            throw HoneError(
                .unsupported, "was written by a newer version of Hone (format \(version))", file: folder.description)
        }
        guard let described = json["task"]?["definition"] else {
            throw HoneError(.badFile, "the field is missing", file: folder.description, item: "task.definition")
        }
        var definition = try TaskDefinition(json: described, file: folder.description)
        let loaded = try BaseModel(
            SavedRun.base(json["model"], named: model, hub: hub, of: folder), dtype: dtype, exact: exact)
        if let template = json["chat_template"], try template != SavedRun.chatTemplate(of: loaded) {
            throw HoneError(
                .mismatch, "the chat template in the model's folder is not the one that the run was made with",
                file: loaded.folder,
                item: "chat_template")
        }
        var adapter = try Adapter.read(folder.adapter, for: loaded)
        if let task { adapter = try adapter.narrowed(toTask: task) }
        labels = adapter.labels
        if adapter.task != .generation { definition.labels = adapter.labels }
        self.definition = definition
        specialist = try Specialist(base: loaded, adapter: adapter)
    }

    /// The chat templates of a model as a run remembers them: the SHA-256 of the one for conversations, and of the one for those
    /// with tools where that is another.
    static func chatTemplate(of model: BaseModel) throws -> JSON? {
        guard let plain = try model.chatFormat(), let tools = try model.chatFormat(hasTools: true) else { return nil }
        var object = JSONObject()
        object["sha256"] = .string(FileHash.sha256(of: plain.template.source))
        if tools.template.source != plain.template.source {
            object["tools_sha256"] = .string(FileHash.sha256(of: tools.template.source))
        }
        return .object(object)
    }

    /// Where the base model of a run is.
    private static func base(
        _ described: JSON?, named: String?, hub: HubClient?, of run: RunFolder
    ) throws -> ModelLocation {
        if let named { return try DefaultModel.location(named, hub: hub) }
        guard let folder = described?["folder"]?.string else {
            throw HoneError(.badFile, "the field is missing", file: run.description, item: "model.folder")
        }
        let repository = described?["repository"]?.string
        let commit = described?["commit"]?.string
        if FileStatus.isFolder(folder) {
            return ModelLocation(
                folder: folder, repository: repository, revision: described?["revision"]?.string, commit: commit)
        }
        guard let repository, let commit else {
            throw HoneError(
                .fileSystem, "the base model is no longer at \(folder); say where it is with --model", file: run.path)
        }
        let reference: ModelReference
        do {
            reference = try ModelReference(repository: repository, revision: commit)
        } catch let error as HoneError {
            throw HoneError(.badFile, error.message, file: run.description, item: "model.repository")
        }
        return try (hub ?? HubClient()).location(of: reference)
    }

    /// Measures the specialist on other rows.
    public func evaluate(file: String, seed: UInt64 = 0) throws -> (evaluation: Evaluation, warnings: [String]) {
        let (examples, warnings) = try definition.examples(file: file)
        return (
            try Evaluation.measure(
                specialist, on: examples, split: (file as NSString).lastPathComponent, seed: seed), warnings
        )
    }

    /// One answer.
    public struct Prediction: Sendable {
        /// The likeliest class, or the text written.
        public var answer: String
        /// How sure a classifier is.
        public var probability: Double?
        /// Every class with its probability, likeliest first.
        public var probabilities: [(label: String, probability: Double)] = []

        /// The answer as JSON.
        public var json: JSON {
            guard let probability else { return ["output": .string(answer)] }
            var all = JSONObject()
            for (label, value) in probabilities { all[label] = .number((value * 1e6).rounded() / 1e6) }
            return [
                "label": .string(answer), "probability": .number((probability * 1e6).rounded() / 1e6),
                "probabilities": .object(all),
            ]
        }
    }

    /// Answers some inputs, in their order.
    public func predict(_ inputs: [Example.Input], options: GenerationOptions = GenerationOptions()) throws
        -> [Prediction]
    {
        try predict(
            inputs.enumerated().map {
                Example(index: $0.offset, file: "", line: $0.offset + 1, input: $0.element, target: .unknown)
            }, options: options)
    }

    /// Answers the inputs of some rows, in their order.
    public func predict(_ examples: [Example], options: GenerationOptions = GenerationOptions()) throws -> [Prediction]
    {
        guard case .classification(let classes) = specialist.adapter.task else {
            return try specialist.generate(examples, options: options).map { Prediction(answer: $0) }
        }
        let all = try specialist.probabilities(examples)
        return examples.indices.map { row in
            let own = (0..<classes).map { (label: labels[$0], probability: Double(all[row * classes + $0])) }
            let sorted = own.enumerated().sorted {
                ($0.element.probability, -$0.offset) > ($1.element.probability, -$1.offset)
            }.map(\.element)
            return Prediction(
                answer: sorted.first?.label ?? "", probability: sorted.first?.probability, probabilities: sorted)
        }
    }

    /// A plain text as an input of this task; the path of an image, where it classifies images.
    public func input(text: String) throws -> Example.Input {
        guard specialist.adapter.task != .generation else {
            return definition.columns.messages == nil ? .prompt(text) : .messages([Message(role: .user, content: text)])
        }
        return definition.columns.image == nil ? .text(text) : .image(ImageReference(path: text))
    }
}
