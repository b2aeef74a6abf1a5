import HoneFormats
import HoneModels
import HoneTorch

/// Efficient prompt tuning: a decomposed prompt whose short part is enriched by its fusion with the low-rank part, and by a gated
/// mixture of projections into several spaces (Lan et al. 2025). The paper's equations of these two could not be read; their form
/// here is a reconstruction:
///
///     F   = softmax((P · Wq) · (ΔE · Wk)ᵀ / √b) · (ΔE · Wv) · Wo         fusion, ΔE = c · A · B
///     G_k = act(P · D_k) · U_k                                          one space
///     g   = softmax(mean of P's rows · Wg + bg)                         or of each row
///     P̂   = P + F + Σ_k g_k · G_k                                       input [P̂ ; E(x) + ΔE]
///
/// `Wo`, `U_k` and the gate start at zero, so that training starts at DePT. Nothing depends on the input: `folded` keeps `P̂` alone.
public struct EPT: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "ept", title: "Efficient prompt tuning (EPT)",
        summary: "DePT with a prompt that is fused with the correction and projected into several spaces under a gate.",
        advice:
            "For comparisons with DePT and prompt tuning: the same cost when used, some more parameters in training. Fusion and "
            + "spaces are reconstructed from the paper's abstract: its figures are not to be expected.",
        paper: "Lan et al. 2025, arXiv 2405.11464; decomposition: Shi and Lipani 2024, arXiv 2309.05173",
        training: .gradient,
        costRank: 2, learningRates: [1e-2, 3e-2, 3e-3],
        settings: DecomposedPrompt.settings + [
            Setting("fusion", .flag(true), "Let the prompt attend to the correction."),
            Setting("spaces", .integer(4, 0...64), "How many spaces the prompt is projected into; 0 for none."),
            Setting("bottleneck", .integer(16, 1...4096), "The width of the fusion's attention and of the spaces."),
            Setting("activation", .choice("gelu", ["gelu", "relu", "tanh"]), "The function inside a space."),
            Setting(
                "gate", .choice("prompt", ["prompt", "row"]), "One gate for the prompt, or one for each of its vectors."
            ),
            Setting(
                "fold", .flag(false), "Keep only what is needed for use when training ends; it cannot go on from there."
            ),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// EPT with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    private func sizes(_ model: TransformerConfiguration) throws -> DecomposedPrompt {
        try DecomposedPrompt(settings, model, for: EPT.card.name) { length, width in
            // A budget always pays for a correction to fuse with.
            modules(length: length, rank: 1, width: width).reduce(0) { $0 + $1.shape.reduce(1, *) }
        }
    }

    /// The tensors of fusion, spaces and gate. Without a prompt there are none; without a correction there is nothing to fuse with,
    /// and a single space needs no gate.
    private func modules(length: Int, rank: Int, width: Int) -> [(name: String, shape: [Int])] {
        guard length > 0 else { return [] }
        let inner = settings.integer("bottleneck")
        let spaces = settings.integer("spaces")
        var all: [(name: String, shape: [Int])] = []
        if settings.flag("fusion"), rank > 0 {
            all += ["query", "key", "value"].map { ("fusion.\($0)", [width, inner]) }
            all.append(("fusion.output", [inner, width]))
        }
        for space in 0..<spaces {
            all.append(("spaces.\(space).down", [width, inner]))
            all.append(("spaces.\(space).up", [inner, width]))
        }
        if spaces > 1 { all += [("gate.weight", [width, spaces]), ("gate.bias", [spaces])] }
        return all
    }

    private func modules(_ sizes: DecomposedPrompt) -> [(name: String, shape: [Int])] {
        modules(length: sizes.length, rank: sizes.rank, width: sizes.width)
    }

    /// All tensors for a model.
    func shapes(_ model: TransformerConfiguration) throws -> [(name: String, shape: [Int])] {
        let sizes = try sizes(model)
        return sizes.shapes + modules(sizes)
    }

    /// One for each vector.
    public var addedPositions: Int { settings.integer("length") }

    /// Refuses sizes that do not fit the model or the budget.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        let sizes = try sizes(model)
        try PromptStart.check(settings, model, for: EPT.card.name)
        let inner = settings.integer("bottleneck")
        guard modules(sizes).isEmpty || inner < sizes.width else {
            throw HoneError(
                .mismatch, "\(inner) is no bottleneck of vectors of width \(sizes.width)", item: "ept bottleneck")
        }
    }

    /// What DePT starts from with the same random numbers, and modules that change nothing yet.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let sizes = try sizes(model.configuration)
        var parameters = try sizes.initialParameters(settings, for: model, random: &random)
        for (name, shape) in modules(sizes) {
            let isZero = name == "fusion.output" || name.hasSuffix(".up") || name.hasPrefix("gate.")
            let bound = 1 / Double(shape[0]).squareRoot()
            let tensor = try isZero ? Tensor.zeros(shape) : random.uniform(shape, low: -bound, high: bound)
            parameters.set(name, try tensor.to(model.transformer.device))
        }
        return parameters
    }

    /// The reconstructed prompt before the input, the correction on its embeddings.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        let correction = try DecomposedPrompt.correction(parameters, alpha: settings.real("alpha"))
        var attachments = Attachments()
        attachments.prompts = try reconstructed(parameters, correction: correction).map { [$0] } ?? []
        attachments.placeVectors = correction.map { [$0] } ?? []
        return attachments
    }

    /// `P̂`; absent where there is no prompt.
    private func reconstructed(_ parameters: ParameterSet, correction: Tensor?) throws -> Tensor? {
        guard let prompt = parameters["prompt"] else { return nil }
        var result = prompt
        if let correction, let output = parameters["fusion.output"] {
            let queries = try prompt.matmul(parameters.tensor("fusion.query"))
            let keys = try correction.matmul(parameters.tensor("fusion.key"))
            let values = try correction.matmul(parameters.tensor("fusion.value"))
            let scores = try queries.matmul(keys.transpose(0, 1)) / Double(output.size(0)).squareRoot()
            result = try result + scores.softmax(-1).matmul(values).matmul(output)
        }
        let gate = try gate(parameters)
        for space in 0..<settings.integer("spaces") {
            guard let down = parameters["spaces.\(space).down"] else { break }
            let inner = try bent(prompt.matmul(down))
            let projected = try inner.matmul(parameters.tensor("spaces.\(space).up"))
            // [1] or [length], beside [length, width].
            result =
                try result + (gate.map { try projected * $0.at(space, dimension: -1).reshaped([-1, 1]) } ?? projected)
        }
        return result
    }

    private func bent(_ tensor: Tensor) throws -> Tensor {
        switch settings.choice("activation") {
        case "relu": try tensor.relu()
        case "tanh": try tensor.tanh()
        default: try tensor.gelu()
        }
    }

    /// The weights of the spaces, `[spaces]` or `[length, spaces]`; they sum to one. Absent where there is no gate.
    func gate(_ parameters: ParameterSet) throws -> Tensor? {
        guard let weight = parameters["gate.weight"], let prompt = parameters["prompt"] else { return nil }
        let seen = try settings.choice("gate") == "row" ? prompt : prompt.mean([0], keepDimensions: true)
        let weights = try (seen.matmul(weight) + parameters.tensor("gate.bias")).softmax(-1)
        return try settings.choice("gate") == "row" ? weights : weights.at(0)
    }

    /// What is needed for use: the reconstructed prompt and the correction, without the tensors that made it.
    public func folded(_ parameters: ParameterSet) throws -> ParameterSet {
        try withoutGradients {
            var kept = ParameterSet()
            let correction = try DecomposedPrompt.correction(parameters, alpha: settings.real("alpha"))
            for parameter in parameters.all where parameter.group != .adapter || parameter.name.hasPrefix("delta_") {
                kept.set(parameter.name, parameter.tensor, group: parameter.group)
            }
            var ordered = ParameterSet()
            if let prompt = try reconstructed(parameters, correction: correction) {
                ordered.set("prompt", try prompt.detached().cloned())
            }
            for parameter in kept.all { ordered.set(parameter.name, parameter.tensor, group: parameter.group) }
            return ordered
        }
    }

    /// The correction has a rate of its own; all else that of the prompt.
    public func rule(for parameter: Parameter) -> TrainingRule { DecomposedPrompt.rule(for: parameter, settings) }

    /// Rows are counted before the first step, and folding comes after the last.
    public var hasStages: Bool { true }

    /// Says how many rows are longer than the correction, and how large a plain prompt would be.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let model = try context.model.part(for: context.task, EPT.self).configuration
        let sizes = try sizes(model)
        let trained = try shapes(model).reduce(0) { $0 + $1.shape.reduce(1, *) }
        try sizes.prepare(settings, context, trained: trained, for: EPT.card.name)
    }

    /// Folds, where the settings say so.
    public func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        if settings.flag("fold") { parameters = try folded(parameters) }
    }

    /// The gate's weights, the reconstructed prompt's nearest words, and the correction's size by place.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        let correction = try DecomposedPrompt.correction(parameters, alpha: settings.real("alpha"))
        var figures = try sizes(model.configuration).figures(
            parameters, prompt: reconstructed(parameters, correction: correction), alpha: settings.real("alpha"),
            of: model)
        if let gate = try withoutGradients({ try gate(parameters)?.detached() }) {
            let byRow = try gate.rank == 1 ? gate.unsqueezed(0) : gate
            let values = try (0..<byRow.size(0)).map { try byRow.at($0).elements(Double.self) }
            figures.append(
                MethodFigure(
                    "Weights of the spaces", note: "What the gate gives each space; a row sums to one.",
                    .map(
                        rows: values.count == 1 ? ["prompt"] : values.indices.map { "vector \($0 + 1)" },
                        columns: (0..<byRow.size(1)).map { "space \($0 + 1)" }, values: values)))
        }
        return figures
    }

    /// Neither part can be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Writes the tensors; where there is no correction, the folded prompt as PEFT's `PROMPT_TUNING` folder.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let own = try parameters["delta_A"] == nil ? folded(parameters) : parameters
        try DecomposedPrompt.write(own, for: model, task: task, to: folder)
    }

    /// Reads what `write` has written, folded or not.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: EPT, parameters: ParameterSet)
    {
        let method = try EPT(folder.settings(card))
        let sizes = try method.sizes(model.configuration)
        return (method, try DecomposedPrompt.read(folder, sizes.shapes, more: method.modules(sizes), for: model))
    }
}
