import HoneFormats

/// Mistral (Jiang et al. 2023): Llama in which every layer may look back no further than a window.
public enum Mistral: ModelFamily {
    /// `mistral`
    public static let modelTypes = ["mistral"]
    /// `model.`
    public static let prefix = Llama.prefix
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a Mistral config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        var made = try Llama.configuration(config)
        made.mayHaveAttentionBiases = false
        // The width of the window where a config says nothing, as the reference has it; null is none.
        if config.json["sliding_window"].map({ !$0.isNull }) ?? true {
            let size = try config.size("sliding_window", default: 4096)
            made.window = .init(size: size, layers: Set(0..<made.layerCount))
        }
        return made
    }

    /// The names of Llama's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        Llama.weightNames(configuration)
    }

    /// What Llama's files may hold beside the weights.
    public static func ignores(_ source: String) -> Bool { Llama.ignores(source) }
}
