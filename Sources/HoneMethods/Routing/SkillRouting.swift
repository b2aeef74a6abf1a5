import HoneFormats
import HoneModels
import HoneTorch

/// Skills shared by all tasks, of which every task mixes its own low-rank update: what Poly (Ponti et al. 2023, arXiv 2202.13914)
/// and its generalisation MHR (Caccia et al. 2023, arXiv 2211.03831) have in common.
///
/// A linear map has `A [heads, skills, inputs / heads, rank]`, `B [heads, skills, rank, outputs / heads]` and routing logits
/// `Z [tasks, heads · skills]`. For a row of task t, `w = σ(Z[t])`, divided by its sum over the skills, head by head; then
/// `y = x · Wᵀ + b + x · Â · B̂ / rank`, where head h's block of `Â` is `Σ_s w[h, s] A[h, s]`, and likewise of `B̂`. Poly has one head.
public protocol SkillRouting: TaskRoutingMethod, LowRankMethod {
    /// Skills with settings, for rows of some tasks.
    init(_ settings: MethodSettings, tasks: [String])

    /// Into how many blocks inputs and outputs are cut.
    var heads: Int { get }
}

/// Names of tensors: a site's path and one of these.
enum SkillTensor {
    static let down = ".poly_lora_A"
    static let up = ".poly_lora_B"
    static let router = ".poly_router"
}

extension SkillRouting {
    /// The settings that all of them have.
    static var sharedSettings: [Setting] {
        [
            LinearTargets.targetsSetting, LinearTargets.layersSetting,
            Setting("rank", .integer(4, 1...4096), "The rank of a skill."),
            Setting("skills", .integer(8, 1...1024), "How many skills there are to mix."),
            Setting(
                "tune", .choice("all", ["all", "z", "mu"]),
                "What is trained from an inventory on (--init-adapter): skills and routing, the routing alone (z), or the mean of "
                    + "the skills as one low-rank update (mu)."),
            Setting(
                "routing-rate", .real(100, 0...1e6),
                "The learning rate of the routing, as a multiple of the learning rate."),
            Setting(
                "sampling", .flag(false), "Draw relaxed Bernoulli variables in training instead of taking the weights."),
            Setting(
                "initialisation", .choice("authors", ["authors", "peft"]),
                "The spread of the skills' first factors: after the whole input, or after a head's block of it."),
        ]
    }

    /// Skills with settings, for rows of one task.
    public init(_ settings: MethodSettings) { self.init(settings, tasks: []) }

    /// For as many tasks as there are names.
    public func routing(among tasks: [String]) -> Self { Self(settings, tasks: tasks) }

    var rank: Int { settings.integer("rank") }
    var skills: Int { settings.integer("skills") }

    /// Whether the skills stay as an inventory has them.
    var keepsSkills: Bool { settings.choice("tune") == "z" }

