import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// Trains a generator on adapters that were kept, and writes its folder.
public struct GeneratorRun {
    /// How it is trained.
    public let plan: GeneratorPlan
    /// What it learns from.
    public let collection: AdapterCollection
    private let examples: [GeneratorExamples]

    /// Reads adapters and task vectors.
    ///
    /// - Throws: `HoneError` for everything that is wrong with them.
    public init(_ collection: AdapterCollection, vectors: String, plan: GeneratorPlan) throws {
        self.collection = collection
        self.plan = plan
        examples = try collection.examples(vectors: vectors)
    }

    /// Trains, and writes the folder.
    ///
    /// - Parameters:
    ///   - path: where it shall be; nothing may be there yet.
    ///   - report: told about every epoch; gives whether to stop there.
    public func run(to path: String, report: (AdapterGenerator.Epoch) -> Bool) throws -> (
        generator: AdapterGenerator, json: JSON
    ) {
        let started = monotonicSeconds()
        var epochs: [AdapterGenerator.Epoch] = []
        let generator = try AdapterGenerator.train(examples, plan: plan) { epoch in
            epochs.append(epoch)
            return report(epoch)
        }
        let shape = generator.network.shape
        var json = JSONObject()
        json["length"] = .integer(generator.layout.count)
        json["padded"] = .integer(shape.padded)
        json["stages"] = .integer(shape.stages)
        json["parameters"] = .integer(shape.parameterCount)
        json["tasks"] = .array(
            generator.tasks.map {
                [
                    "name": .string($0.name), "adapters": .integer($0.adapters), "spread": .number($0.spread),
                ]
            })
        json["epochs"] = .integer(epochs.count)
        json["error"] = .number(epochs.last?.error ?? .nan)
        json["divergence"] = .number(epochs.last?.divergence ?? .nan)
        json["seconds"] = .number(monotonicSeconds() - started)
        json["plan"] = [
            "latent": .integer(plan.latent), "beta": .number(plan.beta), "epochs": .integer(plan.epochs),
            "batch_size": .integer(plan.batchSize), "learning_rate": .number(plan.learningRate),
            "seed": .integer(Int(truncatingIfNeeded: plan.seed)), "scaling": .string(plan.scaling.rawValue),
        ]
        let description = JSON.object(json)
        try AtomicFolder.create(at: path) { folder in
            let last = collection.tasks.compactMap { task in task.folders.last.map { (task.name, $0) } }
            try generator.write(to: folder, companions: Dictionary(uniqueKeysWithValues: last))
            try AtomicFile.write(description.text(pretty: true) + "\n", to: folder + "/training.json")
        }
        return (generator, description)
    }
}

/// Measures a generator against the adapters that it learned from.
public struct GeneratorEvaluation {
    private let folder: String
    private let generator: AdapterGenerator
    private let collection: AdapterCollection
    /// Of tasks that it has learned.
    private let examples: [GeneratorExamples]
    /// Of others.
    private let heldOut: [GeneratorExamples]
    private let seed: UInt64
    private let count: Int

    /// Opens a generator and adapters.
    ///
    /// - Parameters:
    ///   - vectors: a folder with the vectors of tasks that the generator has not learned.
    ///   - count: how many adapters are generated a task.
    public init(
        _ folder: String, _ collection: AdapterCollection, vectors: String? = nil, count: Int, seed: UInt64
    ) throws {
        guard count >= 1 else { throw HoneError(.usage, "must be at least 1, not \(count)", item: "--n") }
        self.folder = folder
        self.collection = collection
        self.count = count
        self.seed = seed
        let generator = try AdapterGenerator.read(folder)
        self.generator = generator
        let names = Set(generator.tasks.map(\.name))
        let all = try collection.tasks.map { task in
            let condition: [Float]
            if let vectors, !names.contains(task.name) {
                let file = vectors + "/" + task.name + ".safetensors"
                try AdapterCollection.checkBase(of: file, sameAs: folder)
                condition = try TaskEmbedding.read(file)
            } else {
                condition = try generator.task(task.name).condition
            }
            return GeneratorExamples(
                name: task.name, condition: condition,
                adapters: try task.folders.map { ($0, try AdapterCollection.tensors($0)) })
        }
        examples = all.filter { names.contains($0.name) }
        heldOut = all.filter { !names.contains($0.name) }
    }

