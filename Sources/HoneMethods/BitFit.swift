import HoneFormats
import HoneModels
import HoneTorch

/// Trains every bias of the model and nothing else (Ben Zaken et al. 2021).
public struct BitFit: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "bitfit", title: "Bias-only fine-tuning (BitFit)",
        summary: "Trains the biases of the model; every matrix stays frozen.",
        advice: "Small and stable, good with little data. Not for models without biases, such as Llama.",
        paper: "Ben Zaken, Goldberg and Ravfogel 2021, arXiv 2106.10199", training: .gradient, costRank: 3,
        learningRates: [3e-3, 1e-3, 1e-2], isTriedByDefault: true)

    /// The values of the settings: none.
    public let settings: MethodSettings

    /// BitFit with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Refuses models without biases.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        guard model.weightShapes.contains(where: { $0.name.hasSuffix(".bias") }) else {
            throw HoneError(.mismatch, "this model has no biases to train", item: "bitfit")
        }
    }

    private static func trains(_ name: String) -> Bool { name.hasSuffix(".bias") }

    /// Copies of the biases.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try WeightMethod.initialParameters(for: model, where: BitFit.trains)
    }

    /// The trained biases in place of the base's.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        WeightMethod.attachments(parameters)
    }

    /// The trained biases.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try WeightMethod.merged(parameters, model: model)
    }

    /// Writes the biases under their Hugging Face names.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try WeightMethod.write(parameters, for: model, to: folder)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: BitFit, parameters: ParameterSet)
    {
        (try BitFit(folder.settings(card)), try WeightMethod.read(folder, for: model, where: trains))
    }
}