    /// Refuses heads that do not divide a map's widths, and a rank above the smallest matrix.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        let targets = try LinearTargets.resolve(settings, in: model, for: name)
        try LinearTargets.check(rank: rank, targets)
        for site in targets {
            guard site.inputs % heads == 0, site.outputs % heads == 0 else {
                throw HoneError(
                    .mismatch, "\(heads) splits do not divide the \(site.outputs) x \(site.inputs) matrix",
                    item: site.path)
            }
        }
    }

    /// `A` uniform, `B` zero, routing nearly uniform.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        guard settings.choice("tune") == "all" else {
            throw HoneError(
                .usage,
                "`tune=\(settings.choice("tune"))` goes on from an inventory of skills: name its folder with --init-adapter",
                item: name)
        }
        var parameters = ParameterSet()
        let device = model.transformer.device
        for site in try LinearTargets.resolve(settings, in: model.configuration, for: name) {
            let width = settings.choice("initialisation") == "peft" ? site.inputs / heads : site.inputs
            // The gain of a leaky rectifier of slope √5 is 1/√3; PEFT's bound, and that of a linear layer, has √3 times as much.
            let bound =
                (settings.choice("initialisation") == "peft" ? 1 : 1 / 3.0.squareRoot()) / Double(width).squareRoot()
            let down = try random.uniform([heads, skills, site.inputs / heads, rank], low: -bound, high: bound)
            parameters.set(site.path + SkillTensor.down, try down.to(device))
            parameters.set(
                site.path + SkillTensor.up, try Tensor.zeros([heads, skills, rank, site.outputs / heads], on: device))
            parameters.set(site.path + SkillTensor.router, try router(tasks: taskCount, &random).to(device))
        }
        return parameters
    }

    /// Logits of tasks about which nothing is known: their weights are nearly the same for all skills.
    func router(tasks: Int, _ random: inout RandomStream) throws -> Tensor {
        try random.uniform([tasks, heads * skills], low: -1e-3, high: 1e-3)
    }

    /// The routing learns at a rate of its own.
    public func rule(for parameter: Parameter) -> TrainingRule {
        var rule = TrainingRule()
        if parameter.name.hasSuffix(SkillTensor.router) { rule.learningRateFactor = settings.real("routing-rate") }
        return rule
    }

    /// Nothing is dropped.
    public var dropoutRate: Double { 0 }

    /// Each row's own task's updates.
    public func attachments(
        _ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?, rows: [EncodedExample]
    ) throws -> Attachments {
        var groups: [(task: Int, rowCount: Int)] = []
        let draws = dropout != nil && settings.flag("sampling")
        for row in rows {
            let task = try task(of: row)
            // Every row has a draw of its own.
            if let last = groups.last, last.task == task, !draws {
                groups[groups.count - 1].rowCount += 1
            } else {
                groups.append((task, 1))
            }
        }
        let attachments = try attachments(parameters, mixing: groups, dropout: draws ? dropout : nil)
        guard groups.count > 1 else { return attachments.first ?? Attachments() }
        return try .byRows(zip(groups, attachments).map { ($0.rowCount, $1) })
    }

    /// What groups of rows have attached.
    private func attachments(
        _ parameters: ParameterSet, mixing groups: [(task: Int, rowCount: Int)], dropout: DropoutSource?
    ) throws -> [Attachments] {
        var all = groups.map { _ in Attachments() }
        guard !groups.isEmpty else { return all }
        // Without draws, groups of one task have the same update.
        var places: [Int: Int] = [:]
        var mixed: [Int] = []
        let placeOfGroup = groups.map { group in
            if dropout == nil, let place = places[group.task] { return place }
            places[group.task] = mixed.count
            mixed.append(group.task)
            return mixed.count - 1
        }
        for site in try SkillSite.all(parameters) {
            let uniform = try dropout?.uniform([mixed.count, site.router.size(1)]).to(site.router.device)
            let logits = try site.router.selecting(Tensor(mixed, on: site.router.device))
            let update = try site.inventory.mixed(RoutingWeights.weights(logits, heads: heads, uniform: uniform))
            let downs = try update.down.unbound(0)
            let ups = try update.up.unbound(0)
            for (group, place) in placeOfGroup.enumerated() {
                let factors = LowRankFactors(path: site.path, down: downs[place], up: ups[place], scale: scale)
                all[group].linear[site.path] = [
                    LowRankAttachment(factors: factors, dropoutRate: 0, dropout: nil)
                ]
            }
        }
        return all
    }

    /// `alpha` is 1.
    var scale: Double { 1 / Double(rank) }

    /// The rows of one task in every router.
    public func narrowed(_ parameters: ParameterSet, to task: Int) throws -> ParameterSet {
        let task = try checked(task)
        var alone = ParameterSet()
        for parameter in parameters.all {
            let isRouter = parameter.name.hasSuffix(SkillTensor.router)
            let tensor = isRouter ? try parameter.tensor.narrowed(0, from: task, length: 1) : parameter.tensor
            alone.set(parameter.name, tensor, group: parameter.group)
        }
        return alone
    }

    /// All but the routing.
    public func isShared(_ parameter: Parameter) -> Bool { !parameter.name.hasSuffix(SkillTensor.router) }

    /// The update of each site for the only task.
    public func lowRankFactors(_ parameters: ParameterSet) throws -> [LowRankFactors]? {
        try checkIsOneTask()
        return try SkillSite.all(parameters).map { site in
            let update = try site.inventory.mixed(RoutingWeights.weights(site.router, heads: heads))
            return try LowRankFactors(path: site.path, down: update.down.at(0), up: update.up.at(0), scale: scale)
        }
    }
}

/// The tensors of one adapted map.
struct SkillSite {
    var path: String
    var inventory: SkillInventory
    /// `[tasks, heads · skills]`
    var router: Tensor

    /// The sites of a parameter set, in its order.
    static func all(_ parameters: ParameterSet) throws -> [SkillSite] {
        try parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(SkillTensor.down) else { return nil }
            let path = String(parameter.name.dropLast(SkillTensor.down.count))
            return SkillSite(
                path: path,
                inventory: SkillInventory(down: parameter.tensor, up: try parameters.tensor(path + SkillTensor.up)),
                router: try parameters.tensor(path + SkillTensor.router))
        }
    }
}
