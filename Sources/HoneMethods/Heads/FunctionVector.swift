import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// Function vectors (Todd et al. 2024, arXiv 2310.15213): the mean outputs of the few heads that carry the task in prompts with worked
/// examples, summed after the output projection and added to the residual stream at the last token of a prompt without.
///
/// Which heads carry it is measured: how much an answer's probability rises, behind examples with exchanged answers, when a head's
/// output at the last token is replaced by its mean.
public struct FunctionVector: PromptEndVectorMethod {
    /// What it is.
    public static let card = MethodCard(
        name: "fv", title: "Function vector",
        summary: "Adds what the task's heads say on average, behind worked examples, at the prompt's end.",
        advice:
            "Nothing is trained: a look at what the model does with worked examples. Weaker than soft injection, which trains how much "
            + "of each head to take.",
        paper: "Todd et al. 2024, arXiv 2310.15213", training: .none, costRank: 3,
        settings: [
            Setting("shots", .integer(10, 1...256), "How many worked examples a prompt has."),
            Setting("prompts", .integer(100, 1...65536), "How many such prompts the heads' outputs are averaged over."),
            Setting("trials", .integer(25, 1...65536), "How many prompts with exchanged answers heads are tried on."),
            Setting("heads", .integer(10, 1...65536), "How many heads make the vector."),
            PromptEndVector.layer,
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Function vectors with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Refuses models that do not read their prompts with the heads that write, and more heads or layers than there are.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try checkPromptEnds(model, task, method: FunctionVector.card.name)
        try PromptEndVector.check(settings, model, method: FunctionVector.card.name)
        let all = model.headSites.reduce(0) { $0 + $1.count }
        guard settings.integer("heads") <= all else {
            throw HoneError(
                .mismatch, "\(settings.integer("heads")) heads are more than the model's \(all)", item: "fv heads")
        }
    }

    /// No vector yet.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        for site in model.configuration.headSites {
            let none = try Tensor.zeros([site.count], on: model.transformer.device)
            parameters.set(site.path + FunctionVector.effect, none, group: .state)
        }
        try PromptEndVector.setInitial(&parameters, settings, for: model)
        return parameters
    }

    /// Finds the heads and adds up what they say.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let model = context.model
        let shots = settings.integer("shots")
        let source = try FewShotPrompts(context, shots: shots, for: FunctionVector.card.name)
        let prompts = try source.draw(settings.integer("prompts"), shots: shots, purpose: "prompts")
        let trials = try source.draw(settings.integer("trials"), shots: shots, purpose: "trials", shuffled: true)
        let sites = model.configuration.headSites
        let means = try model.transformer.meanPromptEnds(prompts, at: sites.map(\.path), padId: model.padId)
        let effects = try FunctionVector.effects(of: means, on: trials, model: model, context.checkStop)
        let ranking = HeadRanking(scores: effects, of: model.configuration)
        let chosen = ranking.entries.prefix(settings.integer("heads"))
        let vector = try withoutGradients {
            try chosen.reduce(Tensor.zeros([model.configuration.width], on: model.transformer.device)) { sum, entry in
                guard let site = sites.first(where: { $0.path == entry.head.site }), let mean = means[site.path],
                    let weight = model.transformer.weights[site.output + ".weight"]
                else { return sum }
                let own = try weight.narrowed(1, from: entry.head.number * site.width, length: site.width)
                let part = try mean.at(entry.head.number).unsqueezed(0).linear(own.to(.float32)).reshaped([-1])
                return try sum + part
            }
        }
        for site in sites {
            let own = try Tensor((effects[site.path] ?? []).map { Float($0) }, on: model.transformer.device)
            parameters.set(site.path + FunctionVector.effect, own, group: .state)
        }
        try PromptEndVector.place(vector, in: &parameters, of: self, context)
    }

    private static let effect = ".effect"

    /// How much the probability of trials' answers rises where a head's output at the last token is its mean, by site.
    static func effects(
        of means: [String: Tensor], on trials: [FewShotPrompts.Prompt], model: BaseModel, _ checkStop: () throws -> Void
    ) throws -> [String: [Double]] {
        let before = try model.transformer.meanAnswerProbability(trials, padId: model.padId)
        var effects: [String: [Double]] = [:]
        for site in model.configuration.headSites {
            guard let mean = means[site.path] else { continue }
            effects[site.path] = try (0..<site.count).map { number in
                try checkStop()
                var attachments = Attachments()
                attachments.states[site.path] = [
                    PromptEndEdit { own in
                        let one = try mean.narrowed(0, from: number, length: 1).unsqueezed(0)
                        let new = try one.expanded([own.size(0), 1, own.size(2)]).to(own.dtype).contiguous()
                        return try own.replacing(new, at: Tensor([number], on: own.device), dimension: 1)
                    }
                ]
                let changed = try model.transformer.attaching(attachments)
                return try changed.meanAnswerProbability(trials, padId: model.padId) - before
            }
        }
        return effects
    }

    /// The vector at its layer.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        try PromptEndVector.attachments(parameters) { own, vector in try own + vector }
    }

    /// How much each head alone makes of the task, and where the vector goes.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        var effects: [String: [Double]] = [:]
        for site in model.configuration.headSites {
            effects[site.path] = try parameters[site.path + FunctionVector.effect]?.elements(Double.self)
        }
        return [
            headMap(
                "What each head makes of the task",
                note: "How much an answer's probability rises behind exchanged examples with the head's mean output.",
                of: model.configuration, effects)
        ] + PromptEndVector.figures(parameters)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: FunctionVector, parameters: ParameterSet)
    {
        var parameters = ParameterSet()
        for site in model.configuration.headSites {
            parameters.set(
                site.path + effect,
                try folder.tensor(site.path + effect, shape: [site.count]).to(model.transformer.device), group: .state)
        }
        try PromptEndVector.read(folder, into: &parameters, for: model)
        try folder.checkNoOthers(than: parameters)
        return (try FunctionVector(folder.settings(card)), parameters)
    }
}