    /// How far generated adapters are from trained ones, and what everything takes on disk.
    public func errors() throws -> JSON {
        var rows: [JSON] = []
        for (place, task) in examples.enumerated() {
            let own = try generator.accuracy(of: task.name, given: task.name, examples, count: count, seed: seed)
            let other = examples[(place + 1) % examples.count].name
            let wrong = try generator.accuracy(of: task.name, given: other, examples, count: count, seed: seed)
            rows.append([
                "task": .string(task.name), "spread": .number(try generator.task(task.name).spread),
                "error": .number(own.error), "nearest_error": .number(own.nearestError),
                "own_nearest": .number(own.ownNearest), "reconstruction_error": .number(own.reconstructionError),
                "wrong_task": .string(other), "wrong_task_error": .number(wrong.error),
                "mean_of_all_error": .number(own.meanOfAllError),
                "divergence": [
                    "least": .number(own.divergences.min() ?? .nan),
                    "mean": .number(own.divergences.reduce(0, +) / Double(max(1, own.divergences.count))),
                    "share_above_0.01": .number(
                        Double(own.divergences.count { $0 > 0.01 }) / Double(max(1, own.divergences.count))),
                ],
            ])
        }
        return .array(rows)
    }

    /// What everything takes on disk, in bytes: all adapters of the tasks, one a task, and the generator with its tasks.
    public func storage() throws -> JSON {
        func size(_ path: String) throws -> Int { try SafetensorsFile(path: path).length }
        let sizes = try collection.tasks.flatMap(\.folders).map {
            try size($0 + "/" + AdapterConfiguration.weightsFileName)
        }
        let table = 4 * (generator.network.shape.condition + 4 * generator.layout.entries.count)
        return [
            "adapters_all": .integer(sizes.reduce(0, +)),
            "adapters_one_a_task": .integer((sizes.first ?? 0) * collection.tasks.count),
            "generator": .integer(try size(folder + "/generator.safetensors")), "of_it_a_task": .integer(table),
        ]
    }

    /// The figures of one task's rows with the base alone, a trained adapter, generated ones, those of every other task's vector,
    /// and the mean of all tasks' adapters. Of a task that the generator has not learned, head and configuration are those of its
    /// own last adapter, and the tables of its tensors those of the nearest task.
    ///
    /// - Parameters:
    ///   - name: the task.
    ///   - data: its rows.
    ///   - path: the base model.
    public func metrics(_ name: String, data: String, model path: String?) throws -> JSON {
        guard let task = (examples + heldOut).first(where: { $0.name == name }), let last = task.adapters.last else {
            throw HoneError(.usage, "none of the adapters is of this task", item: "--data \(name)")
        }
        let isLearned = !heldOut.contains { $0.name == name }
        let source = isLearned ? AdapterGenerator.taskFolder(name, in: folder) : last.file
        guard FileStatus.exists(source + "/hone.json") else {
            throw HoneError(
                .unsupported, "the adapters of PEFT alone do not say what their task is; it cannot be measured",
                file: source)
        }
        let recorded = try JSON.read(file: source + "/hone.json")["base"]?["folder"]?.string
        let model = try BaseModel(DefaultModel.location(path ?? recorded))
        let like = try isLearned ? generator.task(name) : generator.nearest(task.condition)
        let labels = try JSON.read(file: source + "/hone.json")["labels"]?.array?.compactMap(\.string) ?? []
        let definition = TaskDefinition(
            kind: labels.isEmpty ? .generation : .classification, labels: labels.isEmpty ? nil : labels,
            splits: SplitFractions(validation: 0, test: 0))
        let rows = try TaskData.load(path: data, definition: definition).split.train
        func measure(_ tensors: [(name: String, tensor: Tensor)], attached: Bool = true) throws -> JSON {
            let scratch = NSTemporaryDirectory() + "/hone-generated-" + UUID().uuidString
            defer { try? FileManager.default.removeItem(atPath: scratch) }
            try AtomicFolder.makeWithParents(scratch)
            try AdapterGenerator.writeAdapter(tensors, to: scratch, like: source)
            var adapter = try Adapter.read(scratch, for: model)
            if !attached { adapter = try adapter.detached }
            let specialist = try Specialist(base: model, adapter: adapter)
            return try Evaluation.measure(specialist, on: rows, split: name, generates: false, seed: seed).json
        }
        var wrong = JSONObject()
        for other in generator.tasks where other.name != name {
            let made = try generator.sample(other.condition, statistics: like.statistics, count: 1, seed: seed)
            wrong[other.name] = try measure(made[0])
        }
        let made = try generator.sample(task.condition, statistics: like.statistics, count: count, seed: seed)
        return [
            "task": .string(name), "is_learned": .bool(isLearned), "like": .string(like.name),
            "base": try measure(last.tensors, attached: false), "trained": try measure(last.tensors),
            "generated": .array(try made.map { try measure($0) }), "wrong_task": .object(wrong),
            "mean_of_all": try measure(generator.meanOfAll(examples)),
        ]
    }
}
