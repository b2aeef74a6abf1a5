import HoneFormats

/// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on queries, keys and values; some layers may have a window.
public enum Qwen2: ModelFamily {
    /// `qwen2`
    public static let modelTypes = ["qwen2"]
    /// `model.`
    public static let prefix = Llama.prefix
    /// Adapters are made for the language model, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a Qwen2 config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        var made = try Llama.configuration(config)
        made.attentionInputBias = true
        made.attentionOutputBias = false
        made.mayHaveAttentionBiases = false
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

extension ConfigReader {
    /// The window of a config that switches it on with `use_sliding_window`: in the layers that `layer_types` names, or in
    /// those from `max_window_layers` on.
    func window(of configuration: TransformerConfiguration) throws -> TransformerConfiguration.Window? {
        guard try flag("use_sliding_window", default: false), json["sliding_window"].map({ !$0.isNull }) ?? true else {
            return nil
        }
        let size = try size("sliding_window", default: 4096)
        var layers = Set<Int>()
        if let found = json["layer_types"], !found.isNull {
            guard let types = found.array, types.count == configuration.layerCount else {
                throw refused("layer_types", "must name a kind for each of the \(configuration.layerCount) layers")
            }
            for (layer, type) in types.enumerated() {
                switch type.string {
                case "sliding_attention": layers.insert(layer)
                case "full_attention": continue
                default: throw refused("layer_types", "the kind \(type.text()) is not supported", .unsupported)
                }
            }
        } else {
            let first = try self.size("max_window_layers", default: 28, from: 0)
            layers = Set((0..<configuration.layerCount).filter { $0 >= first })
        }
        return layers.isEmpty ? nil : .init(size: size, layers: layers)
    }
}
