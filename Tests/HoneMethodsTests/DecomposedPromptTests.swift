import HoneFormats
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What DePT and EPT must hold beyond the conformance matrix.
@Suite struct DecomposedPromptTests {
    private let scratch: TemporaryFolder
    private let model: BaseModel
    private static let small = ["length": "3", "rank": "2", "places": "12"]

    init() throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.llama.load(in: scratch)
    }

    private func make(_ name: String, _ more: [String: String] = [:]) throws -> any Method {
        var typed = DecomposedPromptTests.small
        if name == "ept" { typed.merge(["spaces": "2", "bottleneck": "4"]) { $1 } }
        if name == "prompt" { typed = ["length": "3"] }
        return try Methods.make(name, typed: typed.merging(more) { $1 })
    }

    private func initial(_ method: any Method, seed: UInt64 = 3) throws -> ParameterSet {
        var random = RandomStream(seed: seed, name: "initialisation")
        return try method.initialParameters(for: model, random: &random)
    }

    /// Parameters that are not at their start.
    private func moved(_ method: any Method) throws -> ParameterSet {
        var random = RandomStream(seed: 8, name: "moved")
        let parameters = try initial(method)
        for parameter in parameters.all {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.3))
        }
        return parameters
    }

    private func batch() throws -> TokenBatch {
        let rows = try ["we see the old plum and one big", "red file", "the drill"].map {
            try model.tokenizer.encode($0, addSpecialTokens: false)
        }
        return try TokenBatch(rows, padId: model.padId)
    }

    private func transformer(_ method: any Method, _ parameters: ParameterSet) throws -> Transformer {
        try model.transformer.attaching(method.attachments(parameters, model: model.transformer, dropout: nil))
    }

    private func states(_ method: any Method, _ parameters: ParameterSet) throws -> [Float] {
        try withoutGradients { try transformer(method, parameters).states(batch()).elements(Float.self) }
    }

    private func copy(_ parameters: ParameterSet, _ names: [String: String]) throws -> ParameterSet {
        var made = ParameterSet()
        for parameter in parameters.all {
            if let name = names[parameter.name] { made.set(name, try parameter.tensor.cloned()) }
        }
        return made
    }

    @Test func `DePT starts as prompt tuning with its prompt, and EPT as DePT`() throws {
        let dept = try make("dept")
        let parameters = try initial(dept)
        let prompt = try copy(parameters, ["prompt": "prompt_embeddings"])
        #expect(try states(dept, parameters) == states(make("prompt"), prompt))
        // The same random numbers give the same start.
        let ept = try make("ept")
        #expect(try states(ept, initial(ept)) == states(dept, parameters))
        #expect(try states(ept, moved(ept)) != states(dept, parameters))
    }

    @Test func `without a prompt the correction stands alone, and without a correction it is prompt tuning`() throws {
        for name in ["dept", "ept"] {
            let bare = try make(name, ["length": "0"])
            let correction = try moved(bare)
            #expect(correction.all.map(\.name) == ["delta_A", "delta_B"])
            let (one, other) = (try states(bare, correction), try states(bare, initial(bare)))
            #expect(one != other)
            #expect(try other == withoutGradients { try model.transformer.states(batch()).elements(Float.self) })
        }
        let plain = try make("dept", ["rank": "0"])
        let parameters = try moved(plain)
        #expect(parameters.all.map(\.name) == ["prompt"])
        let prompt = try copy(parameters, ["prompt": "prompt_embeddings"])
        #expect(try states(plain, parameters) == states(make("prompt"), prompt))
    }

    /// Which tensors have a gradient that is not zero throughout, after so many plain gradient steps.
    private func awake(_ method: any Method, after steps: Int) throws -> Set<String> {
        let parameters = try initial(method)
        try parameters.makeTrainable()
        var names: Set<String> = []
        for _ in 0...steps {
            for parameter in parameters.all { parameter.tensor.clearGradient() }
            let ids = try batch()
            let found = try transformer(method, parameters).states(ids, at: [2, 3, 5])
            try model.transformer.targetLoss(found, targets: Tensor([4, 20, 31])).backward()
            names = []
            for parameter in parameters.all {
                let gradient = try parameter.tensor.gradient ?? Tensor.zeros([1])
                if try gradient.abs().max().item() > 0 { names.insert(parameter.name) }
                try withoutGradients { try parameter.tensor.addInPlace(gradient.cloned(), scale: -0.5) }
            }
        }
        return names
    }

    @Test func `gradients wake up in order: B, then Wo and A, then the fusion's attention`() throws {
        let method = try make("ept")
        let first: Set = ["prompt", "delta_B", "spaces.0.up", "spaces.1.up"]
        #expect(try awake(method, after: 0) == first)
        let second = first.union([
            "delta_A", "fusion.output", "spaces.0.down", "spaces.1.down", "gate.weight", "gate.bias",
        ])
        #expect(try awake(method, after: 1) == second)
        #expect(try awake(method, after: 2) == second.union(["fusion.value", "fusion.query", "fusion.key"]))
    }

    @Test func `the weights of the spaces sum to one, and their order means nothing`() throws {
        for gate in ["prompt", "row"] {
            let method = try #require(try make("ept", ["spaces": "3", "gate": gate]) as? EPT)
            let parameters = try moved(method)
            let weights = try #require(try method.gate(parameters))
            #expect(weights.shape == (gate == "row" ? [3, 3] : [3]))
            #expect(try weights.sum([-1]).elements(Double.self).allSatisfy { abs($0 - 1) < 1e-6 })
            var permuted = try parameters.copied()
            let order = [2, 0, 1]
            for (place, from) in order.enumerated() {
                for part in ["down", "up"] {
                    permuted.set("spaces.\(place).\(part)", try parameters.tensor("spaces.\(from).\(part)"))
                }
            }
            permuted.set("gate.weight", try parameters.tensor("gate.weight").selecting(Tensor(order), dimension: 1))
            permuted.set("gate.bias", try parameters.tensor("gate.bias").selecting(Tensor(order)))
            let (one, other) = (try states(method, parameters), try states(method, permuted))
            #expect(zip(one, other).allSatisfy { abs($0 - $1) < 1e-5 })
        }
    }

    @Test func `a single space has no gate, and ablations leave their tensors out`() throws {
        func names(_ more: [String: String]) throws -> Set<String> {
            Set(try initial(make("ept", more)).all.map { String($0.name.prefix { $0 != "." && $0 != "_" }) })
        }
        #expect(try names(["spaces": "1"]) == ["prompt", "delta", "fusion", "spaces"])
        #expect(try names(["fusion": "false"]) == ["prompt", "delta", "spaces", "gate"])
        #expect(try names(["spaces": "0"]) == ["prompt", "delta", "fusion"])
        #expect(try names(["spaces": "0", "fusion": "false"]) == ["prompt", "delta"])
        let (bare, dept) = (try make("ept", ["spaces": "0", "fusion": "false"]), try make("dept"))
        #expect(try states(bare, moved(bare)) == states(dept, moved(dept)))
    }

    @Test func `a folded adapter computes the same with a prompt and a correction alone, also from its folder`() throws
    {
        let method = try #require(try make("ept") as? EPT)
        let parameters = try moved(method)
        let folded = try method.folded(parameters)
        #expect(folded.all.map(\.name) == ["prompt", "delta_A", "delta_B"])
        let expected = try states(method, parameters)
        #expect(zip(try states(method, folded), expected).allSatisfy { abs($0 - $1) < 1e-6 })
        let adapter = Adapter(
            method: method, task: .generation, labels: [], parameters: folded, encoding: .init(maximumLength: 40))
        let folder = try scratch.folder("folded")
        try adapter.write(to: folder, for: model)
        let read = try Adapter.read(folder, for: model)
        #expect(read.parameters.all.map(\.name) == ["prompt", "delta_A", "delta_B"])
        #expect(try states(read.method, read.parameters) == states(method, folded))
    }

    @Test func `without a correction the folder is PEFT's, with the reconstructed prompt`() throws {
        for name in ["dept", "ept"] {
            let method = try make(name, ["rank": "0"])
            let parameters = try moved(method)
            let adapter = Adapter(
                method: method, task: .generation, labels: [], parameters: parameters,
                encoding: .init(maximumLength: 40))
            let folder = try scratch.folder("peft-" + name)
            try adapter.write(to: folder, for: model)
            #expect(try AdapterConfiguration.read(folder: folder).method.peftType == "PROMPT_TUNING")
            let expected = try states(method, parameters)
            let own = try Adapter.read(folder, for: model)
            #expect(zip(try states(own.method, own.parameters), expected).allSatisfy { abs($0 - $1) < 1e-6 })
            // As PEFT's alone, prompt tuning reads it.
            let alone = try scratch.folder("alone-" + name)
            for file in ["adapter_config.json", "adapter_model.safetensors"] {
                try AtomicFile.write(FileBytes.read(folder + "/" + file), to: alone + "/" + file)
            }
            let plain = try Adapter.readMethod(AdapterFolderReader(path: alone), for: model)
            #expect(plain.method.name == "prompt")
            #expect(zip(try states(plain.method, plain.parameters), expected).allSatisfy { abs($0 - $1) < 1e-6 })
        }
    }

    @Test func `the model sees the short prompt and the tokens`() throws {
        let method = try make("ept")
        var attachments = try method.attachments(moved(method), model: model.transformer, dropout: nil)
        let recorder = StateRecorder()
        attachments.states["embeddings"] = [recorder]
        let batch = try batch()
        _ = try withoutGradients { try model.transformer.attaching(attachments).states(batch) }
        #expect(recorder.states.map { $0.size(1) } == [3 + batch.length])
    }

    @Test func `the correction has its own rate, all else the prompt's`() throws {
        let method = try make("ept", ["low-rank-rate": "0.25"])
        let factors = try initial(method).all.map { ($0.name, method.rule(for: $0).learningRateFactor) }
        #expect(factors.allSatisfy { $0.0.hasPrefix("delta_") ? $0.1 == 0.25 : $0.1 == 1 })
        #expect(factors.contains { $0.0.hasPrefix("delta_") })
    }

    private func train(_ method: any Method, steps: Int = 2) throws -> (parameters: ParameterSet, notes: [String]) {
        let task = TinyTask.generation()
        let adapter = try Adapter.initial(
            method, for: model, task: task.shape, labels: task.labels, encoding: .init(maximumLength: 40), seed: 1)
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40))
        var plan = TrainingPlan(steps: steps, learningRate: 1e-2)
        plan.batchSize = 4
        var notes: [String] = []
        let outcome = try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), plan: plan
        )
        .run(report: { if case .note(let note) = $0 { notes.append(note) } })
        return (outcome.parameters, notes)
    }

    @Test func `rows longer than the correction are counted, or refused`() throws {
        let notes = try train(make("dept", ["places": "4"])).notes
        #expect(notes.contains { $0.contains("training rows have more tokens than the 4 places") })
        #expect(notes.contains { $0.contains("as many as a plain prompt of") })
        #expect(try train(make("dept", ["places": "40"])).notes.count == 1)
        let error = #expect(throws: HoneError.self) { try train(make("dept", ["places": "4", "strict": "true"])) }
        #expect(error?.item == "dept places" && error?.code == .badData)
    }

    @Test func `training folds at its end where it is asked to`() throws {
        let parameters = try train(make("ept", ["fold": "true"]), steps: 4).parameters
        #expect(parameters.all.map(\.name) == ["prompt", "delta_A", "delta_B"])
    }

    @Test func `what does not fit is refused in a sentence`() throws {
        func refusal(_ name: String, _ more: [String: String]) throws -> String? {
            let method = try make(name, more)
            do {
                _ = try Adapter.initial(
                    method, for: model, task: .generation, labels: [], encoding: .init(maximumLength: 40), seed: 0)
                return nil
            } catch let error as HoneError where error.code == .mismatch {
                return error.description
            }
        }
        #expect(try refusal("dept", [:]) == nil && refusal("ept", [:]) == nil)
        #expect(try refusal("dept", ["places": "94"])?.contains("96 positions") == true)
        #expect(try refusal("dept", ["rank": "13"])?.contains("above the 12 x 16 matrix") == true)
        #expect(try refusal("dept", ["length": "0", "rank": "0"])?.contains("left to train") == true)
        #expect(try refusal("dept", ["budget": "3"])?.contains("pays for no correction") == true)
        #expect(try refusal("ept", ["bottleneck": "16"])?.contains("no bottleneck") == true)
        #expect(try refusal("dept", ["initialisation": "text"])?.contains("is empty") == true)
    }

    @Test func `figures show gates that sum to one, the nearest words and the correction by place`() throws {
        let method = try make("ept", ["gate": "row"])
        let figures = try method.figures(moved(method), of: model)
        #expect(
            figures.map(\.title) == [
                "Size", "Nearest words of each prompt vector", "Correction by place", "Weights of the spaces",
            ])
        guard case .map(let rows, let columns, let values) = figures[3].content else {
            Issue.record("no map")
            return
        }
        #expect(rows.count == 3 && columns.count == 2 && values.allSatisfy { abs($0.reduce(0, +) - 1) < 1e-6 })
    }
}

