import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// Layers that nothing acts on are computed once.
@Suite struct TrunkCacheTests {
    private static let rowCount = 12

    /// A run whose method acts on the last layer only; with two epochs or more, the layer below is cached.
    private func trainer(_ model: BaseModel, _ task: TinyTask, steps: Int, settings: [String: String] = [:]) throws
        -> Trainer
    {
        let settings = ["layers": "1", "rank": "2"].merging(settings) { $1 }
        let encoding = ExampleEncoder.Options(maximumLength: 24, marksCompletions: true)
        let adapter = try Adapter.initial(
            Methods.make("lora", typed: settings), for: model, task: task.shape, labels: task.labels,
            encoding: encoding, seed: 1)
        let rows = try task.examples.prefix(TrunkCacheTests.rowCount).map(
            ExampleEncoder(model, options: encoding).encode)
        var plan = TrainingPlan(steps: steps, learningRate: 1e-2)
        plan.batchSize = 4
        plan.schedule = .constant
        return try Trainer(model: model, adapter: adapter, examples: rows, plan: plan)
    }

    private func losses(_ trainer: Trainer) throws -> [Double] {
        var losses: [Double] = []
        _ = try trainer.run(report: { if case .step(let step) = $0 { losses.append(step.loss) } })
        return losses
    }

    @Test(arguments: [TinyModel.bert, .roberta, .llama, .gpt2, .qwen3, .opt, .neox], ["0", "0.3"])
    func `losses are those of computing everything in every step`(kind: TinyModel, dropout: String) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        let task = model.configuration.hasLanguageHead ? TinyTask.generation() : .classification()
        let cached = try losses(trainer(model, task, steps: 6, settings: ["dropout": dropout]))
        // Less than two epochs: nothing would come again.
        let computed = try losses(trainer(model, task, steps: 5, settings: ["dropout": dropout]))
        #expect(cached.count == 6 && Set(computed).count == 5)
        for (own, other) in zip(cached, computed) { #expect(abs(own - other) < 1e-5 * abs(other)) }
    }

    @Test func `a resumed run has the same numbers to the last bit`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let trainer = try trainer(model, .classification(), steps: 9)
        let whole = try trainer.run()
        let store = try CheckpointStore(folder: scratch.path + "/checkpoints", identity: ["plan": trainer.plan.json])
        var steps = 0
        let stopped = try trainer.run(
            checkpoints: store, shouldStop: { steps >= 5 }, report: { if case .step = $0 { steps += 1 } })
        #expect(stopped.ending == .interrupted)
        let resumed = try trainer.run(checkpoints: store, resume: true)
        for parameter in whole.parameters.all {
            let other = try resumed.parameters.tensor(parameter.name)
            #expect(try parameter.tensor.elements(Float.self) == other.elements(Float.self), "\(parameter.name)")
        }
    }

    @Test func `attachments say how many layers they leave alone`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.gpt2.load(in: scratch)
        func layers(_ change: (inout Attachments) -> Void) throws -> Int {
            var attachments = Attachments()
            change(&attachments)
            return try model.transformer.attaching(attachments).untouchedLayers
        }
        let weights = model.transformer.weights
        #expect(try layers { _ in } == 2)
        #expect(try layers { $0.states["states"] = [StateRecorder()] } == 2)
        #expect(try layers { $0.weights["norm.weight"] = weights["norm.weight"] } == 2)
        #expect(try layers { $0.states["layers.1.mlp"] = [StateRecorder()] } == 1)
        #expect(try layers { $0.states["layers.0"] = [StateRecorder()] } == 0)
        #expect(try layers { $0.states["embeddings"] = [StateRecorder()] } == 0)
        let table = "embeddings.tokens.weight"
        #expect(try layers { $0.weights[table] = weights[table] } == 0)
    }

    @Test func `layers that the model does not have are refused`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        for wrong in ["2", "0-2", "1-0", "-1", "x", "0-1-1"] {
            let refusal = #expect(throws: HoneError.self) {
                try trainer(model, .classification(), steps: 1, settings: ["layers": wrong])
            }
            #expect(refusal?.message.contains("0 to 1") == true, "\(String(describing: refusal))")
        }
    }
}
