import HoneMethods
import HoneModels
import HoneTesting
import HoneTraining

/// Short trainings on a tiny model.
struct ShortRun {
    let scratch: TemporaryFolder
    let model: BaseModel
    let task: TinyTask
    let rows: [EncodedExample]

    init(_ tiny: TinyModel = .llama) throws {
        scratch = try TemporaryFolder()
        model = try tiny.load(in: scratch)
        task = TinyTask.generation()
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40, marksCompletions: true))
        rows = try task.examples.map(encoder.encode)
    }

    func adapter(_ method: any Method) throws -> Adapter {
        try Adapter.initial(
            method, for: model, task: task.shape, labels: task.labels,
            encoding: .init(maximumLength: 40, marksCompletions: true), seed: 5)
    }

    func train(
        _ adapter: Adapter, steps: Int, learningRate: Double = 1e-2,
        schedule: TrainingPlan.Schedule = .linear,
        each: @escaping (ParameterSet, Int) throws -> Void = { _, _ in }, report: (TrainingEvent) -> Void = { _ in }
    ) throws -> Adapter {
        var plan = TrainingPlan(steps: steps, learningRate: learningRate)
        plan.schedule = schedule
        plan.batchSize = 8
        plan.evaluateEvery = 1
        let trainer = try Trainer(model: model, adapter: adapter, examples: rows, plan: plan) { parameters, step in
            try each(parameters, step)
            return ValidationPoint(step: step, score: Double(step), loss: 0)
        }
        var trained = adapter
        trained.parameters = try trainer.run(report: report).parameters
        return trained
    }

    func losses(_ adapter: Adapter) throws -> [Double] {
        try Specialist(base: model, adapter: adapter).targetLosses(rows).map(\.loss)
    }
}
