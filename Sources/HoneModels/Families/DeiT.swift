import HoneFormats

/// DeiT (Touvron et al. 2021): a ViT with a second learned token, by which another model taught it.
public enum DeiT: ModelFamily {
    /// `deit`
    public static let modelTypes = ["deit"]
    /// `deit.`
    public static let prefix = "deit."
    /// Adapters are made for the classifier of images, whose modules carry the prefix.
    public static let prefixesAdapters = true

    /// Reads a DeiT config.
    public static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration {
        try config.visionTransformer(hasDistillationToken: true)
    }

    /// Those of a ViT, and the second token.
    public static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName] {
        ViT.weightNames(configuration)
    }

    /// As in a ViT.
    public static func module(ofFile name: String) -> String { ViT.module(ofFile: name) }

    /// As in a ViT.
    public static func ignores(_ source: String) -> Bool { ViT.ignores(source) }
}
