import Foundation
import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Model folders that are not quite right: each is refused by an error that names what is wrong.
struct ModelFolderTests {
    /// A copy of a fixture with changed tensors and config, deleted afterwards.
    func withFolder<Result>(
        _ name: String, config: (inout JSONObject) -> Void = { _ in },
        tensors change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in },
        _ body: (String) throws -> Result
    ) throws -> Result {
        let source = Reference.fixtures + "/" + name
        return try withTemporaryFolder { folder in
            for file in ["tokenizer.json", "tokenizer_config.json", "preprocessor_config.json"]
            where FileManager.default.fileExists(atPath: source + "/" + file) {
                try FileManager.default.copyItem(atPath: source + "/" + file, toPath: folder + "/" + file)
            }
            var tensors = try TensorFiles.read(source + "/model.safetensors")
            try change(&tensors)
            try TensorFiles.write(tensors, to: folder + "/model.safetensors")
            var object = try #require(JSON.read(file: source + "/config.json").object)
            config(&object)
            try Data(JSON.object(object).text(pretty: true).utf8).write(to: URL(filePath: folder + "/config.json"))
            return try body(folder)
        }
    }

    func refusal(
        _ name: String, config: (inout JSONObject) -> Void = { _ in },
        tensors change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }
    ) throws -> HoneError {
        try withFolder(name, config: config, tensors: change) { folder in
            try #require(throws: HoneError.self) { try BaseModel(folder: folder) }
        }
    }

    @Test(
        "names a weight that is missing",
        arguments: [
            ("bert-tiny", "encoder.layer.1.output.LayerNorm.bias"), ("gpt2-tiny", "transformer.h.0.attn.c_attn.weight"),
            ("llama-tiny", "model.layers.1.mlp.gate_proj.weight"), ("llama-untied", "lm_head.weight"),
            ("llama-untied", "model.layers.0.self_attn.q_proj.bias"),
        ])
    func missing(name: String, weight: String) throws {
        let error = try refusal(name, tensors: { $0.removeAll { $0.name == weight } })
        #expect(error.code == .mismatch)
        #expect(weight.hasSuffix(try #require(error.item)))
        #expect(error.file != nil)
    }

    @Test("names a weight that has no place", arguments: ParityTests.names)
    func unused(name: String) throws {
        let error = try refusal(name, tensors: { try $0.append(("layers.9.extra.weight", Tensor.zeros([2, 2]))) })
        #expect(error.code == .mismatch)
        #expect(error.item == "layers.9.extra.weight")
    }

    @Test("refuses a layer that the config does not have", arguments: ["bert-tiny", "llama-tiny"])
    func unusedLayer(name: String) throws {
        let error = try refusal(name, config: { $0["num_hidden_layers"] = 1 })
        #expect(error.code == .mismatch)
        #expect(try #require(error.item).contains("1."))
    }

    @Test(
        "names a weight of another shape",
        arguments: [
            ("bert-tiny", "embeddings.word_embeddings.weight"), ("gpt2-tiny", "transformer.h.1.mlp.c_proj.weight"),
            ("llama-tiny", "model.norm.weight"), ("llama-tiny", "model.layers.0.self_attn.k_proj.weight"),
        ])
    func misshapen(name: String, weight: String) throws {
        let error = try refusal(
            name,
            tensors: { tensors in
                let place = try #require(tensors.firstIndex { $0.name == weight })
                let rows = tensors[place].tensor.size(0)
                tensors[place].tensor = try tensors[place].tensor.narrowed(0, from: 0, length: rows - 1).contiguous()
            })
        #expect(error.code == .mismatch)
        #expect(error.item == weight)
    }

    @Test func `names a weight that is not finite`() throws {
        let weight = "model.layers.1.self_attn.v_proj.weight"
        for value in [Double.nan, .infinity] {
            let error = try refusal(
                "llama-tiny",
                tensors: { tensors in
                    let place = try #require(tensors.firstIndex { $0.name == weight })
                    try tensors[place].tensor.at(0).at(0).fillInPlace(value)
                })
            #expect(error.code == .notFinite)
            #expect(try #require(error.item).contains("1"))
        }
    }

    @Test("names a weight that is there with and without the family's prefix")
    func ambiguous() throws {
        let error = try refusal(
            "bert-tiny",
            tensors: { tensors in
                let first = try #require(tensors.first { $0.name == "embeddings.word_embeddings.weight" })
                tensors.append(("bert.embeddings.word_embeddings.weight", first.tensor))
            })
        #expect(error.item?.hasSuffix("embeddings.word_embeddings.weight") == true)
    }

    @Test(
        "refuses what it would compute wrongly, by the field's name",
        arguments: [
            ("llama-tiny", "rope_scaling", ["rope_type": "dynamic", "factor": 2] as JSON),
            ("llama-tiny", "rope_scaling", ["type": "linear"]),
            ("llama-tiny", "rope_scaling", ["rope_type": "longrope"]),
            ("llama-tiny", "rope_parameters", ["full_attention": ["rope_type": "default"]]),
            ("llama-tiny", "rope_parameters", ["rope_theta": 10000, "partial_rotary_factor": 0.5]),
            ("llama-tiny", "num_local_experts", 8), ("qwen2-window", "layer_types", ["sliding_attention"]),
            ("qwen3-window", "layer_types", ["chunked_attention", "full_attention"]),
            ("qwen2-window", "sliding_window", 0), ("mistral", "sliding_window", "wide"),
            ("opt", "layer_norm_elementwise_affine", false), ("opt", "_remove_final_layer_norm", true),
            ("opt", "activation_function", "prelu"), ("opt", "num_attention_heads", 3),
            ("roberta", "pad_token_id", 40), ("roberta", "max_position_embeddings", 2),
            ("roberta", "position_embedding_type", "relative_key"), ("distilbert", "n_heads", 5),
            ("distilbert", "activation", "xielu"), ("mpnet", "relative_attention_num_buckets", 16),
            ("neox", "hidden_act", "xielu"),
            ("neox", "rope_parameters", ["partial_rotary_factor": 0.01]),
            ("neox", "quantization_config", ["quant_method": "gptq"]),
            ("llama-tiny", "rope_parameters", ["rope_type": "llama3", "rope_theta": 10000, "factor": 8]),
            ("llama-tiny", "hidden_act", "no_such_gelu"), ("llama-tiny", "quantization_config", ["bits": 4]),
            ("llama-tiny", "num_key_value_heads", 3), ("llama-tiny", "hidden_size", 0),
            ("llama-tiny", "vocab_size", "many"), ("llama-tiny", "rms_norm_eps", -1),
            ("llama-tiny", "tie_word_embeddings", "yes"), ("bert-tiny", "position_embedding_type", "relative_key"),
            ("bert-tiny", "is_decoder", true), ("bert-tiny", "num_attention_heads", 5),
            ("bert-tiny", "hidden_size", 9_000_000_000), ("gpt2-tiny", "scale_attn_by_inverse_layer_idx", "yes"),
            ("gpt2-tiny", "n_head", 7), ("bert-tiny", "model_type", "mystery"), ("bert-tiny", "model_type", nil),
        ] as [(String, String, JSON?)])
    func config(name: String, field: String, value: JSON?) throws {
        let error = try refusal(name, config: { $0[field] = value })
        // The field itself, the one that it stands for in the other spelling, or the one that gives the width.
        let accepted = [field] + (field == "rope_parameters" ? ["rope_scaling", "rotary_pct"] : [])
        #expect(accepted.contains { (error.item ?? "").contains($0) || error.message.contains($0) }, "\(error)")
        #expect([.badFile, .unsupported, .mismatch].contains(error.code))
        #expect(try #require(error.file).hasSuffix("config.json"))
    }

    @Test func `reads GPT-2 as its authors published it, without prefix and with mask buffers`() throws {
        let reference = try Reference("gpt2-tiny")
        try withFolder(
            "gpt2-tiny",
            tensors: { tensors in
                for place in tensors.indices {
                    tensors[place].name = String(tensors[place].name.dropFirst("transformer.".count))
                }
                for layer in 0..<2 {
                    tensors.append(("h.\(layer).attn.bias", try Tensor.full([1, 1, 40, 40], 1).lowerTriangle()))
                    tensors.append(("h.\(layer).attn.masked_bias", try Tensor.full([1], -1e4)))
                }
            },
            { folder in
                let model = try BaseModel(folder: folder)
                let batch = try reference.batch()
                let logits = try withoutGradients { try model.transformer.logits(model.transformer.states(batch)) }
                #expect(try largestDifference(logits, reference.tensor("logits"), over: batch) < 5e-5)
            })
    }

    @Test func `reads the rotary base beside a rope_scaling that is null`() throws {
        let base = try withFolder(
            "llama-tiny",
            config: { config in
                config["rope_scaling"] = .null
                config["rope_parameters"] = ["rope_type": "default", "rope_theta": 321]
            }, { try BaseModel(folder: $0).configuration.positions })
        #expect(base == .rotary(RotaryPositions(base: 321, width: 6)))
    }

    @Test func `finds two folders with the same weights equal and others not`() throws {
        let plain = try Reference("llama-tiny").model.fingerprint
        let changed = try withFolder(
            "llama-tiny", tensors: { try $0[0].tensor.at(0).fillInPlace(0.5) },
            { try BaseModel(folder: $0).fingerprint })
        #expect(try BaseModel(folder: Reference.fixtures + "/llama-tiny").fingerprint == plain)
        #expect(changed != plain)
    }

    @Test func `says what a folder without a model lacks`() throws {
        let error = #expect(throws: HoneError.self) {
            try BaseModel(folder: Reference.fixtures + "/adapter-llama-lora")
        }
        #expect(error?.description.contains("config.json") == true)
    }
}
