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
            Setting("length", .integer(16, 1...1024), "How many vectors.")
        ] + PromptStart.settings, isTriedByDefault: true)

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
        try PromptStart.check(settings, model, for: PromptTuning.card.name)
    }

    /// Vectors of tokens, or noise of their size.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        parameters.set(
            "prompt_embeddings",
            try PromptStart.vectors(settings.integer("length"), settings, for: model, random: &random))
        return parameters
    }

    /// The nearest words of each vector.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        try [PromptStart.nearest(parameters.tensor("prompt_embeddings"), in: model)].compactMap { $0 }
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
        try PromptTuning.write(parameters.tensor("prompt_embeddings"), for: model, task: task, to: folder)
    }

    /// Writes vectors before the input as PEFT's `PROMPT_TUNING` folder.
    static func write(_ prompt: Tensor, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter) throws {
        let configuration = PromptTuningConfiguration(
            virtualTokens: prompt.size(0), tokenDimension: prompt.size(1), layers: model.configuration.layerCount,
            attentionHeads: model.configuration.headCount, transformerSubmodules: 1)
        try folder.writePEFT(
            .promptTuning(configuration), tensors: [("prompt_embeddings", prompt.detached())], model: model, task: task)
    }

    /// Reads PEFT's `PROMPT_TUNING` folder.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: PromptTuning, parameters: ParameterSet)
    {
        guard case .promptTuning(let configuration) = try folder.peftConfiguration("PROMPT_TUNING") else {
            preconditionFailure("the reader has checked the type")
        }
        for name in folder.tensorNames where name != "prompt_embeddings" && !folder.isHead(name) {
            throw HoneError(.mismatch, "does not belong to prompt tuning", file: folder.tensorFile, item: name)
        }
        var prompt = try folder.tensor("prompt_embeddings").to(.float32).to(model.transformer.device).cloned()
        guard prompt.rank == 2, prompt.size(1) == model.configuration.tokenWidth, prompt.size(0) > 0 else {
            throw HoneError(
                .mismatch, "shape \(prompt.shape) does not fit a base of width \(model.configuration.tokenWidth)",
                file: folder.tensorFile, item: "prompt_embeddings")
        }
        // PEFT stores as many rows again for a decoder beside an encoder, and reads none of them.
        if configuration.transformerSubmodules == 2 {
            guard prompt.rank == 2, prompt.size(0) == 2 * configuration.virtualTokens else {
                throw HoneError(
                    .mismatch,
                    "shape \(prompt.shape) is not that of \(configuration.virtualTokens) vectors for each stack",
                    file: folder.tensorFile, item: "prompt_embeddings")
            }
            prompt = try prompt.narrowed(0, from: 0, length: configuration.virtualTokens).cloned()
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
