import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// Task vectors (Hendel, Geva and Globerson 2023, arXiv 2310.15916): the state behind a layer at the last token of a prompt with worked
/// examples takes the place of the state at the last token of a prompt without.
public struct TaskVector: PromptEndVectorMethod {
    /// What it is.
    public static let card = MethodCard(
        name: "tv", title: "Task vector",
        summary:
            "Puts the state at the end of a prompt with worked examples in the place of the one at the prompt's end.",
        advice:
            "Nothing is trained: the simplest way to keep a task that worked examples show. What the lower layers made of the question "
            + "at its last token is lost, so soft injection does better.",
        paper: "Hendel, Geva and Globerson 2023, arXiv 2310.15916", training: .none, costRank: 3,
        settings: [
            Setting("shots", .integer(10, 1...256), "How many worked examples a prompt has."),
            Setting("prompts", .integer(1, 1...65536), "How many such prompts are averaged."),
            PromptEndVector.layer,
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Task vectors with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Refuses models that do not read their prompts where they write, and a layer that does not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try checkPromptEnds(model, task, method: TaskVector.card.name)
        try PromptEndVector.check(settings, model, method: TaskVector.card.name)
    }

    /// No vector yet.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        try PromptEndVector.setInitial(&parameters, settings, for: model)
        return parameters
    }

    /// Reads the states behind every layer, and keeps the one that does best.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let shots = settings.integer("shots")
        let drawn = try FewShotPrompts(context, shots: shots, for: TaskVector.card.name)
            .draw(settings.integer("prompts"), shots: shots, purpose: "prompts")
        let layers = (0..<context.model.configuration.layerCount).map { "layers.\($0)" }
        let means = try context.model.transformer.meanPromptEnds(drawn, at: layers, padId: context.model.padId)
        try PromptEndVector.place(in: &parameters, of: self, context) { layer in
            guard let mean = means[layers[layer]] else { preconditionFailure("every layer was recorded") }
            return mean
        }
    }

    /// The vector at its layer.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        try PromptEndVector.attachments(parameters) { own, vector in try vector.expanded(own.shape) }
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: TaskVector, parameters: ParameterSet)
    {
        var parameters = ParameterSet()
        try PromptEndVector.read(folder, into: &parameters, for: model)
        try folder.checkNoOthers(than: parameters)
        return (try TaskVector(folder.settings(card)), parameters)
    }
}
