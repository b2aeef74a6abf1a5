import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// A method with work before the first step and after the last, which adds and removes tensors on the way.
private struct Staged: Method {
    static let card = MethodCard(
        name: "staged", title: "Staged", summary: "Works in stages.", advice: "For tests.", paper: "none",
        training: .gradient, costRank: 9)
    let settings: MethodSettings

    init(_ settings: MethodSettings) { self.settings = settings }

    private func plain() throws -> BitFit { BitFit(try MethodSettings(BitFit.card)) }

    var hasStages: Bool { true }

    func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try plain().initialParameters(for: model, random: &random)
    }

    func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let before = try parameters.all[0].tensor.sum().item()
        parameters = try context.train(plain(), parameters, 2, 0.5)
        let copy = try parameters.copied()
        try copy.makeTrainable()
        let loss = try context.gradients(plain(), copy, Array(context.rows.prefix(4)))
        let gradient = try copy.all[0].tensor.gradient?.sum().item() ?? 0
        parameters.set(
            "stage", try Tensor([Float(before), Float(loss), Float(gradient), Float(context.examples.count)]),
            group: .state)
        try context.note("prepared")
    }

    func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool {
        guard report.step == 3 else { return false }
        var random = report.random("growth")
        parameters.set("grown", try random.normal([2]), group: .adapter)
        parameters.remove(parameters.trained[1].name)
        return true
    }

    func isComplete(after report: StepReport) -> Bool { report.step != 4 }

    func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let point = try context.validate?(parameters)
        parameters.set("finished", try Tensor([Float(point?.score ?? -1)]), group: .state)
    }

    func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws -> Attachments {
        var weights = ParameterSet()
        for parameter in parameters.all where model.weights[parameter.name] != nil {
            weights.set(parameter.name, parameter.tensor)
        }
        var attachments = try plain().attachments(weights, model: model, dropout: dropout)
        if let grown = parameters["grown"] { attachments.states["states"] = [Shift(amount: grown)] }
        return attachments
    }

    private struct Shift: StateAttachment {
        let amount: Tensor
        func state(_ state: Tensor) throws -> Tensor { try state + amount.sum() }
    }

    func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }
    func write(_ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter) throws
    {}
    static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Staged, parameters: ParameterSet)
    {
        throw HoneError(.unsupported, "is never written")
    }
}

@Suite struct StageTests {
    private func trainer(_ scratch: TemporaryFolder) throws -> Trainer {
        let model = try TinyModel.bert.load(in: scratch)
        let task = TinyTask.classification()
        let adapter = try Adapter.initial(
            Staged(MethodSettings(Staged.card)), for: model, task: task.shape, labels: task.labels, encoding: .init(),
            seed: 1)
        let encoder = try ExampleEncoder(model, options: .init())
        var plan = TrainingPlan(steps: 6, learningRate: 0.01)
        plan.batchSize = 4
        plan.evaluateEvery = 1
        plan.checkpointEvery = 1
        // The fourth step would be the best, and the method cannot end there.
        return try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), source: task.examples,
            plan: plan
        ) { parameters, step in
            ValidationPoint(step: step, score: step == 4 ? 9 : Double(step), loss: 1)
        }
    }

    private func bytes(_ parameters: ParameterSet) throws -> [String] {
        try parameters.all.map { "\($0.name) \(try $0.tensor.elements(Float.self))" }
    }

    @Test func `work before the first step and after the last is done once, also in a run that is resumed`() throws {
        let scratch = try TemporaryFolder()
        let trainer = try trainer(scratch)
        var notes: [String] = []
        func run(_ name: String, resume: Bool, stop: Int?) throws -> TrainingOutcome {
            let store = try CheckpointStore(folder: scratch.path + "/" + name, identity: ["run": 1])
            var done = 0
            return try trainer.run(
                checkpoints: store, resume: resume, shouldStop: { done == stop },
                report: { event in
                    if case .step(let step) = event { done = step.step }
                    if case .note(let text) = event { notes.append(text) }
                })
        }
        let whole = try run("whole", resume: false, stop: nil)
        #expect(whole.best?.step == 6 && whole.ending == .finished)
        #expect(whole.parameters["grown"] != nil && whole.parameters["stage"] != nil)
        #expect(try whole.parameters.tensor("finished").item() == 0)
        let stage = try whole.parameters.tensor("stage").elements(Float.self)
        #expect(stage[1] > 0 && stage[2] != 0 && stage[3] == Float(trainer.source.count))
        for stop in 1...5 {
            notes = []
            let first = try run("part-\(stop)", resume: false, stop: stop)
            #expect(first.ending == .interrupted && first.parameters["finished"] == nil)
            let second = try run("part-\(stop)", resume: true, stop: nil)
            #expect(try bytes(second.parameters) == bytes(whole.parameters))
            #expect(notes == ["prepared"])
        }
    }

    @Test func `a run that is stopped in its preparation has done no step`() throws {
        let scratch = try TemporaryFolder()
        let outcome = try trainer(scratch).run(shouldStop: { true })
        #expect(outcome.ending == .interrupted && outcome.steps == 0)
    }
}
