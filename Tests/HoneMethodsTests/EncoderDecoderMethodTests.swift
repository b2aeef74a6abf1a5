import HoneMethods
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// What methods, objective and specialist do with an encoder-decoder.
@Suite struct EncoderDecoderMethodTests {
    private let scratch: TemporaryFolder
    private let model: BaseModel
    private let task = TinyTask.generation()

    init() throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.bart.load(in: scratch)
    }

    private func initial(_ method: String, _ task: TinyTask) throws -> Adapter {
        try Adapter.initial(
            Methods.make(method), for: model, task: task.shape, labels: task.labels, encoding: .init(maximumLength: 40),
            seed: 1)
    }

    @Test func `a prompt goes to the encoder and its completion, with an end token, to the decoder`() throws {
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40))
        let example = task.examples[0]
        let row = try encoder.encode(example)
        let targets = try #require(row.answer)
        #expect(row.ids == (try encoder.prompt(example)))
        #expect(try targets.last == model.tokenizer.eosId)
        #expect(try model.tokenizer.decode(targets) == example.completion)
        #expect(row.targetCount == targets.count && row.length == row.ids.count + targets.count)
        let short = try ExampleEncoder(model, options: .init(maximumLength: 2)).encode(example)
        #expect(short.isTruncated && short.ids.count == 2 && short.answer?.count == 2)
    }

    @Test func `the loss is that of each target after the start token and the targets before it`() throws {
        let specialist = try Specialist(base: model, adapter: initial("lora", task))
        let rows = try task.examples.prefix(3).map(specialist.encoder.encode)
        let losses = try specialist.targetLosses(rows)
        try withoutGradients {
            for (row, found) in zip(rows, losses) {
                let targets = try #require(row.answer)
                let memory = try model.transformer.memory(of: TokenBatch([row.ids]))
                var written = [try #require(model.configuration.decoder).startId]
                var expected = 0.0
                for target in targets {
                    let last = try model.transformer.states(TokenBatch([written]), memory: memory).at(-1, dimension: 1)
                    expected -= try model.transformer.logits(last).logSoftmax(-1).elements(Double.self)[target]
                    written.append(target)
                }
                #expect(abs(found.loss - expected) < 1e-4 && found.tokens == targets.count)
            }
        }
    }

    @Test func `a trained model writes the completions and ends them`() throws {
        var adapter = try initial("full", task)
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        var plan = TrainingPlan(steps: 150, learningRate: 1e-2)
        plan.batchSize = 16
        adapter.parameters = try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), plan: plan
        ).run().parameters
        let specialist = try Specialist(base: model, adapter: adapter)
        let texts = try specialist.generate(task.examples, options: GenerationOptions())
        let right = zip(texts, task.examples).count { $0 == $1.completion }
        #expect(right > task.examples.count * 3 / 4, "\(right) of \(texts.count)")
        let alone = try specialist.generate([task.examples[3]], options: GenerationOptions())
        #expect(alone == [texts[3]])
    }

    @Test(arguments: ["lora", "full", "bitfit"])
    func `classification trains the encoder alone`(method: String) throws {
        let adapter = try initial(method, .classification())
        let own = adapter.parameters.all.filter { $0.group == .adapter }.map(\.name)
        #expect(!own.isEmpty && own.allSatisfy { !$0.hasPrefix("decoder.") && $0 != "head.offset" })
        let whole = try initial(method, task).parameters.all.map(\.name)
        #expect(whole.contains { $0.hasPrefix("decoder.layers.0.crossAttention.") } && !whole.contains("head.offset"))
    }
}
