import ArgumentParser
import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// Several learning rates over the same rows, in one batch or one after the other: the losses of every step.
struct Rates: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "LoRA at several learning rates.")

    @Option(help: "A model folder.") var model: String
    @Option(help: "Rows of {prompt, completion}, in whose order steps go.") var data: String
    @Option(name: .customLong("init-adapter"), help: "The adapter folder that every rate starts from.")
    var initialAdapter: String
    @Option(help: "The learning rates, separated by commas.") var rates: String
    @Option(help: "How many steps.") var steps: Int
    @Option(help: "How many rows a step has.") var batch: Int
    @Option(help: "f32 or bf16.") var dtype = "f32"
    @Option(help: "How many threads.") var threads = 2
    @Flag(help: "One rate after the other.") var apart = false

    func run() throws {
        try Engine.start(threads: threads)
        let base = try BaseModel(folder: model, dtype: dtype == "bf16" ? .bfloat16 : .float32)
        let folder = try AdapterFolderReader(path: initialAdapter)
        let (method, parameters) = try Adapter.readMethod(folder, for: base, task: .generation)
        let encoding = ExampleEncoder.Options(maximumLength: 512)
        let adapter = Adapter(method: method, task: .generation, labels: [], parameters: parameters, encoding: encoding)
        let encoder = try ExampleEncoder(base, options: encoding)
        let whole = TaskDefinition(splits: SplitFractions(validation: 0, test: 0))
        let rows = try TaskData.load(path: data, seed: 0, definition: whole).split.train.map(encoder.encode)
        let rates = self.rates.split(separator: ",").compactMap { Double($0) }
        var plan = TrainingPlan(steps: steps, learningRate: rates[0])
        plan.batchSize = batch
        plan.order = .file
        plan.schedule = .constant
        var losses = rates.map { _ in [Double]() }
        let started = monotonicSeconds()
        for group in apart ? rates.indices.map({ [$0] }) : [Array(rates.indices)] {
            _ = try JointTrainer(
                model: base, adapter: adapter, examples: rows, plan: plan, learningRates: group.map { rates[$0] }
            ).run(report: { _, own in
                for (place, loss) in zip(group, own) { losses[place].append(loss) }
            })
        }
        let seconds = monotonicSeconds() - started
        let found: JSON = [
            "losses": .array(losses.map { .array($0.map { .number($0) }) }), "seconds": .number(seconds),
            "peak_mib": .number(Double(Engine.peakResidentBytes) / 1_048_576),
        ]
        print(found.text())
    }
}
