import HoneFormats
import HoneModels
import HoneTorch

/// Low-rank adaptation that starts at a small rank everywhere and grows where the update changes most (Liang et al. 2025, arXiv
/// 2501.08008): `ΔW = B · (L + U) · A · α / (rank + 1e-5)`.
///
/// `L` and `U [rank, rank]` are a lower and an upper triangle of blocks. A growth step adds a block of rows to `A`, of columns to
/// `B`, a block row to `L` and a block column to `U`; what is trained already stays the same tensor. Every block is a parameter of its
/// own: `lora_A.k [increment, inputs]`, `lora_B.k [outputs, increment]`, `lora_L.k [increment, rank so far]`, `lora_U.k [rank so far,
/// increment]`.
public struct TriAdaptLoRA: LowRankMethod {
    /// What it is.
    public static let card = MethodCard(
        name: "triadaptlora", title: "Triangular adaptive low-rank adaptation (TriAdaptLoRA)",
        summary: "Starts low-rank updates at rank 1 and lets those grow that change most, until a total rank is spent.",
        advice:
            "Where a total rank is to be spent where it helps and no gradients' statistics can be afforded; grows what AdaLoRA prunes. "
            + "LoRA is simpler where every map may have the same rank.",
        paper: "Liang et al. 2025, arXiv 2501.08008", training: .gradient, costRank: 5,
        learningRates: [1e-3, 3e-4, 3e-3],
        settings: [
            Setting("reference-rank", .integer(8, 1...4096), "The mean rank of the updates that growth stops at."),
            Setting("initial-rank", .integer(1, 1...4096), "The rank that every update starts with."),
            Setting(
                "increment", .integer(0, 0...4096),
                "By how much a map's rank grows at once; 0 for half the reference rank."),
            Setting(
                "growth", .choice("linear", ["linear", "nonlinear", "fixed"]),
                "How many maps grow at once: a share of the rest of the budget that rises with the steps, the rest to the power of "
                    + "that share, or always `top`."),
            Setting("top", .integer(1, 1...65536), "How many maps grow at once where growth is fixed."),
            Setting(
                "interval", .integer(0, 0...1_000_000), "Maps grow after so many steps; 0 for a twentieth of the run."),
            Setting(
                "growth-warmup", .integer(0, 0...1_000_000_000), "Nothing grows in so many steps at the beginning."),
            Setting(
                "alpha", .real(0, 0...65536), "The update is scaled by alpha / rank; 0 means twice the reference rank."),
            Setting("dropout", .real(0, 0...0.95), "The rate at which inputs of the update are dropped in training."),
            LinearTargets.targetsSetting, LinearTargets.layersSetting,
            Setting(
                "orthogonality", .real(0.1, 0...1000), "The weight of the term that keeps ranks apart; 0 for none."),
            Setting("growth-weight-decay", .real(0, 0...1), "The weight decay of what grows."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// TriAdaptLoRA with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    private var alpha: Double {
        let given = settings.real("alpha")
        return given > 0 ? given : 2 * Double(settings.integer("reference-rank"))
    }

    /// By how much a map grows at once.
    var increment: Int {
        let given = settings.integer("increment")
        return given > 0 ? given : settings.integer("reference-rank") / 2
    }

    func targets(_ model: TransformerConfiguration) throws -> [LinearTargets.Target] {
        try LinearTargets.resolve(settings, in: model, for: TriAdaptLoRA.card.name)
    }

    /// Refuses ranks that do not fit each other or the smallest matrix, and maps that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        let (reference, initial) = (settings.integer("reference-rank"), settings.integer("initial-rank"))
        try LinearTargets.check(rank: reference, targets(model))
        guard initial <= reference else {
            throw HoneError(
                .mismatch, "is above the reference rank of \(reference): ranks only grow",
                item: "triadaptlora initial-rank")
        }
        guard settings.integer("increment") > 0 || reference == initial || reference.isMultiple(of: 2) else {
            throw HoneError(
                .mismatch, "has to be given: half the reference rank of \(reference) is no whole number",
                item: "triadaptlora increment")
        }
    }

    /// The first block of every map: `A`, `L` and `U` normal with a standard deviation of 0.02, `B` zero.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let device = model.transformer.device
        let rank = settings.integer("initial-rank")
        var maps: [Map] = []
        for target in try targets(model.configuration) {
            var map = Map(path: target.path)
            map.downs = [try random.normal([rank, target.inputs], standardDeviation: 0.02).to(device)]
            map.ups = [try Tensor.zeros([target.outputs, rank], on: device)]
            map.lowers = [try random.normal([rank, rank], standardDeviation: 0.02).to(device)]
            map.uppers = [try random.normal([rank, rank], standardDeviation: 0.02).to(device)]
            maps.append(map)
        }
        var parameters = ParameterSet()
        try TriAdaptLoRA.set(maps, History(norms: norms(of: maps)), in: &parameters)
        return parameters
    }

