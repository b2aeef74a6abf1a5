import HoneFormats

/// BERT (Devlin et al. 2018) and the sentence encoders built on it, such as all-MiniLM-L6-v2.
public enum BERT: ModelFamily {
    /// `bert`
    public static let modelTypes = ["bert"]
    /// `bert.`
    public static let prefix = "bert."
    /// The encoder is the model that adapters are made for.
    public static let prefixesAdapters = false

    /// Reads a BERT config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        try config.require("position_embedding_type", toBe: ["absolute"])
        try config.require("is_decoder", toBe: [false])
        try config.require("add_cross_attention", toBe: [false])
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: try config.size("hidden_size"),
            layerCount: try config.size("num_hidden_layers", upTo: 1024),
            headCount: try config.size("num_attention_heads", upTo: 4096),
            innerWidth: try config.size("intermediate_size"),
            maximumLength: try config.size("max_position_embeddings"))
        try config.checkWidth(made, headCountField: "num_attention_heads")
        made.tokenTypeCount = try config.size("type_vocab_size", default: 2)
        made.normPlace = .after
        made.normEpsilon = try config.number("layer_norm_eps", default: 1e-12)
        made.normalisesEmbeddings = true
        made.activation = try config.activation("hidden_act", default: "gelu")
        return made
    }

    /// The names of BERT's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "embeddings.word_embeddings.weight")
        names.add(weight: "embeddings.positions.weight", "embeddings.position_embeddings.weight")
        names.add(weight: "embeddings.types.weight", "embeddings.token_type_embeddings.weight")
        names.add("embeddings.norm", "embeddings.LayerNorm")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "encoder.layer.\(layer).")
            names.add(own + "attention.query", other + "attention.self.query")
            names.add(own + "attention.key", other + "attention.self.key")
            names.add(own + "attention.value", other + "attention.self.value")
            names.add(own + "attention.output", other + "attention.output.dense")
            names.add(own + "attention.norm", other + "attention.output.LayerNorm")
            names.add(own + "mlp.up", other + "intermediate.dense")
            names.add(own + "mlp.down", other + "output.dense")
            names.add(own + "mlp.norm", other + "output.LayerNorm")
        }
        return names.all
    }

    /// The position buffer, the pooler, and the heads of pre-training and of other tasks.
    public static func ignores(_ source: String) -> Bool {
        source == "embeddings.position_ids" || source.hasPrefix("pooler.") || source.hasPrefix("cls.")
            || source.hasPrefix("classifier.")
    }
}
