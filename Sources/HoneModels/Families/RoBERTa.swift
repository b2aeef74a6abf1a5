import HoneFormats

/// RoBERTa (Liu et al. 2019) and XLM-RoBERTa (Conneau et al. 2020): BERT whose positions count from the padding
/// token's number on and leave that token out.
public enum RoBERTa: ModelFamily {
    /// `roberta`, `xlm-roberta`
    public static let modelTypes = ["roberta", "xlm-roberta"]
    /// `roberta.`, which XLM-RoBERTa uses too.
    public static let prefix = "roberta."
    /// The encoder is the model that adapters are made for.
    public static let prefixesAdapters = false

    /// Reads a RoBERTa config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        var made = try BERT.configuration(config)
        let padding = try config.size("pad_token_id", default: 1, from: 0)
        guard padding < made.vocabularySize else {
            throw config.refused("pad_token_id", "there are only \(made.vocabularySize) tokens")
        }
        guard made.maximumLength > padding + 1 else {
            throw config.refused(
                "max_position_embeddings", "must be above \(padding + 1), as positions count from the padding token on")
        }
        made.positionlessToken = padding
        made.positionOffset = padding + 1
        made.maximumLength -= padding + 1
        return made
    }

    /// The names of BERT's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        BERT.weightNames(configuration)
    }

    /// What BERT's files may hold beside the weights, and the head of pre-training.
    public static func ignores(_ source: String) -> Bool {
        BERT.ignores(source) || source.hasPrefix("lm_head.") || source == "embeddings.token_type_ids"
    }
}
