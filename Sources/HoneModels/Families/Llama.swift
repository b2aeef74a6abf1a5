import HoneFormats

/// Llama (Touvron et al. 2023) and models of its shape, such as SmolLM2: grouped heads, rotary positions, gated
/// feed-forward.
public enum Llama: ModelFamily {
    /// `llama`
    public static let modelTypes = ["llama"]
    /// `model.`
    public static let prefix = "model."
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a Llama config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("pretraining_tp", toBe: [1])
        let heads = try config.size("num_attention_heads", upTo: 4096)
        let width = try config.size("hidden_size")
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: width,
            layerCount: try config.size("num_hidden_layers", upTo: 1024), headCount: heads,
            keyValueHeadCount: try config.size("num_key_value_heads", default: heads, upTo: 4096),
            headWidth: try config.size("head_dim", default: max(1, width / heads)),
            innerWidth: try config.size("intermediate_size"),
            maximumLength: try config.size("max_position_embeddings", default: 2048))
        try config.checkHeads(made)
        made.norm = .rootMeanSquare
        made.normEpsilon = try config.number("rms_norm_eps", default: 1e-6)
        let (positions, reach) = try config.rotary(headWidth: made.headWidth, maximumLength: made.maximumLength)
        made.positions = .rotary(positions)
        made.maximumLength = reach
        made.activation = try config.activation("hidden_act", default: "silu")
        made.isGated = true
        made.isCausal = true
        made.attentionInputBias = try config.flag("attention_bias", default: false)
        made.attentionOutputBias = made.attentionInputBias
        made.mayHaveAttentionBiases = true
        made.feedForwardBias = try config.flag("mlp_bias", default: false)
        made.hasLanguageHead = true
        made.tiesHead = try config.flag("tie_word_embeddings", default: false)
        return made
    }

    /// The names of Llama's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        let modules = [
            "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
            "attention.value": "self_attn.v_proj", "attention.output": "self_attn.o_proj", "mlp.gate": "mlp.gate_proj",
            "mlp.up": "mlp.up_proj", "mlp.down": "mlp.down_proj",
        ]
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "embed_tokens.weight")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "layers.\(layer).")
            names.addMaps(modules, of: configuration, own: own, other: other)
            if configuration.normalisesHeads {
                names.add(weight: own + "attention.query.norm.weight", other + "self_attn.q_norm.weight")
                names.add(weight: own + "attention.key.norm.weight", other + "self_attn.k_norm.weight")
            }
            names.add(weight: own + "attention.norm.weight", other + "input_layernorm.weight")
            names.add(weight: own + "mlp.norm.weight", other + "post_attention_layernorm.weight")
        }
        names.add(weight: "norm.weight", "norm.weight")
        names.addHead("lm_head.weight", of: configuration)
        return names.all
    }

    /// Rotary tables of old conversions, and the head where it is the token embedding.
    public static func ignores(_ source: String) -> Bool {
        source.hasSuffix(".rotary_emb.inv_freq") || source == "lm_head.weight" || source == "score.weight"
    }
}
