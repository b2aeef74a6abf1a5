import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// Adapters that PEFT saved: read, computed with, merged, trained on and written again as PEFT does.
/// `Scripts/fixtures/peft_adapters.py` says what the tensors are.
struct AdapterTests {
    static let lora = [
        "bert-lora", "bert-lora-pooler", "bert-classifier", "gpt2-lora", "llama-lora", "llama-patterns", "llama-rslora",
        "qwen2-lora", "neox-lora", "opt-lora", "roberta-lora", "llama-dora", "gpt2-dora", "bert-dora",
    ]
    static let scaled = ["bert-ia3", "gpt2-ia3", "llama-ia3", "neox-ia3", "opt-ia3"]
    /// Saved after a training with PEFT: `Scripts/fixtures/low_rank_training.py`.
    static let trained = ["llama-adalora", "gpt2-adalora", "llama-loraplus", "llama-doraplus"]
    static let prompts = ["bert-prompt", "gpt2-prompt", "llama-prompt"]
    static let prefixes = ["bert-prefix", "gpt2-prefix", "llama-prefix", "qwen2-prefix", "opt-prefix"]
    static let norms = ["bert-layernorm", "gpt2-layernorm", "llama-layernorm"]
    static let foldable = lora + scaled + norms + trained
    static let all = foldable + prompts + prefixes
    /// Saved before a training that the fixture has too.
    static let untrained = lora + scaled + norms + prompts + prefixes

    private typealias Loaded = AdapterFixture

    @Test("computes what PEFT computes", arguments: all)
    func outputs(name: String) throws {
        let loaded = try Loaded(name)
        let kind = loaded.reference.model.configuration.isCausal ? "logits" : "hidden"
        let expected = try loaded.expectedOutput(kind)
        let difference = try largestDifference(loaded.output(loaded.adapted()), expected, over: loaded.batch())
        #expect(try difference < allowedDifference(from: expected))
    }

    @Test("merges into what PEFT merges into", arguments: foldable)
    func merged(name: String) throws {
        let loaded = try Loaded(name)
        let base = loaded.reference.model.transformer
        let merged = try #require(try loaded.method.mergedWeights(loaded.parameters, model: base))
        #expect(!merged.isEmpty)
        let transformer = try Transformer(base.configuration, weights: base.weights.merging(merged) { $1 })
        let output = try loaded.output(transformer)
        let expected = try loaded.expectedOutput("merged")
        #expect(try largestDifference(output, expected, over: loaded.batch()) < allowedDifference(from: expected))
        let largest = try output.abs().max().item()
        let adapted = try loaded.output(loaded.adapted())
        #expect(try largestDifference(output, adapted, over: loaded.batch()) < 1e-5 * max(1, largest))
    }

    @Test(
        "exports a model folder that computes what PEFT merges into",
        arguments: ["gpt2-lora", "neox-lora", "roberta-lora", "gpt2-ia3", "opt-ia3"])
    func exported(name: String) throws {
        let loaded = try Loaded(name)
        let adapter = Adapter(
            method: loaded.method, task: .generation, labels: [], parameters: loaded.parameters,
            encoding: .init(maximumLength: 32))
        try withTemporaryFolder { folder in
            try Specialist(base: loaded.reference.model, adapter: adapter).export(to: folder + "/model")
            let output = try loaded.output(BaseModel(folder: folder + "/model").transformer)
            let expected = try loaded.expectedOutput("merged")
            #expect(try largestDifference(output, expected, over: loaded.batch()) < allowedDifference(from: expected))
        }
    }