    /// The lower and the upper triangle together, `[rank, rank]`.
    static func mixing(_ map: Map) throws -> Tensor {
        let rank = map.rank
        guard map.blockCount > 1 else { return try map.lowers[0] + map.uppers[0] }
        let rows = try map.lowers.map { try padded($0, to: rank, dimension: 1) }
        let columns = try map.uppers.map { try padded($0, to: rank, dimension: 0) }
        return try Tensor.concatenated(rows) + Tensor.concatenated(columns, dimension: 1)
    }

    private static func padded(_ block: Tensor, to length: Int, dimension: Int) throws -> Tensor {
        let missing = length - block.size(dimension)
        guard missing > 0 else { return block }
        var shape = block.shape
        shape[dimension] = missing
        return try Tensor.concatenated([block, Tensor.zeros(shape, on: block.device)], dimension: dimension)
    }

    /// The triangles folded into the smaller factor, so that what is left is a plain low-rank update.
    public func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]? {
        try TriAdaptLoRA.maps(parameters).map { map in
            let (down, up, mixing) = try (map.down, map.up, TriAdaptLoRA.mixing(map))
            let foldsDown = down.size(1) <= up.size(0)
            return LowRankFactors(
                path: map.path, down: foldsDown ? try mixing.matmul(down) : down,
                up: foldsDown ? up : try up.matmul(mixing), scale: alpha / (Double(map.rank) + 1e-5))
        }
    }

    /// What keeps the rows of `A`, and the columns of `B`, orthogonal.
    public func penalty(_ parameters: ParameterSet) throws -> Tensor? {
        try Orthogonality.penalty(
            TriAdaptLoRA.maps(parameters).map { (try $0.down, try $0.up) }, weight: settings.real("orthogonality"))
    }

    /// What has grown has a weight decay of its own.
    public func rule(for parameter: Parameter) -> TrainingRule {
        guard parameter.group == .adapter, let block = parameter.name.split(separator: ".").last, block != "0" else {
            return TrainingRule()
        }
        return TrainingRule(weightDecay: settings.real("growth-weight-decay"))
    }
}

extension TriAdaptLoRA {
    /// The blocks of one map, the oldest first.
    struct Map {
        var path: String
        /// `[block rank, inputs]`
        var downs: [Tensor] = []
        /// `[outputs, block rank]`
        var ups: [Tensor] = []
        /// `[block rank, rank so far]`
        var lowers: [Tensor] = []
        /// `[rank so far, block rank]`
        var uppers: [Tensor] = []

        var blockCount: Int { downs.count }
        var rank: Int { downs.reduce(0) { $0 + $1.size(0) } }
        /// `A [rank, inputs]`
        var down: Tensor {
            get throws { downs.count == 1 ? downs[0] : try Tensor.concatenated(downs) }
        }
        /// `B [outputs, rank]`
        var up: Tensor {
            get throws { ups.count == 1 ? ups[0] : try Tensor.concatenated(ups, dimension: 1) }
        }

        init(path: String) { self.path = path }
    }

    /// The parts of a block, by the names that they have.
    static let parts: [(name: String, place: any WritableKeyPath<Map, [Tensor]> & Sendable)] = [
        (".lora_A", \.downs), (".lora_B", \.ups), (".lora_L", \.lowers), (".lora_U", \.uppers),
    ]

    /// The maps of a set with their blocks.
    static func maps(_ parameters: ParameterSet) throws -> [Map] {
        try parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(".lora_A.0") else { return nil }
            var map = Map(path: String(parameter.name.dropLast(9)))
            while parameters["\(map.path).lora_A.\(map.blockCount)"] != nil {
                let block = map.blockCount
                for part in parts {
                    map[keyPath: part.place].append(try parameters.tensor("\(map.path)\(part.name).\(block)"))
                }
            }
            return map
        }
    }

    /// Makes a set that holds maps and their history in the order of the forward pass, and besides them what it held of the head.
    static func set(_ maps: [Map], _ history: History, in parameters: inout ParameterSet) throws {
        let head = parameters.all.filter { $0.group == .head }
        parameters = ParameterSet()
        for map in maps {
            for part in parts {
                for (block, tensor) in map[keyPath: part.place].enumerated() {
                    parameters.set("\(map.path)\(part.name).\(block)", tensor)
                }
            }
        }
        for (name, tensor) in try history.tensors { parameters.set(name, tensor, group: .state) }
        for parameter in head { parameters.set(parameter.name, parameter.tensor, group: .head) }
    }
}
