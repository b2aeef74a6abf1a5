import HoneFormats
import HoneModels
import HoneTorch

/// Trains every weight of the model.
public struct FullFineTuning: Method {
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

    private func trains(_ name: String, of model: TransformerConfiguration) -> Bool {
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

    /// Copies of the weights.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try WeightMethod.initialParameters(for: model) { trains($0, of: model.configuration) }
    }

    /// The trained weights in place of the base's.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        WeightMethod.attachments(parameters)
    }

    /// The trained weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try WeightMethod.merged(parameters, model: model)
    }

    /// Writes the weights under their Hugging Face names.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try WeightMethod.write(parameters, for: model, to: folder)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: FullFineTuning, parameters: ParameterSet)
    {
        let method = try FullFineTuning(folder.settings(card))
        let parameters = try WeightMethod.read(folder, for: model) { method.trains($0, of: model.configuration) }
        return (method, parameters)
    }
}
