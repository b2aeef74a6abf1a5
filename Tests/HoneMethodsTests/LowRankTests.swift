import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// What holds of LoRA, DoRA and AdaLoRA beyond what every method must hold.
@Suite struct LowRankTests {
    private func largest(_ tensor: Tensor?) throws -> Double {
        try tensor.map { try $0.abs().max().item() } ?? 0
    }

    @Test(
        "at the first step, gradients reach what they can reach",
        arguments: [
            ("lora", ["rank": "3"], ["lora_B"]),
            ("lora", ["rank": "3", "weight-decomposed": "true"], ["lora_B", "lora_magnitude"]),
            ("adalora", ["initial-rank": "3", "target-rank": "2", "orthogonality": "0"], ["lora_E"]),
        ])
    func firstGradients(name: String, typed: [String: String], reached: [String]) throws {
        let run = try ShortRun()
        _ = try run.train(run.adapter(Methods.make(name, typed: typed)), steps: 2) { parameters, step in
            guard step == 1 else { return }
            for parameter in parameters.trained {
                let size = try largest(parameter.tensor.gradient)
                let isReached = reached.contains { parameter.name.hasSuffix($0) }
                #expect((size > 0) == isReached, "\(parameter.name): \(size)")
            }
        }
    }

    @Test(
        "a change has at most the rank of its factors",
        arguments: [
            ("lora", ["rank": "2"], 2), ("adalora", ["initial-rank": "4", "target-rank": "1"], 4),
            ("triadaptlora", ["reference-rank": "2", "interval": "2"], 4),
        ])
    func rank(name: String, typed: [String: String], most: Int) throws {
        let run = try ShortRun()
        let trained = try run.train(run.adapter(Methods.make(name, typed: typed)), steps: 10)
        let merged = try #require(
            try trained.method.mergedWeights(trained.parameters, model: run.model.transformer))
        #expect(!merged.isEmpty)
        let values = Operator("aten::linalg_svdvals")
        let factors = try #require(try trained.method.lowRankFactors(trained.parameters))
        for own in factors where own.rank > 0 {
            let name = own.path + ".weight"
            let base = try #require(run.model.transformer.weights[name])
            let found = try values(.tensor(#require(merged[name]) - base)).elements(Double.self)
            #expect(own.rank <= most)
            #expect(found.count { $0 > 1e-5 * max(1, found[0]) } <= own.rank, "\(name): \(found)")
        }
    }

    @Test func `T5-base and GPT-2 have as many numbers to train as PEFT counts`() throws {
        // PEFT 0.21.2 prints these counts; a set's shapes follow from a model's configuration alone.
        let gpt2 = try GPT2.configuration(
            ConfigReader(
                [
                    "vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12,
                ], file: "gpt2"))
        let t5 = try T5.configuration(
            ConfigReader(
                [
                    "vocab_size": 32128, "d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12,
                    "num_heads": 12, "is_encoder_decoder": true, "decoder_start_token_id": 0,
                ], file: "t5-base"))
        func count(_ model: TransformerConfiguration, _ targets: String) throws -> Int {
            let settings = try MethodSettings(LoRA.card, typed: ["targets": targets])
            return try LinearTargets.resolve(settings, in: model, for: "lora").reduce(0) {
                $0 + 8 * ($1.inputs + $1.outputs)
            }
        }
        #expect(try count(gpt2, "attention.input") == 294_912)
        #expect(try count(t5, "query,value") == 884_736)
    }

    @Test func `AdaLoRA keeps to its budget at every step and ends with the target`() throws {
        let run = try ShortRun()
        let method = try Methods.make(
            "adalora",
            typed: ["initial-rank": "4", "target-rank": "2", "initial-steps": "3", "final-steps": "5"])
        var counts: [Int] = []
        var isMasked = false
        let trained = try run.train(run.adapter(method), steps: 20) { parameters, step in
            let values = parameters.trained.filter { $0.name.hasSuffix(".lora_E") }
            let maps = values.count
            let kept = try values.reduce(0) { sum, value in
                let site = value.name.dropLast(".lora_E".count)
                guard let mask = parameters["\(site).kept"] else { return sum + 4 }
                let (flags, numbers) = try (mask.elements(Int.self), value.tensor.elements(Float.self))
                isMasked = true
                // What is masked is zero when the mask is made.
                for (flag, number) in zip(flags, numbers) where flag == 0 { #expect(number == 0) }
                return sum + flags.reduce(0, +)
            }
            counts.append(kept)
            let rest = 1 - Double(step - 3) / 12
            let budget =
                step <= 3
                ? 4 * maps : step >= 15 ? 2 * maps : Int((2 * Double(maps) * rest * rest * rest + 2 * Double(maps)))
            #expect(kept <= budget, "step \(step)")
        }
        #expect(isMasked)
        #expect(counts == counts.sorted(by: >))
        let ranks = try #require(try trained.method.lowRankFactors(trained.parameters)).map(\.rank)
        #expect(ranks.reduce(0, +) == 2 * ranks.count)
        #expect(Set(ranks).count > 1, "every map has kept as much")
        let figures = try trained.method.figures(trained.parameters, of: run.model)
        guard case .map(let rows, _, let values) = try #require(figures.first).content else {
            Issue.record("no map")
            return
        }
        #expect(rows == ["layers.0", "layers.1"])
        #expect(values.flatMap { $0 }.reduce(0, +) == Double(ranks.reduce(0, +)))
    }

    @Test(
        "as a plain LoRA, an adapter gives the same results",
        arguments: [
            ("lora", ["rank": "3"]), ("adalora", ["initial-rank": "4", "target-rank": "2"]),
            ("triadaptlora", ["reference-rank": "4", "increment": "1", "interval": "2"]),
        ])
    func asLoRA(name: String, typed: [String: String]) throws {
        let run = try ShortRun()
        let trained = try run.train(run.adapter(Methods.make(name, typed: typed)), steps: 10)
        let plain = try trained.asLoRA()
        #expect(plain.method.name == "lora")
        let folder = try run.scratch.folder("plain")
        try plain.write(to: folder, for: run.model)
        let read = try Adapter.read(folder, for: run.model)
        let (before, after) = try (run.losses(trained), run.losses(read))
        for (left, right) in zip(before, after) { #expect(abs(left - right) < 1e-5 * max(1, abs(left))) }
        func logits(_ transformer: Transformer) throws -> Tensor {
            let rows = try TokenBatch([[5, 9, 11, 7], [6, 7, 8, 4]])
            return try withoutGradients { try transformer.logits(transformer.states(rows)) }
        }
        let base = run.model.transformer
        let attached = try logits(
            base.attaching(trained.method.attachments(trained.parameters, model: base, dropout: nil)))
        let merged = try #require(try trained.method.mergedWeights(trained.parameters, model: base))
        let others = try [
            Transformer(base.configuration, weights: base.weights.merging(merged) { $1 }),
            base.attaching(read.method.attachments(read.parameters, model: base, dropout: nil)),
        ]
        for other in others { #expect(try (logits(other) - attached).abs().max().item() < 1e-5) }
        #expect(try (logits(base) - attached).abs().max().item() > 1e-3)
        // PEFT takes rank and scale from the configuration alone.
        guard case .lora(let configuration) = try AdapterConfiguration.read(folder: folder).method else {
            Issue.record("not LoRA")
            return
        }
        let ranks = Set(try #require(try trained.method.lowRankFactors(trained.parameters)).map(\.rank))
        #expect(
            Set(configuration.rankOverrides.map(\.value) + [configuration.rank]).isSuperset(of: ranks.subtracting([0])))
    }

    @Test func `a weight-decomposed change is more than a plain LoRA`() throws {
        let run = try ShortRun()
        let adapter = try run.adapter(Methods.make("lora", typed: ["rank": "2", "weight-decomposed": "true"]))
        let error = #expect(throws: HoneError.self) { try adapter.asLoRA() }
        #expect(error?.code == .mismatch)
    }

    @Test(
        "weight-decomposed LoRA with rates of its own holds what every method must hold",
        arguments: [(TinyModel.llama, TinyTask.generation()), (.bert, .classification()), (.gpt2, .generation())])
    func decomposed(model: TinyModel, task: TinyTask) throws {
        let method = try Methods.make(
            "lora", typed: ["rank": "3", "weight-decomposed": "true", "b-rate-factor": "2"])
        let row = ConformanceRow(method, startsAtBase: true, learningRate: 1e-2) { model in
            LinearTargets.all(model).reduce(0) { $0 + 3 * ($1.inputs + $1.outputs) + $1.outputs }
        }
        let findings = try Conformance.findings(row, on: model, task: task)
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    @Test func `a learning rate of its own moves B, and A as before`() throws {
        let run = try ShortRun()
        var moved: [[String: [Float]]] = []
        for factor in ["1", "16"] {
            let adapter = try run.adapter(Methods.make("lora", typed: ["rank": "2", "b-rate-factor": factor]))
            var first: [String: [Float]] = [:]
            _ = try run.train(adapter, steps: 2, learningRate: 1e-3) { parameters, step in
                guard step == 1 else { return }
                for parameter in parameters.all { first[parameter.name] = try parameter.tensor.elements() }
            }
            moved.append(first)
        }
        for (name, slow) in moved[0] {
            let fast = try #require(moved[1][name])
            // B starts at zero: where it stands after one step is how far it went.
            let factor: Float = name.hasSuffix("lora_B") ? 16 : 1
            #expect(zip(slow, fast).allSatisfy { abs($0 * factor - $1) <= 1e-5 * abs($1) }, "\(name)")
        }
    }

    @Test(
        "settings that do not fit are refused by name",
        arguments: [
            ("adalora", ["initial-rank": "4", "target-rank": "5"], "target-rank"),
            ("adalora", ["initial-rank": "4096", "target-rank": "1"], "rank 4096 is above"),
            ("triadaptlora", ["reference-rank": "2", "initial-rank": "3"], "initial-rank"),
            ("triadaptlora", ["reference-rank": "5"], "increment"),
            ("triadaptlora", ["reference-rank": "4096", "initial-rank": "4096"], "rank 4096 is above"),
            ("triadaptlora", ["targets": "no-such-map"], "it has attention."),
            ("lora", ["rank": "4096", "weight-decomposed": "yes"], "rank 4096 is above"),
        ])
    func refused(name: String, typed: [String: String], words: String) throws {
        let run = try ShortRun()
        let error = #expect(throws: HoneError.self) { try run.adapter(Methods.make(name, typed: typed)) }
        #expect(error?.code == .mismatch)
        #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }

    @Test(
        "a schedule that leaves no step is refused before the first",
        arguments: [
            ("adalora", ["initial-steps": "8"], "initial-steps"),
            ("adalora", ["initial-steps": "0.5", "final-steps": "0.5"], "initial-steps"),
            ("triadaptlora", ["reference-rank": "2", "growth-warmup": "8"], "growth-warmup"),
        ])
    func refusedSchedule(name: String, typed: [String: String], words: String) throws {
        let run = try ShortRun()
        let adapter = try run.adapter(Methods.make(name, typed: typed.merging(["targets": "query"]) { $1 }))
        let error = #expect(throws: HoneError.self) { try run.train(adapter, steps: 8) }
        #expect(error?.code == .mismatch)
        #expect(error?.description.contains(words) == true, "\(String(describing: error))")
    }
}
