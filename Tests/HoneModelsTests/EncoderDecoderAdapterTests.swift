import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// PEFT's adapters of encoder-decoders, both ways. `Scripts/fixtures/encoder_decoders.py` says what the tensors are.
struct EncoderDecoderAdapterTests {
    static let lora = ["t5-lora", "t5-gated-lora", "bart-lora"]
    static let scaled = ["t5-ia3", "bart-ia3"]
    static let prompts = ["t5-prompt", "bart-prompt", "t5-prefix"]
    static let foldable = lora + scaled
    static let all = foldable + prompts

    private typealias Loaded = AdapterFixture

    @Test("computes what PEFT computes", arguments: all)
    func outputs(name: String) throws {
        let loaded = try Loaded(name)
        #expect(try loaded.difference(loaded.adapted(loaded.parameters), "logits") < loaded.tolerance("logits"))
    }

    @Test("merges into what PEFT merges into", arguments: foldable)
    func merged(name: String) throws {
        let loaded = try Loaded(name)
        let merged = try #require(try loaded.method.mergedWeights(loaded.parameters, model: loaded.base))
        let whole = try Transformer(loaded.base.configuration, weights: loaded.base.weights.merging(merged) { $1 })
        #expect(try loaded.difference(whole, "merged") < loaded.tolerance("merged"))
    }

    @Test("trains as PEFT trains: gradients, three AdamW steps and where they end", arguments: all)
    func training(name: String) throws {
        let loaded = try Loaded(name)
        let start = try loaded.parameters.copied()
        try start.makeTrainable()
        var optimizer = try TestAdamW(start.all.map(\.tensor), epsilon: loaded.epsilon)
        let labels = try loaded.reference.tensor("labels").reshaped([-1])
        let count = try labels.notEqual(-100).to(.int64).sum().item()
        for (step, target) in try #require(loaded.expected["losses.adamw"]).elements(Double.self).enumerated() {
            let logits = try loaded.logits(loaded.adapted(start))
            let loss = try logits.reshaped([-1, logits.size(-1)]).crossEntropySum(labels) / count
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            if step == 0 {
                var gradients = ParameterSet()
                for parameter in start.all {
                    gradients.set(parameter.name, try #require(parameter.tensor.gradient, "\(parameter.name)").cloned())
                }
                // T5's attention is not scaled: the steepest of its gradients says how much rounding reaches the others.
                let steepest =
                    try loaded.expected.filter { $0.key.hasPrefix("gradient.") }.map {
                        try allowedDifference(from: $0.value)
                    }
                    .max() ?? 0
                try compare(loaded.written(gradients), "gradient.", loaded) { _ in steepest }
            }
            try optimizer.step()
        }
        try compare(loaded.written(start), "final.", loaded) { _ in 1e-5 }
    }

    private func compare(
        _ ours: [String: Tensor], _ prefix: String, _ loaded: Loaded, _ allowed: (Tensor) throws -> Double
    ) throws {
        let wanted = loaded.expected.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        #expect(Set(wanted) == Set(ours.keys))
        for (name, tensor) in ours {
            let reference = try #require(loaded.expected[prefix + name])
            let most = try allowed(reference)
            #expect(try largestDifference(tensor, reference) < most, "\(prefix)\(name)")
        }
    }

    @Test("writes what it has read, as an adapter of a sequence-to-sequence model", arguments: all)
    func roundTrip(name: String) throws {
        let loaded = try Loaded(name)
        let original = try Reference.tensors(loaded.folder + "/adapter_model.safetensors")
        let ours = try loaded.written(loaded.parameters)
        #expect(Set(ours.keys) == Set(original.keys))
        for (name, tensor) in ours {
            #expect(try tensor.elements(Float.self) == #require(original[name]).elements(Float.self), "\(name)")
        }
        try withTemporaryFolder { folder in
            try loaded.write(loaded.parameters, to: folder)
            #expect(try AdapterConfiguration.read(folder: folder).taskType == .sequenceToSequence)
        }
    }

    @Test func `reads the encoder's rows of prompts that PEFT made for both stacks`() throws {
        let loaded = try Loaded("t5-prompt-twice")
        #expect(try loaded.parameters.tensor("prompt_embeddings").size(0) == 5)
        #expect(try loaded.difference(loaded.adapted(loaded.parameters), "logits") < loaded.tolerance("logits"))
        // What PEFT does not read, it does not train.
        let gradient = try #require(loaded.expected["gradient.prompt_embeddings"])
        #expect(gradient.size(0) == 10)
        #expect(try gradient.narrowed(0, from: 5, length: 5).abs().max().item() == 0)
        #expect(try gradient.narrowed(0, from: 0, length: 5).abs().max().item() > 0)
    }

    @Test func `refuses prompts for both stacks that are not twice as long`() throws {
        let source = Reference.fixtures + "/adapter-t5-prompt"
        let model = try Reference("t5-gated").model
        try withTemporaryFolder { folder in
            var config = try #require(try JSON.read(file: source + "/adapter_config.json").object)
            config["num_transformer_submodules"] = 2
            try AtomicFile.write(JSON.object(config).text(), to: folder + "/adapter_config.json")
            try FileManager.default.copyItem(
                atPath: source + "/adapter_model.safetensors", toPath: folder + "/adapter_model.safetensors")
            let error = try #require(throws: HoneError.self) {
                try Adapter.readMethod(AdapterFolderReader(path: folder), for: model)
            }
            #expect(error.code == .mismatch && error.item == "prompt_embeddings")
        }
    }

    @Test func `in PEFT's layout of prefixes, layers share what they see and part of it is never seen`() throws {
        let gradient = try #require(Loaded("t5-prefix").expected["gradient.prompt_embeddings"])
        // Three layers' keys and values; the decoder's two layers see the first and the third pair.
        let byPart = try gradient.reshaped([4, 6, 24]).abs().max(0).max(1).elements(Double.self)
        #expect(byPart.map { $0 > 0 } == [true, true, false, false, true, true])
    }

    private static let python = ProcessInfo.processInfo.environment["HONE_PEFT_PYTHON"]

    /// Runs `Scripts/parity/peft_reads.py` where `HONE_PEFT_PYTHON` names a Python with peft.
    @Test("writes folders that PEFT reads", .enabled(if: python != nil), arguments: all + ["t5-prompt-twice"])
    func readByPEFT(name: String) throws {
        let loaded = try Loaded(name)
        try withTemporaryFolder { folder in
            try loaded.write(loaded.parameters, to: folder)
            var outputs = ["input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask"].compactMap {
                name in loaded.expected[name].map { (name: name, tensor: $0) }
            }
            outputs.append(("logits", try withoutGradients { try loaded.logits(loaded.adapted(loaded.parameters)) }))
            try TensorFiles.write(outputs, to: folder + "/outputs.safetensors")
            try loaded.expectReadByPEFT(folder, python: #require(EncoderDecoderAdapterTests.python))
        }
    }
}

extension AdapterFixture {
    fileprivate func outputs() throws -> TokenBatch {
        try TokenBatch(reference.rows("decoder_input_ids", mask: "decoder_attention_mask"))
    }

    fileprivate func logits(_ transformer: Transformer) throws -> Tensor {
        try transformer.logits(
            transformer.states(outputs(), memory: transformer.memory(of: reference.batch())))
    }

    fileprivate func tolerance(_ name: String) throws -> Double {
        try allowedDifference(from: #require(expected[name]))
    }

    fileprivate func difference(_ transformer: Transformer, _ name: String) throws -> Double {
        try withoutGradients {
            try largestDifference(logits(transformer), #require(expected[name]), over: outputs())
        }
    }
}
