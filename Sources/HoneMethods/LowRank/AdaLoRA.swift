import HoneFormats
import HoneModels
import HoneTorch

/// Low-rank adaptation whose rank is allotted in training: `ΔW = B · diag(E) · A · α / initial rank`, where of all maps' triplets
/// `(B column, E entry, A row)` the least important are switched off until a budget is met (Zhang et al. 2023, section 3).
///
/// `A [rank, inputs]` and `B [outputs, rank]` start at noise, `E [rank, 1]` at zero, so that training starts at the base. What PEFT
/// computes is computed here: the scale, the penalty, the scores and the schedule are its.
public struct AdaLoRA: LowRankMethod {
    /// What it is.
    public static let card = MethodCard(
        name: "adalora", title: "Adaptive low-rank adaptation (AdaLoRA)",
        summary: "Starts every low-rank update with a high rank and takes ranks away where they matter least.",
        advice:
            "Where a small total rank has to go a long way and it is not known which maps need it. Needs enough steps to find out, "
            + "and some more memory than LoRA in training; LoRA is simpler and quicker where rank is plentiful.",
        paper: "Zhang et al. 2023, arXiv 2303.10512", peftType: "ADALORA", training: .gradient, costRank: 5,
        learningRates: [3e-3, 1e-3, 1e-2],
        settings: [
            Setting("initial-rank", .integer(12, 1...4096), "The rank that every update starts with."),
            Setting("target-rank", .integer(8, 1...4096), "The mean rank of the updates that is left at the end."),
            Setting(
                "alpha", .real(0, 0...65536),
                "The update is scaled by alpha / initial rank; 0 means twice the initial rank."),
            Setting("dropout", .real(0, 0...0.95), "The rate at which inputs of the update are dropped in training."),
            LinearTargets.targetsSetting, LinearTargets.layersSetting,
            Setting(
                "initial-steps", .real(0.1, 0...1e9),
                "In so many steps at the beginning nothing is taken away; below 1, a share of the run."),
            Setting(
                "final-steps", .real(0.3, 0...1e9),
                "In so many steps at the end the ranks stay as they are; below 1, a share of the run."),
            Setting("interval", .integer(1, 1...1_000_000), "Ranks are allotted anew after so many steps."),
            Setting("sensitivity-decay", .real(0.85, 0.001...0.999), "The decay of the sensitivity's running mean."),
            Setting("uncertainty-decay", .real(0.85, 0.001...0.999), "The decay of the uncertainty's running mean."),
            Setting(
                "orthogonality", .real(0.1, 0...1000), "The weight of the term that keeps triplets apart; 0 for none."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// AdaLoRA with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    var initialRank: Int { settings.integer("initial-rank") }

    var alpha: Double {
        let given = settings.real("alpha")
        return given > 0 ? given : 2 * Double(initialRank)
    }

    /// PEFT divides by the initial rank plus a little, whatever is left of it.
    private var scale: Double { alpha / (Double(initialRank) + 1e-5) }

    private func targets(_ model: TransformerConfiguration) throws -> [LinearTargets.Target] {
        try LinearTargets.resolve(settings, in: model, for: AdaLoRA.card.name)
    }

    /// Refuses a rank above the smallest matrix, a budget above what there is to begin with, and maps that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try LinearTargets.check(rank: initialRank, targets(model))
        let target = settings.integer("target-rank")
        guard target <= initialRank else {
            throw HoneError(
                .mismatch, "is above the initial rank of \(initialRank): ranks are only taken away",
                item: "adalora target-rank")
        }
    }

    /// `A` and `B` normal with a standard deviation of 0.02, `E` zero.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let device = model.transformer.device
        var parameters = ParameterSet()
        for target in try targets(model.configuration) {
            let down = try random.normal([initialRank, target.inputs], standardDeviation: 0.02)
            let up = try random.normal([target.outputs, initialRank], standardDeviation: 0.02)
            parameters.set(target.path + ".lora_A", try down.to(device))
            parameters.set(target.path + ".lora_B", try up.to(device))
            parameters.set(target.path + ".lora_E", try Tensor.zeros([initialRank, 1], on: device))
        }
        return parameters
    }

    /// The triplets of one map: `down [rank, inputs]`, `up [outputs, rank]`, `values [rank, 1]`.
    struct Triplets {
        var path: String
        var down: Tensor
        var up: Tensor
        var values: Tensor

        /// A part of the triplets.
        func selecting(_ places: [Int]) throws -> Triplets {
            let places = try Tensor(places, on: down.device)
            return Triplets(
                path: path, down: try down.selecting(places), up: try up.selecting(places, dimension: 1),
                values: try values.selecting(places))
        }
    }

    /// The triplets of a set, map by map.
    static func triplets(_ parameters: ParameterSet) throws -> [Triplets] {
        try parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(".lora_A") else { return nil }
            let path = String(parameter.name.dropLast(7))
            return Triplets(
                path: path, down: parameter.tensor, up: try parameters.tensor(path + ".lora_B"),
                values: try parameters.tensor(path + ".lora_E"))
        }
    }

    /// The values folded into the first factor, so that what is left is a plain low-rank update.
    public func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]? {
        try AdaLoRA.triplets(parameters).map {
            LowRankFactors(path: $0.path, down: try $0.down * $0.values, up: $0.up, scale: scale)
        }
    }

    /// What keeps the singular vectors orthogonal.
    public func penalty(_ parameters: ParameterSet) throws -> Tensor? {
        try Orthogonality.penalty(
            AdaLoRA.triplets(parameters).map { ($0.down, $0.up) }, weight: settings.real("orthogonality"))
    }

    /// How many triplets every map has kept.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        let ranks = try AdaLoRA.triplets(AdaLoRA.pruned(parameters)).map { (path: $0.path, rank: $0.values.size(0)) }
        let (total, first) = (ranks.reduce(0) { $0 + $1.rank }, initialRank * ranks.count)
        return [
            RankFigures.map(
                "Rank of every map",
                note:
                    "\(total) of \(first) triplets are left; the budget is \(settings.integer("target-rank") * ranks.count).",
                ranks: ranks)
        ]
    }
}
