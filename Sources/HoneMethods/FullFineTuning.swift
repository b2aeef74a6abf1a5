import HoneFormats
import HoneModels
import HoneTorch

/// Trains every weight of the model.
public struct FullFineTuning: WeightTraining {
    /// What it is.
    public static let card = MethodCard(
        name: "full", title: "Full fine-tuning",
        summary: "Trains every weight of the model.",
        advice: "The reference that the others are judged by; often the best with many rows. Costs the most memory and "
            + "disk, and forgets the most.",
        paper: "Devlin et al. 2018, arXiv 1810.04805, section 3.2", training: .gradient, costRank: 5,
        learningRates: [3e-4, 1e-4, 3e-5],
        settings: [
            Setting("embeddings", .flag(true), "Train the embeddings too."),
            Setting("layers", .integer(0, 0...1024), "Train only so many of the last layers; 0 for all."),
        ], isTriedByDefault: true)

    /// The values of the settings.
    public let settings: MethodSettings

    /// Full fine-tuning with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Every weight but constants, as far as the settings say.
    public func trains(_ name: String, of model: TransformerConfiguration) -> Bool {
        guard name != TransformerConfiguration.headOffset else { return false }
        let last = settings.integer("layers")
        // Of an encoder-decoder, the last layers of each stack.
        let stack = model.stacks.first { name.hasPrefix($0.prefix) } ?? model
        let first = last == 0 ? 0 : max(0, stack.layerCount - last)
        let own = name.hasPrefix(stack.prefix) ? name.dropFirst(stack.prefix.count) : name[...]
        let parts = own.split(separator: ".")
        if own.hasPrefix("embeddings.") { return settings.flag("embeddings") && last == 0 }
        if parts.count > 1, parts[0] == "layers", let layer = Int(parts[1]) { return layer >= first }
        return true
    }
}
