import HoneFormats
import HoneModels
import HoneTorch

/// Decomposed prompt tuning: the numbers of a long prompt spent on a short one and a low-rank correction of the input's embeddings
/// (Shi and Lipani 2024). See `DecomposedPrompt` for the equations.
public struct DePT: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "dept", title: "Decomposed prompt tuning (DePT)",
        summary:
            "Trains a short prompt and a low-rank correction of the input's embeddings by place; the model stays frozen.",
        advice:
            "As prompt tuning with a long prompt, with shorter rows: where prompts are wanted and time matters. The correction "
            + "knows places, not words: inputs should begin alike.",
        paper: "Shi and Lipani 2024, arXiv 2309.05173", training: .gradient, costRank: 2,
        learningRates: [1e-2, 3e-2, 3e-3], settings: DecomposedPrompt.settings)

    /// The values of the settings.
    public let settings: MethodSettings

    /// DePT with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    private func sizes(_ model: TransformerConfiguration) throws -> DecomposedPrompt {
        try DecomposedPrompt(settings, model, for: DePT.card.name)
    }

    /// One for each vector.
    public var addedPositions: Int { settings.integer("length") }

    /// Refuses sizes that do not fit the model or the budget.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        _ = try sizes(model)
        try PromptStart.check(settings, model, for: DePT.card.name)
    }

    /// A prompt, and a correction that is zero.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try sizes(model.configuration).initialParameters(settings, for: model, random: &random)
    }

    /// The prompt before the input, the correction on its embeddings.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        attachments.prompts = parameters["prompt"].map { [$0] } ?? []
        attachments.placeVectors =
            try DecomposedPrompt.correction(parameters, alpha: settings.real("alpha")).map { [$0] } ?? []
        return attachments
    }

    /// The correction has a rate of its own.
    public func rule(for parameter: Parameter) -> TrainingRule { DecomposedPrompt.rule(for: parameter, settings) }

    /// Rows are counted before the first step.
    public var hasStages: Bool { true }

    /// Says how many rows are longer than the correction, and how large a plain prompt would be.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let sizes = try sizes(context.model.part(for: context.task, DePT.self).configuration)
        let trained = sizes.shapes.reduce(0) { $0 + $1.shape.reduce(1, *) }
        try sizes.prepare(settings, context, trained: trained, for: DePT.card.name)
    }

    /// The prompt's nearest words, and the correction's size by place.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        try sizes(model.configuration).figures(
            parameters, prompt: parameters["prompt"], alpha: settings.real("alpha"), of: model)
    }

    /// Neither part can be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Writes the tensors; where there is no correction, PEFT's `PROMPT_TUNING` folder.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try DecomposedPrompt.write(parameters, for: model, task: task, to: folder)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: DePT, parameters: ParameterSet)
    {
        let method = try DePT(folder.settings(card))
        let sizes = try method.sizes(model.configuration)
        return (method, try DecomposedPrompt.read(folder, sizes.shapes, for: model))
    }
}
