import HoneFormats

/// GPT-NeoX (Black et al. 2022) and Pythia: sublayers side by side, positions that turn a part of each head, and one map
/// that gives a head's query, key and value together.
public enum GPTNeoX: ModelFamily {
    /// `gpt_neox`
    public static let modelTypes = ["gpt_neox"]
    /// `gpt_neox.`
    public static let prefix = "gpt_neox."
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a GPT-NeoX config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: try config.size("hidden_size"),
            layerCount: try config.size("num_hidden_layers", upTo: 1024),
            headCount: try config.size("num_attention_heads", upTo: 4096),
            innerWidth: try config.size("intermediate_size"),
            maximumLength: try config.size("max_position_embeddings", default: 2048))
        try config.checkWidth(made, headCountField: "num_attention_heads")
        let (positions, reach) = try config.rotary(
            headWidth: made.headWidth, maximumLength: made.maximumLength, base: ("rotary_emb_base", 10_000),
            share: ("rotary_pct", 0.25))
        made.positions = .rotary(positions)
        made.maximumLength = reach
        made.normEpsilon = try config.number("layer_norm_eps", default: 1e-5)
        made.activation = try config.activation("hidden_act", default: "gelu")
        made.isCausal = true
        made.isParallel = try config.flag("use_parallel_residual", default: true)
        made.attentionInput = .joinedByHead
        made.attentionInputBias = try config.flag("attention_bias", default: true)
        made.attentionOutputBias = made.attentionInputBias
        made.mayHaveAttentionBiases = true
        made.hasLanguageHead = true
        made.tiesHead = try config.flag("tie_word_embeddings", default: false)
        return made
    }

    /// The names of GPT-NeoX's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        let modules = [
            "attention.input": "attention.query_key_value", "attention.output": "attention.dense",
            "mlp.up": "mlp.dense_h_to_4h", "mlp.down": "mlp.dense_4h_to_h",
        ]
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "embed_in.weight")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "layers.\(layer).")
            names.addMaps(modules, of: configuration, own: own, other: other)
            names.add(own + "attention.norm", other + "input_layernorm")
            names.add(own + "mlp.norm", other + "post_attention_layernorm")
        }
        names.add("norm", "final_layer_norm")
        names.addHead("embed_out.weight", of: configuration)
        return names.all
    }

    /// The buffers of mask and rotary positions, the head where it is the token embedding, and that of a classifier.
    public static func ignores(_ source: String) -> Bool {
        source.hasSuffix(".attention.bias") || source.hasSuffix(".attention.masked_bias")
            || source.hasSuffix(".rotary_emb.inv_freq") || source == "embed_out.weight" || source == "score.weight"
    }
}
