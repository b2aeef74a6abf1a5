import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// Several learning rates in one batch.
@Suite struct JointTrainerTests {
    private let rates = [1e-3, 1e-2, 3e-2]

    private func adapter(_ model: BaseModel, _ task: TinyTask, settings: [String: String]) throws -> Adapter {
        try Adapter.initial(
            Methods.make("lora", typed: settings), for: model, task: task.shape, labels: task.labels, encoding: .init(),
            seed: 5)
    }

    private func plan(_ rate: Double) -> TrainingPlan {
        var plan = TrainingPlan(steps: 6, learningRate: rate)
        plan.batchSize = 4
        plan.warmup = 0.2
        plan.weightDecay = 0.01
        plan.maximumGradientNorm = 1
        return plan
    }

    @Test(arguments: [TinyModel.bert, .llama, .gpt2, .qwen3], [0.0, 0.2])
    func `every copy learns what it learns alone`(kind: TinyModel, dropout: Double) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        let task = kind == .bert ? TinyTask.classification() : .generation()
        let adapter = try adapter(model, task, settings: ["rank": "3", "dropout": "\(dropout)"])
        #expect(try JointTrainer.suits(adapter, model))
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 24, marksCompletions: true))
        let examples = try task.examples.map(encoder.encode)
        var steps = 0
        let together = try JointTrainer(
            model: model, adapter: adapter, examples: examples, plan: plan(1), learningRates: rates
        ).run(report: { step, losses in
            steps += 1
            #expect(step.tokens > 0 && step.loss == losses.min() && losses.count == 3)
        })
        #expect(steps == 6)
        for (rate, outcome) in zip(rates, together) {
            let alone = try Trainer(model: model, adapter: adapter, examples: examples, plan: plan(rate)).run()
            guard case .trained(let parameters, 6) = outcome else {
                Issue.record("a copy did not reach the end")
                continue
            }
            for parameter in alone.parameters.all {
                let difference = try (parameter.tensor - parameters.tensor(parameter.name)).abs().max().item()
                let moved = try (parameter.tensor - adapter.parameters.tensor(parameter.name)).abs().max().item()
                #expect(moved > 1e-4, "\(parameter.name) has to move for this to prove anything")
                #expect(difference < 2e-3 * moved, "\(parameter.name): \(difference) of \(moved)")
            }
        }
    }

    @Test func `a copy that diverges does not harm the others`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let task = TinyTask.classification()
        let adapter = try adapter(model, task, settings: ["rank": "3"])
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 24))
        let examples = try task.examples.map(encoder.encode)
        let outcomes = try JointTrainer(
            model: model, adapter: adapter, examples: examples, plan: plan(1), learningRates: [1e-2, 1e30]
        ).run()
        guard case .trained(let parameters, _) = outcomes[0], case .diverged = outcomes[1] else {
            Issue.record("the rate of 1e30 has to diverge and the other not: \(outcomes)")
            return
        }
        let alone = try Trainer(model: model, adapter: adapter, examples: examples, plan: plan(1e-2)).run()
        for parameter in alone.parameters.all {
            let difference = try (parameter.tensor - parameters.tensor(parameter.name)).abs().max().item()
            #expect(difference < 1e-4, "\(parameter.name)")
        }
    }

    @Test func `methods whose attachments cannot differ from row to row are not suited`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let task = TinyTask.classification()
        for name in ["prompt", "bitfit", "full"] {
            let adapter = try Adapter.initial(
                Methods.make(name), for: model, task: task.shape, labels: task.labels, encoding: .init(), seed: 0)
            #expect(try !JointTrainer.suits(adapter, model), "\(name)")
        }
    }
}
