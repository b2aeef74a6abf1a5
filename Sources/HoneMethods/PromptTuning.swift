import HoneFormats
import HoneModels
import HoneTorch

/// Soft prompts: trained vectors put before the embeddings of the input (Lester et al. 2021, section 2).
public struct PromptTuning: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "prompt", title: "Prompt tuning (soft prompts)",
        summary: "Trains a few vectors that stand before every input; the model stays frozen.",
        advice:
            "The smallest thing to store and to switch. Learns slowly on small models; takes positions of the input.",
        paper: "Lester, Al-Rfou and Constant 2021, arXiv 2104.08691", peftType: "PROMPT_TUNING", training: .gradient,
        costRank: 2, learningRates: [1e-2, 3e-3, 3e-2],
        settings: [
            Setting("length", .integer(16, 1...1024), "How many vectors."),
            Setting(
                "initialisation", .choice("vocabulary", ["vocabulary", "random"]),
                "Start from the vectors of tokens drawn from the vocabulary, or from noise of their size."),
        ], isTriedByDefault: true)

    /// The values of the settings.
    public let settings: MethodSettings

    /// Prompt tuning with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// One for each vector.
    public var addedPositions: Int { settings.integer("length") }

    /// Refuses prompts that leave no room for the input.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        // Before the patches of an image, prompts take no positions.
        guard model.patches != nil || settings.integer("length") < model.maximumLength else {
            throw HoneError(
                .mismatch, "leaves no room in a model of \(model.maximumLength) positions", item: "prompt length")
        }
    }

    /// Vectors of tokens drawn from the vocabulary, or noise with their mean and spread; of a model of images, which has no
    /// vocabulary, noise with those of its positions (Jia et al. 2022).
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let length = settings.integer("length")
        let width = model.configuration.tokenWidth
        let weights = model.transformer.weights
        guard let table = weights["embeddings.tokens.weight"] ?? weights["embeddings.positions.weight"] else {
            return ParameterSet()
        }
        let device = model.transformer.device
        var parameters = ParameterSet()
        if settings.choice("initialisation") == "vocabulary", !model.readsImages {
            let chosen = try random.uniform([length], low: 0, high: 1)
            // The product may be rounded up to the size of the vocabulary itself.
            let last = Double(model.configuration.vocabularySize - 1)
            let ids = try (chosen * (last + 1)).clamped(max: last).to(.int64).to(device)
            parameters.set("prompt_embeddings", try table.selecting(ids).to(.float32).cloned())
        } else {
            let sample = try table.to(.float32)
            let centre = try sample.mean().item()
            let spread = try (sample - centre).power(2).mean().sqrt().item()
            let noise = try random.normal([length, width], mean: centre, standardDeviation: spread)
            parameters.set("prompt_embeddings", try noise.to(device))
        }
        return parameters
    }

    /// The vectors before the input.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        attachments.prompts = [try parameters.tensor("prompt_embeddings")]
        return attachments
    }

    /// A prompt cannot be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Writes PEFT's `PROMPT_TUNING` folder.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let prompt = try parameters.tensor("prompt_embeddings")
        let configuration = PromptTuningConfiguration(
            virtualTokens: prompt.size(0), tokenDimension: prompt.size(1), layers: model.configuration.layerCount,
            attentionHeads: model.configuration.headCount, transformerSubmodules: 1)
        try folder.writePEFT(
            .promptTuning(configuration), tensors: [("prompt_embeddings", prompt)], model: model, task: task)
    }

    /// Reads PEFT's `PROMPT_TUNING` folder.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: PromptTuning, parameters: ParameterSet)
    {
        guard case .promptTuning(let configuration) = try folder.peftConfiguration("PROMPT_TUNING") else {
            preconditionFailure("the reader has checked the type")
        }
        guard (configuration.transformerSubmodules ?? 1) == 1 else {
            throw HoneError(
                .unsupported, "prompts of a decoder beside an encoder are not supported",
                file: folder.path + "/" + AdapterConfiguration.fileName, item: "num_transformer_submodules")
        }
        for name in folder.tensorNames where name != "prompt_embeddings" && !folder.isHead(name) {
            throw HoneError(.mismatch, "does not belong to prompt tuning", file: folder.tensorFile, item: name)
        }
        let prompt = try folder.tensor("prompt_embeddings").to(.float32).to(model.transformer.device).cloned()
        guard prompt.rank == 2, prompt.size(1) == model.configuration.tokenWidth, prompt.size(0) > 0 else {
            throw HoneError(
                .mismatch, "shape \(prompt.shape) does not fit a base of width \(model.configuration.tokenWidth)",
                file: folder.tensorFile, item: "prompt_embeddings")
        }
        var parameters = ParameterSet()
        parameters.set("prompt_embeddings", prompt)
        var settings = try folder.settings(card, ["length": .integer(prompt.size(0))], file: folder.tensorFile)
        if folder.description != nil {
            settings = try folder.settings(card)
            guard settings.integer("length") == prompt.size(0) else {
                throw HoneError(
                    .mismatch, "has \(prompt.size(0)) vectors, hone.json says \(settings.integer("length"))",
                    file: folder.tensorFile, item: "prompt_embeddings")
            }
        }
        return (PromptTuning(settings), parameters)
    }
}
