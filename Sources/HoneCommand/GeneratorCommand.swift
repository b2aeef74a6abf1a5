import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// `hone taskvec`
struct TaskVectorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "taskvec",
        abstract: "Says where a task lies in a model's states, as a generator of adapters wants it.",
        discussion: """
            The mean over some examples: of the pooled state, or of the states that written tokens were chosen from. Taken \
            with --adapter it needs the adapter that is to be generated; choose the same for training and use.

              hone taskvec --data trec/train.jsonl --out vectors/trec.safetensors
            """)

    @Option(help: "The base model. Default: the built-in sentence encoder, or the adapter's base.") var model: String?
    @Option(help: "A run or an adapter folder, to take the states with.") var adapter: String?
    @Option(help: "The file with the examples.") var data: String
    @Option(help: "How many of them are looked at.") var examples = 30
    @Option(name: .customLong("max-length"), help: "The most tokens of a row.") var maximumLength = 256
    @Option(help: "The file to write.") var out: String
    @Option(help: "What the examples are drawn by.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard examples >= 1 else { throw HoneError(.usage, "must be at least 1, not \(examples)", item: "--examples") }
        try Engine.start(threads: threads)
        let whole = TaskDefinition(splits: SplitFractions(validation: 0, test: 0))
        let task = try TaskData.load(path: data, definition: whole)
        let vector = try TaskEmbedding(
            specialist(for: task), of: task.split.train, count: examples, seed: seed)
        try vector.write(to: out)
        if json {
            Console.print(
                json: [
                    "vector": .string(out), "length": .integer(vector.values.count),
                    "examples": .integer(vector.examples),
                ])
        } else {
            Console.print("vector  \(out)  \(vector.values.count) numbers from \(vector.examples) examples")
        }
    }

    private func specialist(for task: TaskData) throws -> Specialist {
        if let adapter {
            let specialist = try SavedRun(path: adapter, model: model).specialist
            guard (specialist.adapter.task == .generation) == (task.kind == .generation) else {
                throw HoneError(
                    .mismatch,
                    task.kind == .generation
                        ? "this adapter classifies, and the rows have prompts and completions"
                        : "this adapter writes text, and the rows have labels", file: adapter)
            }
            return specialist
        }
        let base = try BaseModel(DefaultModel.location(model))
        let bare = try Adapter.bare(
            task: task.kind == .classification ? .classification(classes: task.labels.count) : .generation,
            labels: task.labels, encoding: .init(maximumLength: maximumLength))
        return try Specialist(base: base, adapter: bare)
    }
}

extension AdapterGenerator.Scaling: ExpressibleByArgument {}

/// `hone generator`
struct GeneratorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generator",
        abstract: "Learns to write low-rank adapters from task vectors.",
        discussion: """
            The adapters of late steps of several tasks (`hone train --method lora --keep-adapters 40`) and a vector of each \
            task (`hone taskvec`) make a generator; a task's vector then gives an adapter in PEFT's format.

              hone generator train --adapters 'runs/*/adapters/step-*' --taskvecs vectors --out generator
              hone generator sample generator --task trec --out made/trec
              hone generator eval generator --adapters 'runs/*/adapters/step-*' --data trec=trec/test.jsonl
            """,
        subcommands: [GeneratorTrainCommand.self, GeneratorSampleCommand.self, GeneratorEvalCommand.self])
}

/// `hone generator train`
struct GeneratorTrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "train", abstract: "Learns a generator.")

    @Option(help: "Adapter folders of PEFT's LoRA type, as a pattern; may be repeated.") var adapters: [String]
    @Option(help: "The folder with the task vectors, NAME.safetensors each.") var taskvecs: String
    @Option(help: "The length of the latent vectors.") var latent = 256
    @Option(help: "The weight of the divergence.") var beta = 0.005
    @Option(help: "How often every adapter is seen.") var epochs = 2000
    @Option(name: .customLong("batch-size"), help: "How many adapters a step has.") var batchSize = 2
    @Option(name: .customLong("learning-rate"), help: "The learning rate of Adam.") var learningRate = 2e-4
    @Option(
        help:
            "Where mean and spread of each tensor come from: task (a stored table a task), shared (one table), generated."
    )
    var scaling = AdapterGenerator.Scaling.task
    @Option(help: "The folder to make.") var out: String
    @Option(help: "What everything random is drawn from.") var seed: UInt64 = 2024
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        try Engine.start(threads: threads)
        var plan = GeneratorPlan()
        plan.latent = latent
        plan.beta = beta
        plan.epochs = epochs
        plan.batchSize = batchSize
        plan.learningRate = learningRate
        plan.scaling = scaling
        plan.seed = seed
        let collection = try AdapterCollection(adapters)
        for warning in collection.warnings { Console.error("warning: " + warning) }
        let run = try GeneratorRun(collection, vectors: taskvecs, plan: plan)
        Interruption.install()
        let step = max(1, epochs / 20)
        let (generator, result) = try run.run(to: out) { epoch in
            if !quiet, epoch.number % step == 0 || epoch.number == epochs {
                Console.error(
                    String(
                        format: "epoch %d of %d: error %.5f, divergence %.3f", epoch.number, epochs, epoch.error,
                        epoch.divergence))
            }
            return Interruption.isWished
        }
        let shape = generator.network.shape
        if shape.stages < 12, !quiet {
            Console.error(
                "the adapters have \(generator.layout.count) numbers, so that the length is halved \(shape.stages) times, not 12"
            )
        }
        if json {
            var object = result.object ?? JSONObject()
            object["generator"] = .string(out)
            Console.print(json: .object(object))
        } else {
            Console.print("generator  \(out)")
            Console.print(
                "learned    \(generator.tasks.count) tasks, \(generator.layout.count) numbers an adapter, "
                    + "\(shape.parameterCount) parameters")
        }
    }
}