    @Test("trains as PEFT trains: loss, gradients, three AdamW steps and where they end", arguments: untrained)
    func training(name: String) throws {
        let loaded = try Loaded(name)
        let start = try loaded.parameters.copied()
        try start.makeTrainable()
        let base = loaded.reference.model.transformer
        let head = base.configuration.isCausal ? [] : try ["head.weight", "head.bias"].map(loaded.reference.tensor)
        let typed = loaded.expected["token_type_ids"] != nil
        let steps = try #require(loaded.expected["losses.adamw"]).elements(Double.self)
        var optimizer = try TestAdamW(start.all.map(\.tensor))
        for (step, target) in steps.enumerated() {
            let transformer = try base.attaching(loaded.method.attachments(start, model: base, dropout: nil))
            let loss = try loaded.reference.loss(transformer, head: head, withTypes: typed)
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            if step == 0 {
                var gradients = ParameterSet()
                for parameter in start.all {
                    gradients.set(parameter.name, try #require(parameter.tensor.gradient, "\(parameter.name)").cloned())
                }
                try compare(loaded.written(gradients), with: "gradient.", in: loaded, allowedDifference(from:))
            }
            try optimizer.step()
        }
        try compare(loaded.written(start), with: "final.", in: loaded) { _ in 1e-5 }
    }

    private func compare(
        _ ours: [String: Tensor], with prefix: String, in loaded: Loaded, _ allowed: (Tensor) throws -> Double
    ) throws {
        let wanted = loaded.expected.filter { $0.key.hasPrefix(prefix) }
        let expected = encoderNames(
            Dictionary(uniqueKeysWithValues: wanted.map { (String($0.key.dropFirst(prefix.count)), $0.value) }))
        #expect(Set(expected.keys) == Set(ours.keys))
        for (name, tensor) in ours {
            let reference = try #require(expected[name])
            let most = try allowed(reference)
            #expect(try largestDifference(tensor, reference) < most, "\(name)")
        }
    }

    /// PEFT's names as Hone writes them: those of the encoder itself, without a task model's prefix, and without what
    /// belongs to the pooler or a classifier, which are no part of the transformer.
    private func encoderNames(_ tensors: [String: Tensor]) -> [String: Tensor] {
        var names: [String: Tensor] = [:]
        for (name, tensor) in tensors where !name.contains(".pooler.") && !name.contains(".classifier.") {
            names[name.replacing("base_model.model.bert.", with: "base_model.model.")] = tensor
        }
        return names
    }

    @Test("writes what it has read, number for number, and reads that to the same outputs", arguments: all)
    func roundTrip(name: String) throws {
        let loaded = try Loaded(name)
        let original = try encoderNames(Reference.tensors(loaded.folder + "/adapter_model.safetensors"))
        let ours = try loaded.written(loaded.parameters)
        #expect(Set(ours.keys) == Set(original.keys))
        for (name, tensor) in ours {
            #expect(try tensor.elements(Float.self) == #require(original[name]).elements(Float.self), "\(name)")
        }
        try withTemporaryFolder { folder in
            try loaded.method.write(
                loaded.parameters, for: loaded.reference.model, task: .generation,
                to: AdapterFolderWriter(path: folder))
            let again = try Adapter.readMethod(AdapterFolderReader(path: folder), for: loaded.reference.model)
            let base = loaded.reference.model.transformer
            let transformer = try base.attaching(again.method.attachments(again.parameters, model: base, dropout: nil))
            #expect(try largestDifference(loaded.output(transformer), loaded.output(loaded.adapted())) == 0)
        }
    }

    /// A changed copy of an adapter's folder must be refused.
    private func refusal(
        _ name: String, on base: String? = nil,
        change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }
    ) throws -> HoneError {
        let source = Reference.fixtures + "/adapter-" + name
        let own = try #require(JSON.read(file: source + "/reference.json")["base"]?.string)
        let model = try BaseModel(folder: Reference.fixtures + "/" + (base ?? own))
        return try withTemporaryFolder { folder in
            try FileManager.default.copyItem(
                atPath: source + "/adapter_config.json", toPath: folder + "/adapter_config.json")
            var tensors = try TensorFiles.read(source + "/adapter_model.safetensors")
            try change(&tensors)
            try TensorFiles.write(tensors, to: folder + "/adapter_model.safetensors")
            return try #require(throws: HoneError.self) {
                try Adapter.readMethod(AdapterFolderReader(path: folder), for: model)
            }
        }
    }

    private static let module = "base_model.model.model.layers.1.mlp.up_proj"

    @Test("refuses an adapter without one of its tensors", arguments: [".lora_A.weight", ".lora_B.weight"])
    func missingFactor(suffix: String) throws {
        let error = try refusal("llama-lora") { $0.removeAll { $0.name == AdapterTests.module + suffix } }
        #expect([.mismatch, .badFile].contains(error.code))
        #expect(error.description.contains("layers.1.mlp.up"))
    }

    @Test func `refuses an adapter that lacks a module which its config names`() throws {
        let error = try refusal("llama-lora") { $0.removeAll { $0.name.hasPrefix(AdapterTests.module + ".") } }
        #expect([.mismatch, .badFile].contains(error.code))
        #expect(error.description.contains("layers.1.mlp.up"))
    }

    @Test func `refuses an adapter of the language-model head, which would change the logits`() throws {
        let error = try refusal("llama-lora") { tensors in
            try tensors.append(("base_model.model.lm_head.lora_A.weight", Tensor.zeros([4, 24])))
            try tensors.append(("base_model.model.lm_head.lora_B.weight", Tensor.zeros([64, 4])))
        }
        #expect(error.item?.contains("lm_head") == true)
    }

    @Test(
        "refuses an adapter with a tensor too many",
        arguments: [
            "llama-lora", "gpt2-lora", "bert-lora", "llama-prompt", "llama-ia3", "llama-prefix", "llama-layernorm",
        ])
    func unused(name: String) throws {
        let extra = "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight"
        let error = try refusal(name) { try $0.append((extra, Tensor.zeros([4, 24]))) }
        #expect(error.code == .mismatch)
        #expect(error.item == extra)
    }

    @Test(
        "refuses an adapter of another base",
        arguments: [
            ("bert-lora", "llama-tiny"), ("gpt2-lora", "bert-tiny"), ("llama-lora", "llama-untied"),
            ("gpt2-ia3", "bert-tiny"), ("llama-prefix", "gpt2-tiny"), ("llama-layernorm", "gpt2-tiny"),
            ("llama-adalora", "bert-tiny"), ("bert-dora", "llama-tiny"),
        ])
    func otherBase(name: String, base: String) throws {
        let error = try refusal(name, on: base)
        #expect(error.code == .mismatch)
        #expect(error.item != nil)
    }

    @Test("refuses tensors of another shape, by name", arguments: ["llama-lora", "llama-prompt", "llama-prefix"])
    func misshapen(name: String) throws {
        var changed = ""
        let error = try refusal(name) { tensors in
            changed = tensors[0].name
            tensors[0].tensor = try tensors[0].tensor.narrowed(1, from: 1, length: 2).contiguous()
        }
        #expect(error.code == .mismatch)
        #expect(error.description.contains(changed.contains("layers.0") ? "layers.0" : changed))
    }

    private static let python = ProcessInfo.processInfo.environment["HONE_PEFT_PYTHON"]

    /// Runs `Scripts/parity/peft_reads.py` where `HONE_PEFT_PYTHON` names a Python with peft.
    @Test("writes folders that PEFT reads", .enabled(if: python != nil), arguments: all + ["llama-prefix-projected"])
    func readByPEFT(name: String) throws {
        let loaded = try Loaded(name)
        let kind = loaded.reference.model.configuration.isCausal ? "logits" : "hidden"
        try withTemporaryFolder { folder in
            try loaded.method.write(
                loaded.parameters, for: loaded.reference.model, task: .generation,
                to: AdapterFolderWriter(path: folder))
            var outputs = ["input_ids", "attention_mask", "token_type_ids"].compactMap { name in
                loaded.expected[name].map { (name: name, tensor: $0) }
            }
            outputs.append((kind, try loaded.output(loaded.adapted())))
            try TensorFiles.write(outputs, to: folder + "/outputs.safetensors")
            try loaded.expectReadByPEFT(folder, python: #require(AdapterTests.python))
        }
    }
}

