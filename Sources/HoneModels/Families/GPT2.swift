import HoneFormats

/// GPT-2 (Radford et al. 2019). Its linear maps lie transposed in the file; query, key and value are one map.
public enum GPT2: ModelFamily {
    /// `gpt2`
    public static let modelTypes = ["gpt2"]
    /// `transformer.`
    public static let prefix = "transformer."
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a GPT-2 config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("add_cross_attention", toBe: [false])
        let width = try config.size("n_embd")
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: width,
            layerCount: try config.size("n_layer", upTo: 1024), headCount: try config.size("n_head", upTo: 4096),
            innerWidth: try config.size("n_inner", default: 4 * width),
            maximumLength: try config.size("n_positions", default: 1024))
        try config.checkWidth(made, headCountField: "n_head")
        made.normEpsilon = try config.number("layer_norm_epsilon", default: 1e-5)
        made.activation = try config.activation("activation_function", default: "gelu_new")
        made.attentionScale = try config.flag("scale_attn_weights", default: true) ? nil : 1
        made.scalesByLayer = try config.flag("scale_attn_by_inverse_layer_idx", default: false)
        made.isCausal = true
        made.attentionInput = .joined
        made.hasLanguageHead = true
        made.tiesHead = try config.flag("tie_word_embeddings", default: true)
        return made
    }

    /// The names of GPT-2's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "wte.weight")
        names.add(weight: "embeddings.positions.weight", "wpe.weight")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "h.\(layer).")
            names.add(own + "attention.norm", other + "ln_1")
            names.add(own + "attention.input", other + "attn.c_attn", isTransposed: true)
            names.add(own + "attention.output", other + "attn.c_proj", isTransposed: true)
            names.add(own + "mlp.norm", other + "ln_2")
            names.add(own + "mlp.up", other + "mlp.c_fc", isTransposed: true)
            names.add(own + "mlp.down", other + "mlp.c_proj", isTransposed: true)
        }
        names.add("norm", "ln_f")
        names.addHead("lm_head.weight", of: configuration)
        return names.all
    }

    /// The buffers of the causal mask, and the head where it is the token embedding.
    public static func ignores(_ source: String) -> Bool {
        source.hasSuffix(".attn.bias") || source.hasSuffix(".attn.masked_bias") || source == "lm_head.weight"
            || source == "score.weight"
    }
}
