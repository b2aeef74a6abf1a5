import HoneFormats
import HoneModels
import HoneTorch

/// Low-rank adaptation: `y = x · Wᵀ + b + scale · dropout(x) · Aᵀ · Bᵀ` with `A [rank, inputs]` and `B [outputs, rank]`
/// (Hu et al. 2021, section 4.1). `A` starts uniform in `±1/√inputs`, `B` at zero, so that training starts at the base.
///
/// Weight-decomposed (DoRA), the rows of `W + scale · B · A` have trained lengths: see `WeightDecomposition`.
public struct LoRA: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "lora", title: "Low-rank adaptation (LoRA)",
        summary: "Adds a trained low-rank update to chosen linear maps; the base stays frozen.",
        advice:
            "The first choice when a probe is not enough: near full fine-tuning at a few percent of its parameters. "
            + "Merges into the base at no cost. Not needed where a probe already cannot be beaten.",
        paper: "Hu et al. 2021, arXiv 2106.09685; rank-stabilised scale: Kalajdzievski 2023, arXiv 2312.03732; weight "
            + "decomposition (DoRA): Liu et al. 2024, arXiv 2402.09353; learning rates (LoRA+): Hayou et al. 2024, arXiv 2402.12354",
        peftType: "LORA", training: .gradient, costRank: 4, learningRates: [1e-3, 3e-4, 3e-3],
        settings: [
            Setting("rank", .integer(8, 1...4096), "The rank of the update."),
            Setting("alpha", .real(0, 0...65536), "The update is scaled by alpha / rank; 0 means twice the rank."),
            Setting("dropout", .real(0, 0...0.95), "The rate at which inputs of the update are dropped in training."),
            LinearTargets.targetsSetting, LinearTargets.layersSetting,
            Setting("rank-stabilised", .flag(false), "Scale by alpha / sqrt(rank) instead."),
            Setting(
                "weight-decomposed", .flag(false),
                "Train the lengths of the weights' rows apart from their directions (DoRA). Slower than plain LoRA."),
            Setting(
                "b-rate-factor", .real(1, 0.001...1000),
                "The learning rate of B, and of the rows' lengths, over that of A (LoRA+); its paper has 16."),
        ], isTriedByDefault: true)

    /// The values of the settings.
    public let settings: MethodSettings
    /// Scales that differ from the settings', by site, as an imported adapter may have them.
    let scales: [String: Double]

    /// LoRA with settings.
    public init(_ settings: MethodSettings) {
        self.settings = settings
        scales = [:]
    }

    init(_ settings: MethodSettings, scales: [String: Double]) {
        self.settings = settings
        self.scales = scales
    }

    var alpha: Double {
        let given = settings.real("alpha")
        return given > 0 ? given : 2 * Double(settings.integer("rank"))
    }

    var isDecomposed: Bool { settings.flag("weight-decomposed") }

    private func scale(_ site: String, rank: Int) -> Double {
        scales[site] ?? LoRA.scale(alpha: alpha, rank: rank, stabilised: settings.flag("rank-stabilised"))
    }

    static func scale(alpha: Double, rank: Int, stabilised: Bool) -> Double {
        alpha / (stabilised ? Double(rank).squareRoot() : Double(rank))
    }

    /// The sites that the settings name.
    private func targets(_ configuration: TransformerConfiguration) throws -> [LinearTargets.Target] {
        try LinearTargets.resolve(settings, in: configuration, for: LoRA.card.name)
    }

    /// Refuses a rank above the smallest matrix and maps that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try LinearTargets.check(rank: settings.integer("rank"), targets(model))
    }

    /// `A` uniform, `B` zero, and the lengths of the base's rows.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let rank = settings.integer("rank")
        let device = model.transformer.device
        var parameters = ParameterSet()
        for site in try targets(model.configuration) {
            let bound = 1 / Double(site.inputs).squareRoot()
            let down = try random.uniform([rank, site.inputs], low: -bound, high: bound).to(device)
            let up = try Tensor.zeros([site.outputs, rank], on: device)
            parameters.set(site.path + ".lora_A", down)
            parameters.set(site.path + ".lora_B", up)
            guard isDecomposed, let weight = model.transformer.weights[site.path + ".weight"] else { continue }
            let factors = LowRankFactors(
                path: site.path, down: down, up: up, scale: scale(site.path, rank: rank))
            parameters.set(site.path + ".lora_magnitude", try WeightDecomposition.lengths(of: weight, factors))
        }
        return parameters
    }

    /// `B`, and what is no matrix, with a learning rate of their own (Hayou et al. 2024, section 4.2).
    public func rule(for parameter: Parameter) -> TrainingRule {
        let factor = settings.real("b-rate-factor")
        let isFast = parameter.name.hasSuffix(".lora_B") || parameter.name.hasSuffix(".lora_magnitude")
        return TrainingRule(learningRateFactor: isFast ? factor : 1)
    }

    /// The two factors of every site; none where the change is more than low-rank.
    public func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]? {
        isDecomposed ? nil : try factors(parameters)
    }

    /// The two factors of every site.
    func factors(_ parameters: ParameterSet) throws -> [LowRankFactors] {
        try parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(".lora_A") else { return nil }
            let path = String(parameter.name.dropLast(7))
            return LowRankFactors(
                path: path, down: parameter.tensor, up: try parameters.tensor(path + ".lora_B"),
                scale: scale(path, rank: parameter.tensor.size(0)))
        }
    }

    /// One update a site.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        let rate = settings.real("dropout")
        let factors = try factors(parameters)
        guard isDecomposed else { return factors.attachments(dropoutRate: rate, dropout: dropout) }
        var attachments = Attachments()
        for own in factors {
            guard let weight = model.weights[own.path + ".weight"] else { continue }
            let gain = try WeightDecomposition.gain(
                of: weight, own, lengths: parameters.tensor(own.path + ".lora_magnitude"))
            attachments.linear[own.path] = [
                WeightDecomposition.Attachment(factors: own, gain: gain, dropoutRate: rate, dropout: dropout)
            ]
        }
        return attachments
    }

    /// `W + scale · B · A` for every adapted map, its rows as long as they were trained to be.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        let factors = try factors(parameters)
        guard isDecomposed else { return try factors.mergedWeights(of: model) }
        return try withoutGradients {
            var merged: [String: Tensor] = [:]
            for own in factors {
                let name = own.path + ".weight"
                guard let weight = model.weights[name] else { continue }
                let gain = try WeightDecomposition.gain(
                    of: weight, own, lengths: parameters.tensor(own.path + ".lora_magnitude"))
                merged[name] = try (WeightDecomposition.changed(weight, own) * gain.unsqueezed(1)).to(weight.dtype)
            }
            return merged
        }
    }
}
