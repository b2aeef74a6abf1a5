import HoneFormats

/// DistilBERT (Sanh et al. 2019): BERT without token types, by other names.
public enum DistilBERT: ModelFamily {
    /// `distilbert`
    public static let modelTypes = ["distilbert"]
    /// `distilbert.`
    public static let prefix = "distilbert."
    /// The encoder is the model that adapters are made for.
    public static let prefixesAdapters = false

    /// Reads a DistilBERT config. Sinusoidal positions lie in the file like learned ones.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.refuseOtherWeights()
        var made = TransformerConfiguration(
            vocabularySize: try config.size("vocab_size"), width: try config.size("dim"),
            layerCount: try config.size("n_layers", upTo: 1024), headCount: try config.size("n_heads", upTo: 4096),
            innerWidth: try config.size("hidden_dim"),
            maximumLength: try config.size("max_position_embeddings", default: 512))
        try config.checkWidth(made, headCountField: "n_heads")
        made.normPlace = .after
        made.normEpsilon = 1e-12
        made.normalisesEmbeddings = true
        made.activation = try config.activation("activation", default: "gelu")
        return made
    }

    /// The names of DistilBERT's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "embeddings.word_embeddings.weight")
        names.add(weight: "embeddings.positions.weight", "embeddings.position_embeddings.weight")
        names.add("embeddings.norm", "embeddings.LayerNorm")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "transformer.layer.\(layer).")
            names.add(own + "attention.query", other + "attention.q_lin")
            names.add(own + "attention.key", other + "attention.k_lin")
            names.add(own + "attention.value", other + "attention.v_lin")
            names.add(own + "attention.output", other + "attention.out_lin")
            names.add(own + "attention.norm", other + "sa_layer_norm")
            names.add(own + "mlp.up", other + "ffn.lin1")
            names.add(own + "mlp.down", other + "ffn.lin2")
            names.add(own + "mlp.norm", other + "output_layer_norm")
        }
        return names.all
    }

    /// The position buffer, and the heads of pre-training and of other tasks.
    public static func ignores(_ source: String) -> Bool {
        source == "embeddings.position_ids"
            || ["vocab_", "pre_classifier.", "classifier.", "qa_outputs."].contains { source.hasPrefix($0) }
    }
}
