import HoneFormats

/// MPNet (Song et al. 2020) and the sentence encoders built on it, such as all-mpnet-base-v2: positions as RoBERTa's, and
/// a bias of attention for distances.
public enum MPNet: ModelFamily {
    /// `mpnet`
    public static let modelTypes = ["mpnet"]
    /// `mpnet.`
    public static let prefix = "mpnet."
    /// The encoder is the model that adapters are made for.
    public static let prefixesAdapters = false

    /// Reads an MPNet config. The reference takes 32 buckets of distances and the token 1 for padding, whatever a config says.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        var made = try BERT.configuration(config)
        guard made.maximumLength > 2, made.vocabularySize > 1 else {
            throw config.refused("max_position_embeddings", "must be above 2, as positions count from the third on")
        }
        try config.require("relative_attention_num_buckets", toBe: [32])
        made.tokenTypeCount = 0
        made.positionlessToken = 1
        made.positionOffset = 2
        made.maximumLength -= 2
        made.relativeBias = .init(buckets: 32, maximumDistance: 128)
        return made
    }

    /// The names of MPNet's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        var names = WeightNames()
        names.add(weight: "embeddings.tokens.weight", "embeddings.word_embeddings.weight")
        names.add(weight: "embeddings.positions.weight", "embeddings.position_embeddings.weight")
        names.add(weight: "embeddings.relativePositions.weight", "encoder.relative_attention_bias.weight")
        names.add("embeddings.norm", "embeddings.LayerNorm")
        for layer in 0..<configuration.layerCount {
            let (own, other) = ("layers.\(layer).", "encoder.layer.\(layer).")
            names.add(own + "attention.query", other + "attention.attn.q")
            names.add(own + "attention.key", other + "attention.attn.k")
            names.add(own + "attention.value", other + "attention.attn.v")
            names.add(own + "attention.output", other + "attention.attn.o")
            names.add(own + "attention.norm", other + "attention.LayerNorm")
            names.add(own + "mlp.up", other + "intermediate.dense")
            names.add(own + "mlp.down", other + "output.dense")
            names.add(own + "mlp.norm", other + "output.LayerNorm")
        }
        return names.all
    }

    /// The position buffer, the pooler, and the heads of pre-training and of other tasks.
    public static func ignores(_ source: String) -> Bool {
        ["embeddings.position_ids", "pooler.", "lm_head.", "classifier.", "qa_outputs."].contains {
            source.hasPrefix($0)
        }
    }
}