/// `hone generator sample`
struct GeneratorSampleCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample", abstract: "Writes adapters for a task.",
        discussion: """
            Of a task that was learned, by --task; of another, by its vector, with configuration, head and table of the \
            learned task that lies nearest, or of --like. Several go into OUT-1, OUT-2, ...
            """)

    @Argument(help: "The generator's folder.") var generator: String
    @Option(help: "A task that was learned.") var task: String?
    @Option(help: "The file with a task's vector.") var taskvec: String?
    @Option(help: "The learned task whose configuration, head and table are taken.") var like: String?
    @Option(name: .customLong("n"), help: "How many.") var count = 1
    @Option(help: "What they are drawn from.") var seed: UInt64 = 0
    @Option(help: "The adapter folder to make.") var out: String
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard (task == nil) != (taskvec == nil) else {
            throw HoneError(.usage, "give --task or --taskvec, one of them", item: "sample")
        }
        guard (1...10000).contains(count) else {
            throw HoneError(.usage, "must be from 1 to 10000, not \(count)", item: "--n")
        }
        try Engine.start(threads: nil)
        let known = try AdapterGenerator.read(generator)
        var condition: [Float] = []
        if let taskvec {
            try AdapterCollection.checkBase(of: taskvec, sameAs: generator)
            condition = try TaskEmbedding.read(taskvec)
        } else {
            condition = try known.task(task ?? "").condition
        }
        let nearest = try like.map { try known.task($0) } ?? known.nearest(condition)
        let made = try known.sample(condition, statistics: nearest.statistics, count: count, seed: seed)
        var folders: [String] = []
        for (place, tensors) in made.enumerated() {
            let folder = count == 1 ? out : "\(out)-\(place + 1)"
            try AtomicFolder.create(at: folder) {
                try AdapterGenerator.writeAdapter(
                    tensors, to: $0, like: AdapterGenerator.taskFolder(nearest.name, in: generator))
            }
            folders.append(folder)
        }
        if json {
            Console.print(json: ["adapters": .array(folders.map { .string($0) }), "like": .string(nearest.name)])
        } else {
            for folder in folders { Console.print("adapter  \(folder)  (configuration and head of \(nearest.name))") }
        }
    }
}

/// `hone generator eval`
struct GeneratorEvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Compares generated adapters with trained ones: numbers, results, storage.")

    @Argument(help: "The generator's folder.") var generator: String
    @Option(help: "The adapter folders that it learned from, as a pattern; may be repeated.") var adapters: [String]
    @Option(help: "A folder with NAME.safetensors of tasks that it has not learned, to measure it on those as well.")
    var taskvecs: String?
    @Option(help: "Rows of a task to measure on, as NAME=FILE; may be repeated.") var data: [String] = []
    @Option(help: "The base model. Default: the one that the adapters tell of.") var model: String?
    @Option(name: .customLong("n"), help: "How many adapters are generated a task.") var count = 3
    @Option(help: "What they are drawn from.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: threads)
        let evaluation = try GeneratorEvaluation(
            generator, AdapterCollection(adapters), vectors: taskvecs, count: count, seed: seed)
        let errors = try evaluation.errors()
        let storage = try evaluation.storage()
        var metrics: [JSON] = []
        for pair in data {
            guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                throw HoneError(.usage, "`\(pair)` is not of the form NAME=FILE", item: "--data")
            }
            metrics.append(
                try evaluation.metrics(
                    String(pair[..<equals]), data: String(pair[pair.index(after: equals)...]), model: model))
        }
        if json {
            Console.print(json: ["errors": errors, "metrics": .array(metrics), "storage": storage])
            return
        }
        Console.print("task        spread   error  nearest  wrong task  mean of all  own nearest")
        for row in errors.array ?? [] {
            func number(_ key: String) -> Double { row[key]?.number ?? .nan }
            Console.print(
                String(
                    format: "%@  %7.4f %7.4f  %7.4f     %7.4f      %7.4f       %6.2f",
                    GraftScores.column(row["task"]?.string ?? ""), number("spread"), number("error"),
                    number("nearest_error"), number("wrong_task_error"), number("mean_of_all_error"),
                    number("own_nearest")))
        }
        for row in metrics {
            func figure(_ json: JSON?) -> Double {
                json?["accuracy"]?["value"]?.number ?? json?["loss"]?["value"]?.number ?? .nan
            }
            let made = (row["generated"]?.array ?? []).map { figure($0) }
            let wrong = (row["wrong_task"]?.object?.pairs ?? []).map { figure($0.1) }
            Console.print(
                String(
                    format: "%@  base %.4f  trained %.4f  generated %.4f  wrong task %.4f  mean of all %.4f",
                    GraftScores.column(row["task"]?.string ?? ""), figure(row["base"]), figure(row["trained"]),
                    made.reduce(0, +) / Double(max(1, made.count)), wrong.reduce(0, +) / Double(max(1, wrong.count)),
                    figure(row["mean_of_all"])))
        }
        for (name, bytes) in storage.object?.pairs ?? [] {
            Console.print("\(name.replacing("_", with: " ")): \(bytes.integer ?? 0) bytes")
        }
    }
}
