import HoneFormats
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What soft injection, function vectors and task vectors must hold, on small models.
@Suite struct SoftInjectionTests {
    let scratch: TemporaryFolder
    let task = TinyTask.generation()

    init() throws { scratch = try TemporaryFolder() }

    func adapter(_ method: String = "site", _ settings: [String: String] = [:], on model: BaseModel) throws
        -> Adapter
    {
        var typed = settings
        if typed["shots"] == nil { typed["shots"] = "2" }
        if typed["prompts"] == nil { typed["prompts"] = "5" }
        if method == "fv" { typed.merge(["trials": "3", "heads": "2"]) { own, _ in own } }
        return try Adapter.initial(
            Methods.make(method, typed: typed), for: model, task: .generation, labels: [],
            encoding: .init(maximumLength: 40, marksCompletions: true), seed: 5)
    }

    func trainer(
        _ adapter: Adapter, on model: BaseModel, steps: Int = 1, seed: UInt64 = 11, examples: [Example]? = nil,
        validate: ((ParameterSet, Int) throws -> ValidationPoint)? = nil
    ) throws -> Trainer {
        var plan = TrainingPlan(steps: steps, learningRate: 0.2)
        plan.batchSize = 4
        plan.seed = seed
        plan.evaluateEvery = 1
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        let examples = examples ?? task.examples
        return try Trainer(
            model: model, adapter: adapter, examples: examples.map(encoder.encode), source: examples, plan: plan,
            validate: validate)
    }

    /// With the task read, and λ as given.
    func read(_ adapter: Adapter, on model: BaseModel, logits: Double? = nil, seed: UInt64 = 11) throws
        -> Adapter
    {
        var done = adapter
        done.parameters = try trainer(adapter, on: model, seed: seed).readParameters()
        if let logits {
            for parameter in done.parameters.trained {
                done.parameters.set(parameter.name, try Tensor.full(parameter.tensor.shape, logits))
            }
        }
        return done
    }

    func attached(_ adapter: Adapter, to model: Transformer) throws -> Transformer {
        try model.attaching(adapter.method.attachments(adapter.parameters, model: model, dropout: nil))
    }

    func next(_ transformer: Transformer, after prompt: [Int]) throws -> [Float] {
        try withoutGradients {
            let states = try transformer.states(TokenBatch([prompt])).at(-1, dimension: 1)
            return try transformer.logits(states).elements(Float.self)
        }
    }

    func distance(_ left: [Float], _ right: [Float]) -> Float {
        left.count == right.count ? zip(left, right).map { abs($0 - $1) }.max() ?? 0 : .infinity
    }

