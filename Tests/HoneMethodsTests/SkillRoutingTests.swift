import HoneFormats
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What Poly and MHR must hold beyond the conformance matrix.
@Suite struct SkillRoutingTests {
    let scratch: TemporaryFolder
    let model: BaseModel
    let tasks = ["one", "two", "three"]

    init() throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.llama.load(in: scratch)
    }

    func examples(rows: Int = 24) -> [Example] {
        TinyTask.generation(rows: rows).examples.map { example in
            var example = example
            example.task = tasks[example.index % tasks.count]
            return example
        }
    }

    func options(_ tasks: [String]) -> ExampleEncoder.Options {
        .init(maximumLength: 40, marksCompletions: true, tasks: tasks)
    }

    func method(_ name: String = "mhr", _ settings: [String: String] = [:]) throws -> any Method {
        let usual = ["rank": "2", "skills": "3"].merging(name == "mhr" ? ["splits": "4"] : [:]) { $1 }
        return try Methods.make(name, typed: usual.merging(settings) { $1 })
    }

    func adapter(
        _ method: any Method, tasks: [String]? = nil, on model: BaseModel? = nil, seed: UInt64 = 3,
        from earlier: (method: any Method, parameters: ParameterSet)? = nil
    ) throws -> Adapter {
        try Adapter.initial(
            method, for: model ?? self.model, task: .generation, labels: [], encoding: options(tasks ?? self.tasks),
            seed: seed, from: earlier)
    }

    /// The same adapter with numbers everywhere, and tasks that mix plainly differently.
    func shaken(_ adapter: Adapter, seed: UInt64 = 7) throws -> Adapter {
        var random = RandomStream(seed: seed, name: "shaken")
        for parameter in adapter.parameters.all {
            let spread = parameter.name.hasSuffix(SkillTensor.router) ? 2.0 : 0.3
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: spread))
        }
        return adapter
    }

    /// The mean loss of some rows, with its gradients left in the parameters.
    func backward(_ adapter: Adapter, _ rows: [EncodedExample], dropout: DropoutSource? = nil) throws -> Double {
        let loss = try withGradients {
            let attachments = try adapter.method.attachments(
                adapter.parameters, model: model.transformer, dropout: dropout, rows: rows)
            let transformer = try model.transformer.attaching(attachments)
            let (states, targets) = try transformer.targetStates(rows, padId: model.padId)
            return try transformer.targetLoss(states, targets: targets.ids)
        }
        try loss.backward()
        return try loss.item()
    }

    func encoded(_ adapter: Adapter, rows: Int = 24) throws -> [EncodedExample] {
        try examples(rows: rows).map(ExampleEncoder(model, options: adapter.encoding).encode)
    }

    func gradient(_ parameter: Parameter) throws -> [Float] {
        try #require(parameter.tensor.gradient, "\(parameter.name)").elements(Float.self)
    }

    @Test(arguments: ["mhr", "poly"])
    func `at first only B has a gradient, and the routing from the second step on`(name: String) throws {
        let adapter = try adapter(method(name))
        try adapter.parameters.makeTrainable()
        let rows = try encoded(adapter)
        _ = try backward(adapter, rows)
        for parameter in adapter.parameters.all {
            let isUp = parameter.name.hasSuffix(SkillTensor.up)
            #expect(try gradient(parameter).contains { $0 != 0 } == isUp, "\(parameter.name)")
        }
        try withoutGradients {
            for parameter in adapter.parameters.all {
                if let gradient = parameter.tensor.gradient { try parameter.tensor.addInPlace(gradient, scale: -0.1) }
                parameter.tensor.clearGradient()
            }
        }
        _ = try backward(adapter, rows)
        for parameter in adapter.parameters.all where parameter.name.hasSuffix(SkillTensor.router) {
            #expect(try gradient(parameter).contains { $0 != 0 }, "\(parameter.name)")
        }
    }

    @Test func `a task's loss reaches the routing of that task alone, and other rows stay as they are`() throws {
        let adapter = try shaken(adapter(method()))
        try adapter.parameters.makeTrainable()
        let rows = try encoded(adapter).filter { $0.task == 1 }
        _ = try backward(adapter, rows)
        for parameter in adapter.parameters.all where parameter.name.hasSuffix(SkillTensor.router) {
            let gradient = try #require(parameter.tensor.gradient)
            for task in 0..<3 {
                let isReached = try gradient.at(task).elements(Float.self).contains { $0 != 0 }
                #expect(isReached == (task == 1), "\(parameter.name) \(task)")
            }
        }
        var plan = TrainingPlan(steps: 4, learningRate: 1e-2)
        plan.batchSize = 4
        let outcome = try Trainer(model: model, adapter: adapter, examples: rows, plan: plan).run()
        for parameter in adapter.parameters.all where parameter.name.hasSuffix(SkillTensor.router) {
            let after = try outcome.parameters.tensor(parameter.name)
            for task in 0..<3 {
                let same = try after.at(task).elements(Float.self) == parameter.tensor.at(task).elements(Float.self)
                #expect(same == (task != 1), "\(parameter.name) \(task)")
            }
        }
    }

    @Test(arguments: [TinyModel.llama, .bart, .gpt2])
    func `a row among rows of other tasks gets what it gets alone`(kind: TinyModel) throws {
        let model = try kind.load(in: TemporaryFolder())
        let adapter = try shaken(adapter(method(), on: model))
        let specialist = try Specialist(base: model, adapter: adapter)
        let rows = try examples().map(specialist.encoder.encode)
        let together = try specialist.targetLosses(rows).map(\.loss)
        for (place, row) in rows.enumerated() {
            #expect(try abs(specialist.targetLosses([row])[0].loss - together[place]) < 1e-5)
            let narrowed = try Specialist(base: model, adapter: adapter.narrowed(to: #require(row.task)))
            var plain = row
            plain.task = nil
            #expect(try abs(narrowed.targetLosses([plain])[0].loss - together[place]) < 1e-5)
        }
        // The way of training: one pass over all rows as they come.
        try withoutGradients {
            let transformer = try model.transformer.attaching(
                adapter.method.attachments(adapter.parameters, model: model.transformer, dropout: nil, rows: rows))
            let (states, targets) = try transformer.targetStates(rows, padId: model.padId)
            for (place, row) in rows.enumerated() {
                let own = targets.rows.indices.filter { targets.rows[$0] == place }
                let alone = try Specialist(base: model, adapter: adapter.narrowed(to: #require(row.task))).transformer
                    .targetStates([row], padId: model.padId).states
                #expect(try (states.selecting(Tensor(own)) - alone).abs().max().item() < 1e-5)
            }
        }
        // Beside rows of the base and of another adapter.
        var set = AdapterSet(base: model)
        try set.add(adapter, named: "several")
        let requests = examples().map { AdapterSet.Request($0, adapter: $0.index % 5 == 4 ? nil : "several") }
        for (place, answer) in try set.targetLosses(requests).enumerated() where requests[place].adapter != nil {
            #expect(abs(answer.loss - together[place]) < 1e-5)
        }
        // Another task's routing gives another result.
        var moved = rows[0]
        moved.task = 1
        #expect(try abs(specialist.targetLosses([moved])[0].loss - together[0]) > 1e-3)
    }

    @Test func `what is written for a row does not depend on rows of other tasks`() throws {
        let adapter = try shaken(adapter(method()))
        let specialist = try Specialist(base: model, adapter: adapter)
        var options = GenerationOptions()
        options.maximumNewTokens = 6
        let some = Array(examples().prefix(6))
        let together = try specialist.generate(some, options: options)
        for (text, example) in zip(together, some) {
            #expect(try specialist.generate([example], options: options) == [text])
        }
        options.beams = 3
        let beams = try specialist.generate(some, options: options)
        for (text, example) in zip(beams, some) {
            #expect(try specialist.generate([example], options: options) == [text])
        }
    }

    @Test func `a task that is not known is refused where a row names it, with the tasks there are`() throws {
        let adapter = try adapter(method())
        let specialist = try Specialist(base: model, adapter: adapter)
        var stranger = examples()[0]
        stranger.task = "four"
        let error = #expect(throws: HoneError.self) {
            try specialist.generate([stranger], options: GenerationOptions())
        }
        #expect(error?.code == .badData && error?.message == "there is no task `four`; the tasks are one, two, three")
        #expect(error?.line == 1)
        stranger.task = nil
        let nameless = #expect(throws: HoneError.self) { try specialist.encoder.encode(stranger) }
        #expect(nameless?.message.contains("does not say which task") == true)
        #expect(throws: HoneError.self) { try specialist.transformer }
        #expect(throws: HoneError.self) { try adapter.narrowed(toTask: "four") }
        #expect(throws: HoneError.self) { try adapter.narrowed(to: 3) }
        let alone = try Specialist(base: model, adapter: adapter.narrowed(toTask: "two"))
        #expect(try alone.encoder.encode(stranger).task == 0)
        #expect(try alone.transformer.attachments.isEmpty == false)
    }

    @Test func `a step moves the routing by its multiple of the rate, and the skills by the rate itself`() throws {
        let rate = 1e-3
        var moved: [[String: [Float]]] = []
        for factor in [1, 10] {
            // With numbers in B, so that everything has a gradient.
            let start = try shaken(adapter(method("mhr", ["routing-rate": "\(factor)"])))
            let rows = try encoded(start)
            var plan = TrainingPlan(steps: 1, learningRate: rate)
            plan.batchSize = rows.count
            let after = try Trainer(model: model, adapter: start, examples: rows, plan: plan).run().parameters
            var own: [String: [Float]] = [:]
            for parameter in start.parameters.all {
                own[parameter.name] = try (after.tensor(parameter.name) - parameter.tensor).elements(Float.self)
            }
            moved.append(own)
        }
        for (name, slow) in moved[0] {
            let fast = try #require(moved[1][name])
            let factor: Float = name.hasSuffix(SkillTensor.router) ? 10 : 1
            #expect(zip(slow, fast).allSatisfy { abs($0 * factor - $1) < 1e-5 }, "\(name)")
            // The first step of Adam goes as far as the rate says, whatever the gradient.
            let (largest, expected) = (fast.map { abs($0) }.max() ?? 0, Float(rate) * factor)
            #expect(abs(largest - expected) < 0.01 * expected, "\(name): \(largest)")
        }
    }

    @Test func `there are as many numbers as the card says`() throws {
        for (name, heads) in [("mhr", 4), ("poly", 1)] {
            let parameters = try adapter(method(name)).parameters
            let maps = LinearTargets.all(model.configuration)
            let widths = maps.reduce(0) { $0 + $1.inputs + $1.outputs }
            #expect(parameters.count == 3 * 2 * widths + maps.count * 3 * heads * 3)
        }
    }

    @Test func `fresh skills are spread as the authors', or PEFT's`() throws {
        for (choice, heads, factor) in [
            ("authors", 4.0, 3.0), ("authors", 1.0, 3.0), ("peft", 4.0, 1.0), ("peft", 1.0, 1.0),
        ] {
            let method = try method("mhr", ["initialisation": choice, "splits": "\(Int(heads))", "skills": "64"])
            let parameters = try adapter(method).parameters
            let down = try parameters.tensor("layers.0.attention.query" + SkillTensor.down)
            let width = choice == "peft" ? 16 / heads : 16
            let bound = 1 / (width * factor).squareRoot()
            let largest = try down.abs().max().item()
            #expect(largest <= bound && largest > 0.97 * bound)
            let router = try parameters.tensor("layers.0.attention.query" + SkillTensor.router).abs().max().item()
            #expect(router <= 1e-3 && router > 9e-4)
        }
    }

    @Test func `weights are shares, and do not change with the scale of what is shared`() throws {
        var random = RandomStream(seed: 1, name: "logits")
        let logits = try random.normal([5, 12], standardDeviation: 2)
        let weights = try RoutingWeights.weights(logits, heads: 3)
        #expect(weights.shape == [5, 3, 4])
        #expect(try weights.min().item() >= 0)
        #expect(try (weights.sum([-1]) - 1).abs().max().item() < 1e-6)
        // Logits of half the openness.
        let half = try logits.sigmoid() / 2
        let other = try RoutingWeights.weights(half.log() - (1 - half).log(), heads: 3)
        #expect(try (weights - other).abs().max().item() < 1e-6)
    }

    @Test func `blocks mixed alike are Poly, and one skill is LoRA of alpha 1`() throws {
        let cut = try shaken(adapter(method(), tasks: []))
        let rows = try TinyTask.generation(rows: 6).examples.map(ExampleEncoder(model, options: options([])).encode)
        func losses(_ adapter: Adapter) throws -> [Double] {
            try Specialist(base: model, adapter: adapter).targetLosses(rows).map(\.loss)
        }
        var whole = try adapter(method("poly"), tasks: [])
        for site in try SkillSite.all(cut.parameters) {
            // One routing for all blocks.
            let own = try site.router.narrowed(1, from: 0, length: 3)
            try site.router.copyInPlace(own.repeated([1, 4]))
            let (down, up) = (site.inventory.down, site.inventory.up)
            whole.parameters.set(
                site.path + SkillTensor.down, try down.transpose(0, 1).reshaped([1, 3, -1, 2]).contiguous())
            whole.parameters.set(
                site.path + SkillTensor.up, try up.permuted([1, 2, 0, 3]).reshaped([1, 3, 2, -1]).contiguous())
            whole.parameters.set(site.path + SkillTensor.router, try own.cloned())
        }
        for (one, other) in try zip(losses(cut), losses(whole)) { #expect(abs(one - other) < 1e-5) }

        let single = try shaken(adapter(method("poly", ["skills": "1"]), tasks: []))
        var lora = try adapter(Methods.make("lora", typed: ["rank": "2", "alpha": "1"]), tasks: [])
        for site in try SkillSite.all(single.parameters) {
            lora.parameters.set(site.path + ".lora_A", try site.inventory.down.at(0).at(0).transpose(0, 1).contiguous())
            lora.parameters.set(site.path + ".lora_B", try site.inventory.up.at(0).at(0).transpose(0, 1).contiguous())
        }
        for (one, other) in try zip(losses(single), losses(lora)) { #expect(abs(one - other) < 1e-5) }
    }

    @Test(arguments: ["llama-poly", "llama-mhr", "bert-mhr"])
    func `in training, what is drawn gives the weights that PEFT's router gives`(name: String) throws {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let file = "/\(folder)/HoneModelsTests/Fixtures/adapter-\(name)/reference.safetensors"
        let tensors = Dictionary(uniqueKeysWithValues: try TensorFiles.read(file).map { ($0.name, $0.tensor) })
        let expected = try #require(tensors["router.weights"])
        let found = try RoutingWeights.weights(
            #require(tensors["router.logits"]).reshaped([3, -1]), heads: expected.size(1),
            uniform: #require(tensors["router.uniforms"]).reshaped([3, -1]))
        #expect(try (found - expected).abs().max().item() < 1e-5)
    }

    @Test func `draws differ from row to row and step to step, and evaluation draws nothing`() throws {
        let adapter = try shaken(adapter(method("mhr", ["sampling": "true"]), tasks: []))
        let row = try #require(
            try TinyTask.generation(rows: 1).examples.map(ExampleEncoder(model, options: options([])).encode).first)
        func loss(_ rows: [EncodedExample], step: Int?) throws -> Double {
            try backward(adapter, rows, dropout: step.map { DropoutSource(seed: 1, step: $0) })
        }
        try adapter.parameters.makeTrainable()
        let first = try loss([row], step: 1)
        #expect(try first == loss([row], step: 1))
        #expect(try abs(first - loss([row], step: 2)) > 1e-4)
        #expect(try abs(2 * first - loss([row, row], step: 1)) > 1e-4)
        #expect(try loss([row], step: nil) == loss([row], step: nil))
        let plain = try shaken(self.adapter(method("mhr"), tasks: []))
        try plain.parameters.makeTrainable()
        #expect(try loss([row], step: nil) == backward(plain, [row]))
    }

    @Test func `figures show every task and what it mixes`() throws {
        let adapter = try shaken(adapter(method()))
        let figures = try adapter.method.figures(adapter.parameters, of: model)
        #expect(figures.map(\.title).contains("How two mixes skills"))
        guard
            case .map(let rows, let columns, let values) = try #require(
                figures.first { $0.title == "How one mixes skills" }
            ).content
        else {
            Issue.record("no map")
            return
        }
        #expect(rows == ["layers.0", "layers.1"] && columns == ["skill 1", "skill 2", "skill 3"])
        for line in values { #expect(abs(line.reduce(0, +) - 1) < 1e-6) }
        guard case .map(_, let names, let alike) = try #require(figures.last).content else { return }
        #expect(names == tasks)
        for place in 0..<3 { #expect(abs(alike[place][place] - 1) < 1e-9) }
        #expect(abs(alike[0][1]) < 0.99 && abs(alike[0][1] - alike[1][0]) < 1e-9)
    }
}
