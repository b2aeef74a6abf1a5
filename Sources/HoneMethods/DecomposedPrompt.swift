import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// A short prompt with a low-rank correction of the input's embeddings, as DePT has them (Shi and Lipani 2024, section 2.3): the
/// sizes that settings and model give, and the tensors.
///
/// The input is `[P ; E(x) + c · (A · B)[0 ..< T]]` with `P [length, width]`, `A [places, rank]`, `B [rank, width]` and
/// `c = alpha / √rank`. Row `i` of `A · B` belongs to the input's `i`th token: neither the prompt nor padding is counted.
struct DecomposedPrompt {
    static let settings =
        [
            Setting("length", .integer(40, 0...1024), "How many vectors stand before the input; 0 for none."),
            Setting("rank", .integer(45, 0...4096), "The rank of the correction; 0 for none, which is prompt tuning."),
            Setting(
                "places", .integer(256, 1...65536),
                "How many tokens of an input the correction reaches; later ones are left as they are, and counted."),
            Setting("alpha", .real(8, 1e-6...65536), "The correction is scaled by alpha / sqrt(rank)."),
            Setting(
                "budget", .integer(0, 0...65536),
                "Train as many numbers as a plain prompt of this length has, at most: the rank is solved for; 0 leaves it as it is."
            ),
            Setting(
                "low-rank-rate", .real(0.01, 1e-6...1e3), "The correction's learning rate over that of the prompt."),
            Setting(
                "strict", .flag(false),
                "Refuse training rows of more tokens than the correction reaches, in place of counting them."),
        ] + PromptStart.settings

    /// How many vectors stand before the input.
    let length: Int
    /// The rank of the correction.
    let rank: Int
    /// How many tokens it reaches.
    let places: Int
    /// The length of a vector.
    let width: Int

    /// The sizes for a model.
    ///
    /// - Parameter more: how many numbers the method trains besides, which a budget has to pay for too.
    /// - Throws: `HoneError` with code `.mismatch` where the sizes do not fit the model or the budget.
    init(
        _ settings: MethodSettings, _ model: TransformerConfiguration, for method: String,
        more: (_ length: Int, _ width: Int) -> Int = { _, _ in 0 }
    ) throws {
        length = settings.integer("length")
        places = settings.integer("places")
        width = model.tokenWidth
        let budget = settings.integer("budget")
        if budget > 0 {
            let left = (budget - length) * width - more(length, width)
            rank = left / (places + width)
            guard left > 0, rank > 0 else {
                throw HoneError(
                    .mismatch,
                    "that of a prompt of \(budget) vectors of width \(width) pays for no correction of rank 1 of \(places) "
                        + "places beside what else is trained", item: "\(method) budget")
            }
        } else {
            rank = settings.integer("rank")
        }
        guard length + rank > 0 else {
            throw HoneError(.mismatch, "neither a prompt nor a correction is left to train", item: "\(method) length")
        }
        guard rank <= min(places, width) else {
            throw HoneError(
                .mismatch, "rank \(rank) is above the \(places) x \(width) matrix", item: "\(method) rank")
        }
        // Before the patches of an image, prompts take no positions.
        guard
            model.patches != nil || model.positions == .none || length + (rank > 0 ? places : 1) <= model.maximumLength
        else {
            throw HoneError(
                .mismatch,
                "\(length) vectors and \(places) places are more than the model's \(model.maximumLength) positions",
                item: "\(method) places")
        }
    }

    /// The tensors by name.
    var shapes: [(name: String, shape: [Int])] {
        (length > 0 ? [("prompt", [length, width])] : [])
            + (rank > 0 ? [("delta_A", [places, rank]), ("delta_B", [rank, width])] : [])
    }

    /// The prompt as settings say, `A` uniform in `±1/√rank` and `B` zero.
    func initialParameters(_ settings: MethodSettings, for model: BaseModel, random: inout RandomStream) throws
        -> ParameterSet
    {
        let device = model.transformer.device
        var parameters = ParameterSet()
        if length > 0 {
            parameters.set("prompt", try PromptStart.vectors(length, settings, for: model, random: &random))
        }
        if rank > 0 {
            let bound = 1 / Double(rank).squareRoot()
            parameters.set("delta_A", try random.uniform([places, rank], low: -bound, high: bound).to(device))
            parameters.set("delta_B", try Tensor.zeros([rank, width], on: device))
        }
        return parameters
    }

