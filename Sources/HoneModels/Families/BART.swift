import HoneFormats

/// BART (Lewis et al. 2019): encoder and decoder with learned positions, norms after the sublayers, and token scores by the
/// token embedding.
public enum BART: ModelFamily {
    /// `bart`
    public static let modelTypes = ["bart"]
    /// `model.`
    public static let prefix = "model."
    /// Adapters are made for the model with a language-model head, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a BART config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("is_encoder_decoder", toBe: [true])
        try config.require("is_decoder", toBe: [false])
        // Fields of older files, for relatives of BART.
        try config.require("normalize_before", toBe: [false])
        try config.require("add_final_layer_norm", toBe: [false])
        try config.require("normalize_embedding", toBe: [true])
        try config.require("static_position_embeddings", toBe: [false])
        try config.require("extra_pos_embeddings", toBe: [2])
        try config.require("tie_word_embeddings", toBe: [true])
        let width = try config.size("d_model")
        func heads(_ field: String) throws -> Int {
            let count = try config.size(field, upTo: 4096)
            try config.checkWidth(width, headCount: count, headCountField: field)
            return count
        }
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: width,
            layerCount: try config.size("encoder_layers", upTo: 1024),
            headCount: try heads("encoder_attention_heads"), innerWidth: try config.size("encoder_ffn_dim"),
            maximumLength: try config.size("max_position_embeddings", default: 1024))
        made.normPlace = .after
        made.normalisesEmbeddings = true
        made.positionOffset = 2
        made.scalesEmbeddings = try config.flag("scale_embedding", default: false)
        made.activation = try config.activation("activation_function", default: "gelu")
        made.hasLanguageHead = true
        made.hasHeadOffset = true
        let decoderHeads = try heads("decoder_attention_heads")
        guard
            let start = try config.token("decoder_start_token_id", of: made.vocabularySize)
                ?? config.token("eos_token_id", of: made.vocabularySize)
        else { throw config.refused("decoder_start_token_id", "the field is missing") }
        made.decoder = .init(
            layerCount: try config.size("decoder_layers", upTo: 1024), headCount: decoderHeads,
            headWidth: width / decoderHeads, innerWidth: try config.size("decoder_ffn_dim"), startId: start)
        made.decoder?.firstId = try config.token("forced_bos_token_id", of: made.vocabularySize)
        return made
    }

    /// The names of BART's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "shared.weight")
        func addAttention(_ own: String, _ other: String) {
            for (part, module) in [("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj"), ("output", "out_proj")]
            {
                names.add(own + "." + part, other + "." + module)
            }
            names.add(own + ".norm", other + "_layer_norm")
        }
        for stack in configuration.stacks {
            names.add(weight: stack.prefix + "embeddings.positions.weight", stack.prefix + "embed_positions.weight")
            names.add(stack.prefix + "embeddings.norm", stack.prefix + "layernorm_embedding")
            for layer in 0..<stack.layerCount {
                let path = stack.prefix + "layers.\(layer)."
                addAttention(path + "attention", path + "self_attn")
                if stack.hasCrossAttention { addAttention(path + "crossAttention", path + "encoder_attn") }
                names.add(path + "mlp.up", path + "fc1")
                names.add(path + "mlp.down", path + "fc2")
                names.add(path + "mlp.norm", path + "final_layer_norm")
            }
        }
        if configuration.hasHeadOffset {
            names.add(weight: TransformerConfiguration.headOffset, "final_logits_bias", isOptional: true)
        }
        return names.all
    }

    /// Copies of the token embedding, and heads of other tasks.
    public static func ignores(_ source: String) -> Bool {
        ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"].contains(source)
            || source.hasPrefix("classification_head.")
    }
}