extension AdapterFixture {
    /// The batch; PEFT gives prompts no token types.
    fileprivate func batch() throws -> TokenBatch {
        try expected["token_type_ids"] == nil ? TokenBatch(reference.rows()) : reference.batch()
    }

    /// Logits of causal models, the last states of encoders.
    fileprivate func output(_ transformer: Transformer) throws -> Tensor {
        try withoutGradients {
            let states = try transformer.states(batch())
            return try reference.model.configuration.isCausal ? transformer.logits(states) : states
        }
    }

    /// An expected output, without the positions of a prompt.
    fileprivate func expectedOutput(_ name: String) throws -> Tensor {
        let whole = try #require(expected[name])
        let length = try batch().length
        return try whole.narrowed(1, from: whole.size(1) - length, length: length)
    }
}

extension AdapterTests {
    /// PEFT keeps what the projection makes; what it trains is in the fixture.
    @Test func `trains through a projection of prefixes as PEFT does`() throws {
        let loaded = try AdapterFixture("llama-prefix-projected")
        let expected = try loaded.expectedOutput("logits")
        let difference = try largestDifference(loaded.output(loaded.adapted()), expected, over: loaded.batch())
        #expect(try difference < allowedDifference(from: expected))
        let fresh = loaded.method
        var random = RandomStream(seed: 0, name: "unused")
        var start = try fresh.initialParameters(for: loaded.reference.model, random: &random)
        for parameter in start.all {
            start.set(parameter.name, try #require(loaded.expected["start." + parameter.name]).cloned())
        }
        try start.makeTrainable()
        var optimizer = try TestAdamW(start.all.map(\.tensor))
        for (step, target) in try #require(loaded.expected["losses.adamw"]).elements(Double.self).enumerated() {
            let loss = try loaded.reference.loss(loaded.adapted(start), withTypes: false)
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            for parameter in start.all where step == 0 {
                let wanted = try #require(loaded.expected["gradient." + parameter.name])
                let gradient = try #require(parameter.tensor.gradient)
                #expect(
                    try largestDifference(gradient, wanted) < allowedDifference(from: wanted), "\(parameter.name)")
            }
            try optimizer.step()
        }
        for parameter in start.all {
            let wanted = try #require(loaded.expected["final." + parameter.name])
            #expect(try largestDifference(parameter.tensor.detached(), wanted) < 1e-5, "\(parameter.name)")
        }
    }
}
