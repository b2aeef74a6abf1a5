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
        guard made.width % made.headCount == 0 else {
            throw config.refused("n_heads", "\(made.headCount) heads do not divide the width \(made.width)")
        }
        made.normPlace = .after
        made.normEpsilon = 1e-12
        made.normalisesEmbeddings = true
        made.activation = try config.activation("activation", default: "gelu")
        return made
    }

    /// The names of DistilBERT's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = [
            WeightName(name: "embeddings.tokens.weight", source: "embeddings.word_embeddings.weight"),
            WeightName(name: "embeddings.positions.weight", source: "embeddings.position_embeddings.weight"),
        ]
        func add(_ name: String, _ source: String) {
            for part in [".weight", ".bias"] { names.append(WeightName(name: name + part, source: source + part)) }
        }
        add("embeddings.norm", "embeddings.LayerNorm")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "transformer.layer.\(layer).")
            add(own + "attention.query", other + "attention.q_lin")
            add(own + "attention.key", other + "attention.k_lin")
            add(own + "attention.value", other + "attention.v_lin")
            add(own + "attention.output", other + "attention.out_lin")
            add(own + "attention.norm", other + "sa_layer_norm")
            add(own + "mlp.up", other + "ffn.lin1")
            add(own + "mlp.down", other + "ffn.lin2")
            add(own + "mlp.norm", other + "output_layer_norm")
        }
        return names
    }

    /// The position buffer, and the heads of pre-training and of other tasks.
    public static func ignores(_ source: String) -> Bool {
        source == "embeddings.position_ids"
            || ["vocab_", "pre_classifier.", "classifier.", "qa_outputs."].contains { source.hasPrefix($0) }
    }
}
