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
        guard made.width % made.headCount == 0 else {
            throw config.refused("num_attention_heads", "\(made.headCount) heads do not divide the width \(made.width)")
        }
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
        var names = [
            WeightName(name: "embeddings.tokens.weight", source: "decoder.embed_tokens.weight"),
            WeightName(name: "embeddings.positions.weight", source: "decoder.embed_positions.weight"),
        ]
        func add(_ name: String, _ source: String, hasBias: Bool = true) {
            for part in hasBias ? [".weight", ".bias"] : [".weight"] {
                names.append(WeightName(name: name + part, source: source + part))
            }
        }
        if configuration.tokenWidth != configuration.width {
            add("embeddings.projection", "decoder.project_in", hasBias: false)
            add("head.projection", "decoder.project_out", hasBias: false)
        }
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "decoder.layers.\(layer).")
            for map in configuration.linearMaps {
                guard let module = modules[map.name] else { continue }
                add(own + map.name, other + module, hasBias: map.hasBias)
            }
            add(own + "attention.norm", other + "self_attn_layer_norm")
            add(own + "mlp.norm", other + "final_layer_norm")
        }
        if configuration.normPlace == .before { add("norm", "decoder.final_layer_norm") }
        if !configuration.tiesHead { names.append(WeightName(name: "head.weight", source: "lm_head.weight")) }
        return names
    }

    /// The head where it is the token embedding, and that of a classifier.
    public static func ignores(_ source: String) -> Bool { source == "lm_head.weight" || source == "score.weight" }
}
