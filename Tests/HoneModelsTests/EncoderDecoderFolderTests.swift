import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Folders of encoder-decoders as they are found, and what is refused by name.
extension ModelFolderTests {
    private func folderScores(_ folder: String) throws -> [Float] {
        let transformer = try BaseModel(folder: folder).transformer
        return try withoutGradients {
            let memory = try transformer.memory(of: TokenBatch([[5, 6, 7], [8]]))
            return try transformer.logits(transformer.states(TokenBatch([[1, 4], [1, 2]]), memory: memory)).elements()
        }
    }

    private func fixtureScores(_ name: String) throws -> [Float] { try folderScores(Reference.fixtures + "/" + name) }

    @Test func `takes the head of T5 that the file has, however the config says so`() throws {
        let expected = try fixtureScores("t5-gated")
        // As transformers 5 writes it.
        let later = try withFolder(
            "t5-gated",
            config: {
                $0["tie_word_embeddings"] = true
                $0["scale_decoder_outputs"] = false
            }, folderScores)
        #expect(later == expected)
        let tied = try withFolder("t5-gated", tensors: { $0.removeAll { $0.name == "lm_head.weight" } }, folderScores)
        #expect(tied != expected)
    }

    @Test func `reads old files with copies of the embedding and a table that nothing uses`() throws {
        let expected = try fixtureScores("t5-tiny")
        let found = try withFolder(
            "t5-tiny",
            tensors: { tensors in
                let table = try #require(tensors.first { $0.name == "shared.weight" }).tensor
                for name in ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"] {
                    tensors.append((name, table))
                }
                let unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
                tensors.append((unused, try Tensor.zeros([8, 3])))
            }, folderScores)
        #expect(found == expected)
    }

    @Test func `reads BART saved without its head: no prefix, and no constant`() throws {
        let constant = try Reference.tensors(Reference.fixtures + "/bart-tiny/model.safetensors")["final_logits_bias"]
        let expected = try fixtureScores("bart-tiny")
        let found = try withFolder(
            "bart-tiny",
            tensors: { tensors in
                tensors.removeAll { $0.name == "final_logits_bias" }
                for place in tensors.indices where tensors[place].name.hasPrefix("model.") {
                    tensors[place].name = String(tensors[place].name.dropFirst("model.".count))
                }
            }, folderScores)
        let offset = try #require(constant).elements(Float.self)
        for place in found.indices {
            #expect(abs(found[place] + offset[place % offset.count] - expected[place]) < 1e-5)
        }
    }

    @Test(
        "refuses by name what an encoder-decoder's config asks for and is not there",
        arguments: [
            ("t5-tiny", "feed_forward_proj", "gated-nothing"), ("t5-tiny", "is_encoder_decoder", false),
            ("t5-tiny", "relative_attention_num_buckets", 7), ("t5-tiny", "relative_attention_max_distance", 4),
            ("t5-tiny", "decoder_start_token_id", 999), ("t5-tiny", "num_decoder_layers", -1),
            ("t5-tiny", "quantization_config", ["bits": 8]), ("bart-tiny", "normalize_before", true),
            ("bart-tiny", "tie_word_embeddings", false), ("bart-tiny", "encoder_attention_heads", 5),
            ("bart-tiny", "decoder_attention_heads", 7), ("bart-tiny", "activation_function", "nothing"),
            ("bart-tiny", "forced_bos_token_id", -3),
        ] as [(String, String, JSON)])
    func refusesField(name: String, field: String, value: JSON) throws {
        let error = try refusal(name, config: { $0[field] = value })
        #expect(error.item == field, "\(error)")
        #expect([.unsupported, .badFile].contains(error.code))
    }

    @Test(
        "names a weight of an encoder-decoder that is missing",
        arguments: [
            ("t5-tiny", "decoder.block.1.layer.1.EncDecAttention.k.weight"), ("t5-gated", "shared.weight"),
            ("bart-tiny", "model.decoder.layers.0.encoder_attn_layer_norm.bias"),
            ("bart-tiny", "model.encoder.embed_positions.weight"),
        ])
    func missingOfPair(name: String, weight: String) throws {
        let error = try refusal(name, tensors: { $0.removeAll { $0.name == weight } })
        #expect(error.code == .mismatch)
        #expect(weight.hasSuffix(try #require(error.item)))
    }

    @Test func `begins every text with the token that a BART is made to begin with`() throws {
        let made = try withFolder("bart-tiny", config: { $0["forced_bos_token_id"] = 7 }) { folder in
            var options = GenerationOptions()
            options.maximumNewTokens = 5
            let transformer = try BaseModel(folder: folder).transformer
            let greedy = try transformer.generate(from: [[5, 6], [9]], padId: 0, options: options)
            options.beams = 3
            return greedy + (try transformer.generate(from: [[5, 6], [9]], padId: 0, options: options))
        }
        #expect(made.count == 4 && made.allSatisfy { $0.first == 7 && $0.count == 5 })
    }
}
