import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// Soft injection of task embeddings (arXiv 2507.20906): what heads give at the last token of prompts with worked examples is averaged
/// once, and mixed into what they give at the last token of a prompt without: `o ← (1 − α) · o + α · t`, with one trained
/// `α = σ(λ)` a head. What is written behind the prompt is computed as it is.
public struct SoftInjection: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "site", title: "Soft injection of task embeddings (SITE)",
        summary:
            "Reads the task out of prompts with worked examples, and mixes it into each head's output at the prompt's end.",
        advice:
            "For a decoder that follows worked examples, where their tokens are too dear: one number a head, and prompts stay short. "
            + "It can only ask for what the model can do with examples; for more, LoRA.",
        paper: "2025, arXiv 2507.20906", training: .gradient, costRank: 3, learningRates: [0.2, 0.05],
        settings: [
            Setting(
                "shots", .integer(10, 0...256),
                "How many worked examples a prompt has that the task is read from; 0 as a control."),
            Setting("prompts", .integer(50, 1...65536), "How many such prompts are averaged."),
            Setting("start", .real(0, -100...100), "What λ starts from; 0 for equal parts."),
            Setting(
                "answer", .choice("first", ["first", "all"]),
                "What is learned of an answer: its first token, or all of it."),
            Setting(
                "keep", .choice("best", ["best", "last"]),
                "Whether the best validated mixture is kept, or the last one."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Soft injection with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    private static let logits = ".logits"
    private static let embedding = ".task"

    /// Refuses models that do not read their prompts with the heads that write.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try checkPromptEnds(model, task, method: SoftInjection.card.name)
    }

    /// λ as the settings say, and no task yet.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        let device = model.transformer.device
        for site in model.configuration.headSites {
            parameters.set(
                site.path + SoftInjection.logits, try Tensor.full([site.count], settings.real("start"), on: device))
            parameters.set(
                site.path + SoftInjection.embedding, try Tensor.zeros([site.count, site.width], on: device),
                group: .state)
        }
        return parameters
    }

    /// Yes: the task is read from prompts.
    public var hasStages: Bool { true }

    /// The task is read from prompts that are as long as their examples together.
    public func stageCost(steps: Int, rows: Int, batchSize: Int) -> StageCost {
        let read = settings.integer("prompts") * (settings.integer("shots") + 1)
        return StageCost(before: StageCost.reading(rows: read, batchSize: batchSize))
    }

    /// Reads the task out of prompts with worked examples, drawn from the training rows.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let shots = settings.integer("shots")
        let drawn = try FewShotPrompts(context, shots: shots, for: SoftInjection.card.name)
            .draw(settings.integer("prompts"), shots: shots, purpose: "prompts")
        let sites = context.model.configuration.headSites.map(\.path)
        let means = try context.model.transformer.meanPromptEnds(drawn, at: sites, padId: context.model.padId)
        for site in sites {
            guard let mean = means[site] else { continue }
            parameters.set(site + SoftInjection.embedding, mean, group: .state)
        }
        try context.note("the task is read from \(drawn.count) prompts of \(shots) examples")
    }

    /// Of an answer, its first token.
    public func learned(of row: EncodedExample) -> EncodedExample {
        guard settings.choice("answer") == "first", let first = row.targets.first else { return row }
        var short = row
        short.targets = [first.lowerBound..<first.lowerBound + 1]
        return short
    }

    /// Where the last mixture is wanted, only that.
    public func isComplete(after report: StepReport) -> Bool {
        settings.choice("keep") == "best" || report.step == report.totalSteps
    }

    /// The mixture of each head.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        for site in model.configuration.headSites {
            guard let logits = parameters[site.path + SoftInjection.logits] else { continue }
            let task = try parameters.tensor(site.path + SoftInjection.embedding)
            attachments.states[site.path] = [
                PromptEndEdit { own in
                    let share = try logits.sigmoid().unsqueezed(-1)
                    // In full precision, whatever the model computes in.
                    let whole = own.dtype == .float64 ? own : try own.to(.float32)
                    return try whole * (1 - share) + task * share
                }
            ]
        }
        return attachments
    }

    /// What acts at one token cannot be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// How much of each head's output is replaced.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        var shares: [String: [Double]] = [:]
        for site in model.configuration.headSites {
            guard let logits = parameters[site.path + SoftInjection.logits] else { continue }
            shares[site.path] = try logits.detached().sigmoid().elements(Double.self)
        }
        let all = shares.values.joined()
        let decided = all.filter { $0 < 0.1 || $0 > 0.9 }.count
        return [
            headMap(
                "How much of each head's output is the task's",
                note: "α: 0 leaves a head as it is, 1 replaces what it gives at the prompt's end.",
                of: model.configuration,
                shares),
            MethodFigure(
                "Heads that are decided",
                .sentences(["\(decided) of \(all.count) heads have an α below 0.1 or above 0.9."])),
        ]
    }

    /// Writes λ and the task of each head.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try folder.writeTensors(
            parameters.all.filter { $0.group != .head }.map { ($0.name, try $0.tensor.detached()) },
            file: "weights.safetensors")
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: SoftInjection, parameters: ParameterSet)
    {
        var parameters = ParameterSet()
        for site in model.configuration.headSites {
            let device = model.transformer.device
            parameters.set(
                site.path + logits, try folder.tensor(site.path + logits, shape: [site.count]).to(device))
            parameters.set(
                site.path + embedding,
                try folder.tensor(site.path + embedding, shape: [site.count, site.width]).to(device), group: .state)
        }
        try folder.checkNoOthers(than: parameters)
        return (try SoftInjection(folder.settings(card)), parameters)
    }
}

extension AdapterFolderReader {
    /// One of the method's tensors, which must have a shape, as `float32`.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names a tensor of another shape.
    func tensor(_ name: String, shape: [Int]) throws -> Tensor {
        let tensor = try tensor(name).to(.float32)
        guard tensor.shape == shape else {
            throw HoneError(
                .mismatch, "shape \(tensor.shape) does not fit the model's \(shape)", file: tensorFile, item: name)
        }
        return try tensor.cloned()
    }

    /// Refuses tensors beside those that were read.
    func checkNoOthers(than parameters: ParameterSet) throws {
        guard let other = tensorNames.first(where: { parameters[$0] == nil }) else { return }
        throw HoneError(
            .mismatch, "the base model has no such place; this adapter is for another base", file: tensorFile,
            item: other)
    }
}
