import HoneFormats

/// OPT (Zhang et al. 2022): learned positions from the third row of their table on; the 350M model has norms after the
/// sublayers and tokens narrower than the model.
public enum OPT: ModelFamily {
    /// `opt`
    public static let modelTypes = ["opt"]
    /// `model.`
    public static let prefix = "model."
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads an OPT config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("_remove_final_layer_norm", toBe: [false])
        try config.require("layer_norm_elementwise_affine", toBe: [true])
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: try config.size("hidden_size"),
            layerCount: try config.size("num_hidden_layers", upTo: 1024),
            headCount: try config.size("num_attention_heads", upTo: 4096), innerWidth: try config.size("ffn_dim"),
            maximumLength: try config.size("max_position_embeddings", default: 2048))
        try config.checkWidth(made, headCountField: "num_attention_heads")
        made.tokenWidth = try config.size("word_embed_proj_dim", default: made.width)
        made.positionOffset = 2
        made.normPlace = try config.flag("do_layer_norm_before", default: true) ? .before : .after
        made.activation = try config.activation("activation_function", default: "relu")
        made.isCausal = true
        let hasBias = try config.flag("enable_bias", default: true)
        made.attentionInputBias = hasBias
        made.attentionOutputBias = hasBias
        made.feedForwardBias = hasBias
        made.hasLanguageHead = true
        made.tiesHead = try config.flag("tie_word_embeddings", default: true)
        return made
    }

    /// The names of OPT's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        let modules = [
            "attention.query": "self_attn.q_proj", "attention.key": "self_attn.k_proj",
            "attention.value": "self_attn.v_proj", "attention.output": "self_attn.out_proj", "mlp.up": "fc1",
            "mlp.down": "fc2",
        ]
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "decoder.embed_tokens.weight")
        names.add(weight: "embeddings.positions.weight", "decoder.embed_positions.weight")
        if configuration.tokenWidth != configuration.width {
            names.add("embeddings.projection", "decoder.project_in", hasBias: false)
            names.add("head.projection", "decoder.project_out", hasBias: false)
        }
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "decoder.layers.\(layer).")
            names.addMaps(modules, of: configuration, own: own, other: other)
            names.add(own + "attention.norm", other + "self_attn_layer_norm")
            names.add(own + "mlp.norm", other + "final_layer_norm")
        }
        if configuration.normPlace == .before { names.add("norm", "decoder.final_layer_norm") }
        names.addHead("lm_head.weight", of: configuration)
        return names.all
    }

    /// The head where it is the token embedding, and that of a classifier.
    public static func ignores(_ source: String) -> Bool { source == "lm_head.weight" || source == "score.weight" }
}
