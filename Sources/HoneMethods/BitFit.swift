import HoneFormats
import HoneModels
import HoneTorch

/// Trains every bias of the model and nothing else (Ben Zaken et al. 2021).
public struct BitFit: WeightTraining {
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

    /// Biases.
    public func trains(_ name: String, of model: TransformerConfiguration) -> Bool { name.hasSuffix(".bias") }
}