    @Test(arguments: [TinyModel.llama, .gpt2])
    func `shares of nothing give the base exactly`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let own = try read(adapter(on: model), on: model, logits: -200)
        for prompt in [[5, 9, 11], [7]] {
            #expect(
                try next(attached(own, to: model.transformer), after: prompt) == next(model.transformer, after: prompt))
        }
    }

    @Test func `shares of everything make the last token blind to what stands before it`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try attached(read(adapter(on: model), on: model, logits: 200), to: model.transformer)
        let expected = try next(own, after: [5, 9, 11])
        // Up to the order of sums, which depends on how many tokens there are.
        #expect(try distance(next(own, after: [7, 12, 6, 10, 8, 11]), expected) < 1e-5)
        #expect(try distance(next(own, after: [11]), expected) < 1e-5)
        #expect(try distance(next(own, after: [5, 9, 12]), expected) > 1e-2)
        // Learned positions are in the token's own vector: only prompts of one length are alike.
        let other = try TinyModel.gpt2.load(in: scratch)
        let gpt2 = try attached(read(adapter(on: other), on: other, logits: 200), to: other.transformer)
        #expect(try distance(next(gpt2, after: [7, 12, 11]), next(gpt2, after: [5, 9, 11])) < 1e-5)
        #expect(try distance(next(gpt2, after: [9, 11]), next(gpt2, after: [5, 9, 11])) > 1e-2)
    }

    @Test func `at the start half of each head's output is the task's`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try read(adapter(on: model), on: model)
        let site = "layers.0.attention.heads"
        let (before, after) = (StateRecorder(), StateRecorder())
        var attachments = Attachments()
        attachments.states[site] = [before]
        attachments.add(try own.method.attachments(own.parameters, model: model.transformer, dropout: nil))
        attachments.states[site]?.append(after)
        let exact = try BaseModel(folder: model.folder, exact: true).transformer
        _ = try withoutGradients {
            try exact.attaching(attachments).states(TokenBatch([[5, 9, 11]]).endingPrompts(at: [1]))
        }
        let (old, new) = (try before.states[0].at(0), try after.states[0].at(0))
        let middle = try (old.at(1) + own.parameters.tensor(site + ".task")) / 2
        #expect(try distance(new.at(1).elements(), middle.elements()) < 1e-6)
        // Nothing before or behind it is touched there.
        for place in [0, 2] { #expect(try new.at(place).elements(Float.self) == old.at(place).elements(Float.self)) }
    }

    @Test(arguments: [TinyModel.llama, .gpt2, .qwen3, .neox, .opt])
    func `what it writes token by token is what everything computed again gives`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let transformer = try attached(read(adapter(on: model), on: model, logits: 1), to: model.transformer)
        let prompts = [[5, 9, 11], [7, 12, 6, 10], [13]]
        var options = GenerationOptions()
        options.maximumNewTokens = 6
        options.wantsLogProbabilities = true
        let texts = try Generator(transformer, tokenizer: nil).generate(
            prompts.map { GenerationRequest(prompt: $0) }, options: options)
        for (prompt, text) in zip(prompts, texts) {
            var row = prompt
            for (token, found) in zip(text[0].tokens, text[0].logProbabilities) {
                let expected = try withoutGradients {
                    let batch = try TokenBatch([row]).endingPrompts(at: [prompt.count - 1])
                    let last = try transformer.states(batch).at(-1, dimension: 1)
                    return try transformer.logits(last).softmax(-1).log().at(0).at(token).item()
                }
                #expect(abs(expected - Double(found)) < 1e-4, "\(row)")
                row.append(token)
            }
        }
    }

    @Test(arguments: [TinyModel.llama, .gpt2, .qwen3])
    func `one number a head is trained, each gets a gradient, and nothing else does`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let own = try read(adapter(on: model), on: model)
        #expect(own.parameters.count == model.configuration.layerCount * model.configuration.headCount)
        try own.parameters.makeTrainable()
        let rows = try task.examples.prefix(6).map(ExampleEncoder(model, options: own.encoding).encode)
            .map(own.method.learned)
        let loss = try withGradients {
            let (states, targets) = try attached(own, to: model.transformer).targetStates(rows, padId: model.padId)
            return try model.transformer.targetLoss(states, targets: targets.ids)
        }
        try loss.backward()
        for parameter in own.parameters.all {
            let gradient = try parameter.tensor.gradient?.abs().min().item()
            #expect(parameter.group == .state ? gradient == nil : gradient.map { $0 > 0 } == true, "\(parameter.name)")
        }
        #expect(model.transformer.weights.values.allSatisfy { !$0.requiresGradient })
        for parameter in own.parameters.all where parameter.group == .state {
            #expect(!parameter.tensor.requiresGradient)
        }
    }

    @Test func `the gradient of each logit is what differences say`() throws {
        let small = try TinyModel.llama.load(in: scratch)
        let model = try BaseModel(folder: small.folder, exact: true)
        let wide = try model.transformer.converted(to: .float64)
        var own = try read(adapter(on: small), on: small)
        for parameter in own.parameters.all {
            let values = try parameter.tensor.elements(Double.self).enumerated().map {
                $1 + (parameter.group == .state ? 0 : 0.3 * Double($0 % 5) - 0.5)
            }
            own.parameters.set(
                parameter.name, try Tensor(values, shape: parameter.tensor.shape), group: parameter.group)
        }
        let rows = try task.examples.prefix(4).map(ExampleEncoder(model, options: own.encoding).encode)
            .map(own.method.learned)
        func loss(_ parameters: ParameterSet) throws -> Tensor {
            let transformer = try wide.attaching(own.method.attachments(parameters, model: wide, dropout: nil))
            let (states, targets) = try transformer.targetStates(rows, padId: model.padId)
            return try transformer.logits(states).crossEntropySum(targets.ids)
        }
        try own.parameters.makeTrainable()
        try withGradients { try loss(own.parameters) }.backward()
        let width = 1e-5
        for parameter in own.parameters.trained {
            let gradient = try #require(parameter.tensor.gradient).elements(Double.self)
            for place in gradient.indices {
                let sides = try [width, -width].map { change in
                    var moved = try own.parameters.copied()
                    var values = try parameter.tensor.detached().elements(Double.self)
                    values[place] += change
                    moved.set(parameter.name, try Tensor(values))
                    return try withoutGradients { try loss(moved).item() }
                }
                let slope = (sides[0] - sides[1]) / (2 * width)
                #expect(abs(slope - gradient[place]) < 1e-6 * max(1, abs(slope)), "\(parameter.name) \(place)")
            }
        }
    }

    @Test func `the task is the mean of its prompts, the same for a seed, and another for another`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let site = "layers.1.attention.heads"
        func task(_ prompts: Int, seed: UInt64 = 11) throws -> [Float] {
            try read(adapter("site", ["prompts": "\(prompts)"], on: model), on: model, seed: seed).parameters
                .tensor(site + ".task").elements()
        }
        #expect(try task(4) == task(4))
        #expect(try distance(task(4), task(4, seed: 12)) > 1e-3)
        // The n-th prompt depends on its number alone: of two prompts, the second is twice the mean less the first.
        let plan = TrainingPlan(steps: 1, learningRate: 0.2)
        let context = try Self.context(model, task: self.task, seed: 11, plan: plan)
        let drawn = try FewShotPrompts(context, shots: 2, for: "site").draw(4, shots: 2, purpose: "prompts")
        let single = try drawn.map {
            let means = try model.transformer.meanPromptEnds([$0], at: [site], padId: model.padId)
            return try #require(means[site]).elements(Float.self)
        }
        let mean = single[0].indices.map { place in single.map { $0[place] }.reduce(0, +) / 4 }
        #expect(try distance(task(4), mean) < 1e-5)
        for prompt in drawn {
            let text = try model.tokenizer.decode(prompt.tokens)
            #expect(text.filter { $0 == ":" }.count == 3 && text.hasSuffix(":"), "\(text)")
        }
    }

    /// What a trainer would give a method.
    static func context(
        _ model: BaseModel, task: TinyTask, seed: UInt64, plan: TrainingPlan, examples: [Example]? = nil
    ) throws -> TrainingContext {
        let options = ExampleEncoder.Options(maximumLength: 40, marksCompletions: true)
        let encoder = try ExampleEncoder(model, options: options)
        let examples = examples ?? task.examples
        return TrainingContext(
            model: model, task: task.shape, labels: task.labels, rows: try examples.map(encoder.encode),
            examples: examples, encoding: options, seed: seed, steps: plan.steps, batchSize: plan.batchSize,
            learningRate: plan.learningRate, train: { _, parameters, _, _ in parameters }, gradients: { _, _, _ in 0 },
            validate: nil, note: { _ in }, checkStop: {})
    }

    @Test(arguments: ["site", "fv", "tv"])
    func `a row among others is what it is alone, and tokens behind the prompt see the change`(method: String) throws {
        let model = try TinyModel.llama.load(in: scratch)
        let specialist = try Specialist(base: model, adapter: read(adapter(method, on: model), on: model))
        let rows = try task.examples.prefix(9).map(specialist.encoder.encode)
        let together = try specialist.targetLosses(rows).map(\.loss)
        let alone = try rows.map { try specialist.targetLosses([$0])[0].loss }
        #expect(distance(together.map { Float($0) }, alone.map { Float($0) }) < 1e-4)
        let bare = try model.transformer.targetScores(rows, padId: model.padId).map { -$0.logLikelihood }
        #expect(zip(together, bare).allSatisfy { abs($0 - $1) > 1e-5 })
        let exact = try BaseModel(folder: model.folder, exact: true)
        let oracle = try Specialist(base: exact, adapter: specialist.adapter).targetLosses(rows).map(\.loss)
        #expect(distance(together.map { Float($0) }, oracle.map { Float($0) }) < 1e-3)
    }

    @Test(arguments: ["first", "all"])
    func `of an answer its first token is learned, or all of it`(answer: String) throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try adapter("site", ["answer": answer], on: model)
        let trainer = try trainer(own, on: model)
        let counts = Set(trainer.examples.map(\.targetCount))
        #expect(answer == "first" ? counts == [1] : counts.contains { $0 > 1 })
    }

    @Test(arguments: ["best", "last"])
    func `the best validated mixture is kept, or the last`(keep: String) throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try adapter("site", ["keep": keep], on: model)
        var seen: [Int: [Float]] = [:]
        let name = "layers.0.attention.heads.logits"
        let outcome = try trainer(own, on: model, steps: 6) { parameters, step in
            seen[step] = try parameters.tensor(name).detached().elements()
            return ValidationPoint(step: step, score: step == 3 ? 1 : 0, loss: 1)
        }.run()
        #expect(Set(seen.keys) == Set(1...6))
        #expect(try outcome.parameters.tensor(name).elements() == seen[keep == "best" ? 3 : 6])
    }

    @Test func `misuse is refused in one sentence`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        func message(_ method: String, _ settings: [String: String], _ examples: [Example]? = nil) throws -> String {
            do {
                let own = try adapter(method, settings, on: model)
                _ = try trainer(own, on: model, examples: examples).readParameters()
                return "nothing"
            } catch let error as HoneError {
                return error.description
            }
        }
        for method in ["site", "fv", "tv"] {
            let few = try message(method, ["shots": "10"], Array(task.examples.prefix(10)))
            #expect(few.contains("need 11 rows with prompt and answer, and there are 10"), "\(few)")
            let long = try message(method, ["shots": "40"])
            #expect(long.contains("the model has 96 positions"), "\(long)")
        }
        #expect(try message("fv", ["heads": "9"]).contains("9 heads are more than the model's 8"))
        #expect(try message("tv", ["layer": "2"]).contains("the layers 0 to 1"))
        var silent = Array(task.examples.prefix(3))
        for place in silent.indices { silent[place].target = .completion("") }
        var plain = try adapter("site", on: model)
        plain.encoding.marksCompletions = false
        let rows = try task.examples.map(ExampleEncoder(model, options: plain.encoding).encode)
        let mute = try Trainer(
            model: model, adapter: plain, examples: rows, source: silent, plan: TrainingPlan(steps: 1, learningRate: 1))
        #expect {
            _ = try mute.readParameters()
        } throws: {
            "\($0)".contains("has no tokens")
        }
        let folder = try scratch.folder("task")
        try read(adapter(on: model), on: model).write(to: folder, for: model)
        let other = try TinyModel.gpt2.load(in: scratch)
        #expect {
            _ = try SoftInjection.read(AdapterFolderReader(path: folder), for: TinyModel.qwen3.load(in: scratch))
        } throws: {
            "\($0)".contains("does not fit the model's")
        }
        #expect {
            _ = try Adapter.read(folder, for: other)
        } throws: {
            "\($0)".contains("another base model")
        }
    }
}
