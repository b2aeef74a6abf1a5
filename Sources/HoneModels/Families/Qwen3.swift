import HoneFormats

/// Qwen3 (Yang et al. 2025): Llama whose queries and keys are normalised head by head; some layers may have a window.
public enum Qwen3: ModelFamily {
    /// `qwen3`
    public static let modelTypes = ["qwen3"]
    /// `model.`
    public static let prefix = Llama.prefix
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a Qwen3 config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        var made = try Llama.configuration(config)
        made.normalisesHeads = true
        made.window = try config.window(of: made)
        return made
    }

    /// The names of Llama's weights.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        Llama.weightNames(configuration)
    }

    /// What Llama's files may hold beside the weights.
    public static func ignores(_ source: String) -> Bool { Llama.ignores(source) }
}