/// Where prompts start.
@Suite struct PromptStartTests {
    @Test
    func `a prompt starts from the vectors of a text, as PEFT's: repeated or cut, with the text's own special tokens`()
        throws
    {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let table = try #require(model.transformer.weights["embeddings.tokens.weight"])
        let ids = try model.tokenizer.encode("the old plum")
        #expect(ids.count == 5)
        for length in [3, 5, 12] {
            let method = try Methods.make(
                "prompt", typed: ["length": "\(length)", "initialisation": "text", "text": "the old plum"])
            var random = RandomStream(seed: 1, name: "start")
            let start = try method.initialParameters(for: model, random: &random).tensor("prompt_embeddings")
            let expected = try table.selecting(Tensor((0..<length).map { ids[$0 % 5] }))
            #expect(try start.elements(Float.self) == expected.elements(Float.self))
            // Each is the word that it is nearest to.
            guard
                case .table(_, let rows) = try method.figures(
                    {
                        var set = ParameterSet(); set.set("prompt_embeddings", start); return set
                    }(), of: model)[0].content
            else { continue }
            let tokenizer = try model.tokenizer
            #expect(rows.enumerated().allSatisfy { $1[1] == "\(tokenizer.token(ids[$0 % 5]) ?? "") 1.00" })
        }
    }

    @Test func `a text without tokens is refused`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        for text in ["", "  ", "\u{200B}"] {
            let method = try Methods.make("prompt", typed: ["initialisation": "text", "text": text])
            let error = #expect(throws: HoneError.self, "\(text)") {
                try Adapter.initial(
                    method, for: model, task: .classification(classes: 2), labels: ["a", "b"], encoding: .init(),
                    seed: 0)
            }
            #expect(error?.code == .mismatch)
        }
    }
}