    /// What is added to the input's embeddings, `[places, width]`; absent where the rank is 0.
    static func correction(_ parameters: ParameterSet, alpha: Double) throws -> Tensor? {
        guard let outer = parameters["delta_A"] else { return nil }
        return try outer.matmul(parameters.tensor("delta_B")) * (alpha / Double(outer.size(1)).squareRoot())
    }

    /// The rate of the correction's factors.
    static func rule(for parameter: Parameter, _ settings: MethodSettings) -> TrainingRule {
        parameter.name.hasPrefix("delta_")
            ? TrainingRule(learningRateFactor: settings.real("low-rank-rate")) : TrainingRule()
    }

    /// Says, or refuses, how many training rows are longer than what the correction reaches, and how large a plain prompt would be.
    func prepare(_ settings: MethodSettings, _ context: TrainingContext, trained: Int, for method: String) throws {
        let longer = context.rows.count { $0.ids.count > places }
        if rank > 0, longer > 0 {
            let sentence =
                "\(longer) of \(context.rows.count) training rows have more tokens than the \(places) places of the correction"
            guard !settings.flag("strict") else { throw HoneError(.badData, sentence, item: "\(method) places") }
            try context.note(sentence + "; the later tokens are left as they are")
        }
        try context.note(equivalent(trained))
    }

    /// The length of a plain prompt with as many numbers, in a sentence.
    func equivalent(_ trained: Int) -> String {
        "\(trained) numbers are trained, as many as a plain prompt of \(PromptStart.rounded(Double(trained) / Double(width))) "
            + "vectors has"
    }

    /// Reads tensors that Hone wrote, or a prompt that stands alone in PEFT's format.
    ///
    /// - Parameter more: what else the method has trained, where the file has any of it.
    static func read(
        _ folder: AdapterFolderReader, _ own: [(name: String, shape: [Int])], more: [(name: String, shape: [Int])] = [],
        for model: BaseModel
    ) throws -> ParameterSet {
        let device = model.transformer.device
        guard folder.isPEFT else {
            let holdsMore = more.contains { folder.tensorNames.contains($0.name) }
            return try folder.parameters(holdsMore ? own + more : own, on: device)
        }
        _ = try folder.peftConfiguration("PROMPT_TUNING")
        let length = own.first?.shape ?? []
        let found = try folder.parameters([("prompt_embeddings", length)], on: device)
        var parameters = ParameterSet()
        parameters.set("prompt", try found.tensor("prompt_embeddings"))
        return parameters
    }

    /// Writes tensors; a prompt alone in PEFT's format, which has nothing for a correction.
    static func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        guard parameters["delta_A"] == nil, let prompt = parameters["prompt"] else {
            return try folder.write(parameters)
        }
        try PromptTuning.write(prompt, for: model, task: task, to: folder)
    }

    /// The prompt's nearest words, and how large the correction is at each place.
    func figures(_ parameters: ParameterSet, prompt: Tensor?, alpha: Double, of model: BaseModel) throws
        -> [MethodFigure]
    {
        var figures = [
            MethodFigure(
                "Size",
                .sentences([equivalent(parameters.all.reduce(0) { $0 + ($1.group == .adapter ? $1.tensor.count : 0) })])
            )
        ]
        if let prompt, let nearest = try PromptStart.nearest(prompt, in: model) { figures.append(nearest) }
        if let correction = try withoutGradients({ try DecomposedPrompt.correction(parameters, alpha: alpha) }) {
            let lengths = try correction.detached().norm([1]).elements(Double.self)
            figures.append(
                MethodFigure(
                    "Correction by place",
                    note: "The length of what is added to the embedding of the input's token at a place.",
                    .curves(
                        [.init(name: "length", points: lengths.enumerated().map { (Double($0.offset), $0.element) })],
                        horizontal: "place", vertical: "length")))
        }
        return figures
    }
}
