import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// Low-rank adaptation: `y = x · Wᵀ + b + scale · dropout(x) · Aᵀ · Bᵀ` with `A [rank, inputs]` and `B [outputs, rank]`
/// (Hu et al. 2021, section 4.1). `A` starts uniform in `±1/√inputs`, `B` at zero, so that training starts at the base.
public struct LoRA: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "lora", title: "Low-rank adaptation (LoRA)",
        summary: "Adds a trained low-rank update to chosen linear maps; the base stays frozen.",
        advice:
            "The first choice when a probe is not enough: near full fine-tuning at a few percent of its parameters. "
            + "Merges into the base at no cost. Not needed where a probe already cannot be beaten.",
        paper: "Hu et al. 2021, arXiv 2106.09685; rank-stabilised scale: Kalajdzievski 2023, arXiv 2312.03732",
        peftType: "LORA", training: .gradient, costRank: 4, learningRates: [1e-3, 3e-4, 3e-3],
        settings: [
            Setting("rank", .integer(8, 1...4096), "The rank of the update."),
            Setting("alpha", .real(0, 0...65536), "The update is scaled by alpha / rank; 0 means twice the rank."),
            Setting("dropout", .real(0, 0...0.95), "The rate at which inputs of the update are dropped in training."),
            LinearTargets.targetsSetting, LinearTargets.layersSetting,
            Setting("rank-stabilised", .flag(false), "Scale by alpha / sqrt(rank) instead."),
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

    private var alpha: Double {
        let given = settings.real("alpha")
        return given > 0 ? given : 2 * Double(settings.integer("rank"))
    }

    private func scale(_ site: String, rank: Int) -> Double {
        scales[site] ?? LoRA.scale(alpha: alpha, rank: rank, stabilised: settings.flag("rank-stabilised"))
    }

    private static func scale(alpha: Double, rank: Int, stabilised: Bool) -> Double {
        alpha / (stabilised ? Double(rank).squareRoot() : Double(rank))
    }

    /// The sites that the settings name.
    private func targets(_ configuration: TransformerConfiguration) throws -> [LinearTargets.Target] {
        try LinearTargets.resolve(settings, in: configuration, for: LoRA.card.name)
    }

    /// The alpha of a module: the first override whose pattern is the module's name or its tail, as PEFT matches them.
    private static func alpha(of module: String, _ configuration: LoRAConfiguration) -> Double {
        let override = configuration.alphaOverrides.first { override in
            if LinearTargets.matches(module, override.pattern) { return true }
            guard let pattern = try? Regex("(.*\\.)?(" + override.pattern + ")") else { return false }
            return (try? pattern.wholeMatch(in: module)) != nil
        }
        return override?.value ?? configuration.alpha
    }

    /// Refuses a rank above the smallest matrix and maps that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        try LinearTargets.check(rank: settings.integer("rank"), targets(model))
    }

    /// `A` uniform, `B` zero.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let rank = settings.integer("rank")
        let device = model.transformer.device
        var parameters = ParameterSet()
        for site in try targets(model.configuration) {
            let bound = 1 / Double(site.inputs).squareRoot()
            let down = try random.uniform([rank, site.inputs], low: -bound, high: bound)
            parameters.set(site.path + ".lora_A", try down.to(device))
            parameters.set(site.path + ".lora_B", try Tensor.zeros([site.outputs, rank], on: device))
        }
        return parameters
    }

    /// One update a site.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        for site in try LoRA.sites(parameters) {
            attachments.linear[site.path] = [
                Update(
                    down: site.down, up: site.up,
                    scale: scale(site.path, rank: site.down.size(0)), dropoutRate: settings.real("dropout"),
                    dropout: dropout)
            ]
        }
        return attachments
    }

    /// `W + scale · B · A` for every adapted map.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try withoutGradients {
            var merged: [String: Tensor] = [:]
            for site in try LoRA.sites(parameters) {
                guard let weight = model.weights[site.path + ".weight"] else { continue }
                let update = try site.up.matmul(site.down) * scale(site.path, rank: site.down.size(0))
                merged[site.path + ".weight"] = try (weight.to(.float32) + update).to(weight.dtype)
            }
            return merged
        }
    }

    /// The pairs of a set, by site.
    static func sites(_ parameters: ParameterSet) throws -> [(path: String, down: Tensor, up: Tensor)] {
        try parameters.all.compactMap { parameter in
            guard parameter.name.hasSuffix(".lora_A") else { return nil }
            let path = String(parameter.name.dropLast(7))
            return (path, parameter.tensor, try parameters.tensor(path + ".lora_B"))
        }
    }

    private struct Update: LinearAttachment {
        let down: Tensor
        let up: Tensor
        let scale: Double
        let dropoutRate: Double
        let dropout: DropoutSource?

        func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
            let kept = try dropout?.apply(rate: dropoutRate, to: input) ?? input
            return try output.adding(
                product: kept.linear(down.to(input.dtype)), with: up.to(input.dtype), scale: scale)
        }

        var actsOnTokens: Bool { true }

        var isDeterministic: Bool { dropout == nil || dropoutRate == 0 }

        var lowRankUpdate: (down: Tensor, up: Tensor, scale: Double)? {
            dropout != nil && dropoutRate > 0 ? nil : (down, up, scale)
        }
    }
}

extension LoRA {
    /// Writes PEFT's `LORA` folder: modules by their full names, so that nothing else matches.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = Dictionary(
            uniqueKeysWithValues: model.family.modules(model.configuration).map { ($0.site, $0.module) })
        var tensors: [(name: String, tensor: Tensor)] = []
        var ranks: [LoRAConfiguration.Override<Int>] = []
        var alphas: [LoRAConfiguration.Override<Double>] = []
        let stabilised = settings.flag("rank-stabilised")
        let usualRank = settings.integer("rank")
        for site in try LoRA.sites(parameters) {
            guard let module = modules[site.path] else { continue }
            let rank = site.down.size(0)
            tensors.append(("base_model.model.\(module).lora_A.weight", site.down))
            tensors.append(("base_model.model.\(module).lora_B.weight", site.up))
            if rank != usualRank { ranks.append(.init(pattern: module, value: rank)) }
            let siteAlpha = scale(site.path, rank: rank) * (stabilised ? Double(rank).squareRoot() : Double(rank))
            if abs(siteAlpha - alpha) > 1e-9 { alphas.append(.init(pattern: module, value: siteAlpha)) }
        }
        let configuration = LoRAConfiguration(
            rank: usualRank, alpha: alpha, dropout: settings.real("dropout"), isRankStabilized: stabilised,
            isFanInFanOut: model.family.weightNames(model.configuration).contains { $0.isTransposed },
            targetModules: .names(try LoRA.sites(parameters).compactMap { modules[$0.path] }.sorted()),
            rankOverrides: ranks, alphaOverrides: alphas)
        try folder.writePEFT(.lora(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `LORA` folder, whoever wrote it; ranks come from the tensors, scales from the patterns.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: LoRA, parameters: ParameterSet)
    {
        guard case .lora(let configuration) = try folder.peftConfiguration("LORA") else {
            preconditionFailure("the reader has checked the type")
        }
        guard !configuration.isWeightDecomposed else {
            throw HoneError(
                .unsupported, "weight-decomposed adapters (DoRA) are not supported",
                file: folder.path + "/" + AdapterConfiguration.fileName, item: "use_dora")
        }
        try refuseMore(configuration, file: folder.path + "/" + AdapterConfiguration.fileName)
        let sites = moduleSites(of: model)
        var parameters = ParameterSet()
        var scales: [String: Double] = [:]
        let shapes = Dictionary(
            uniqueKeysWithValues: model.configuration.weightShapes.map { ($0.name, $0.shape) })
        for name in folder.tensorNames.sorted() {
            if folder.isHead(name) { continue }
            let isDown = name.hasSuffix(".lora_A.weight")
            guard isDown || name.hasSuffix(".lora_B.weight") else {
                throw HoneError(
                    .mismatch, "is no LoRA tensor that this version knows", file: folder.tensorFile, item: name)
            }
            let module = String(name.dropLast(14))
            guard let site = sites[module] else {
                if isUnused(module, by: model) { continue }
                throw HoneError(
                    .mismatch, "the base model has no such module; this adapter is for another base",
                    file: folder.tensorFile, item: name)
            }
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).cloned()
            let weight = shapes[site + ".weight"] ?? []
            guard tensor.rank == 2, weight.count == 2, tensor.size(isDown ? 1 : 0) == weight[isDown ? 1 : 0],
                tensor.size(isDown ? 0 : 1) > 0
            else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit the base's \(weight)", file: folder.tensorFile,
                    item: name)
            }
            parameters.set(site + (isDown ? ".lora_A" : ".lora_B"), tensor)
            let rank = tensor.size(isDown ? 0 : 1)
            let bare = String(module.dropFirst("base_model.model.".count))
            let siteAlpha = alpha(of: bare, configuration)
            scales[site] = scale(alpha: siteAlpha, rank: rank, stabilised: configuration.isRankStabilized)
        }
        guard !parameters.all.isEmpty else {
            throw HoneError(.badFile, "holds no LoRA tensors", file: folder.tensorFile)
        }
        try checkComplete(parameters, configuration.targetModules, for: model, folder: folder)
        for (site, module, _) in model.family.modules(model.configuration) {
            switch (parameters[site + ".lora_A"], parameters[site + ".lora_B"]) {
            case (nil, nil): continue
            case (let down?, let up?) where down.size(0) == up.size(1): continue
            case (.some, .some):
                throw HoneError(.mismatch, "the two factors differ in rank", file: folder.tensorFile, item: module)
            default:
                throw HoneError(
                    .mismatch, "one of the two factors is missing", file: folder.tensorFile, item: module)
            }
        }
        // What Hone wrote remembers its settings as they were given; PEFT's are the same in other words.
        let settings =
            folder.description != nil
            ? try folder.settings(card)
            : try folder.settings(
                card,
                [
                    "rank": .integer(configuration.rank), "alpha": .number(configuration.alpha),
                    "dropout": .number(configuration.dropout),
                    "rank-stabilised": .bool(configuration.isRankStabilized),
                ], file: folder.path + "/" + AdapterConfiguration.fileName)
        // The order of training is that of the forward pass, not of the file.
        var ordered = ParameterSet()
        for site in model.configuration.linearSites {
            for part in [".lora_A", ".lora_B"] {
                if let tensor = parameters[site.path + part] { ordered.set(site.path + part, tensor) }
            }
        }
        return (LoRA(settings, scales: scales), ordered)
    }

    /// Refuses what PEFT stores beside low-rank updates, and patterns that could take forever to match.
    private static func refuseMore(_ configuration: LoRAConfiguration, file: String) throws {
        guard configuration.bias == .none else {
            throw HoneError(.unsupported, "adapters with trained biases are not supported", file: file, item: "bias")
        }
        // A head is trained anew for the task at hand; any other module would be missing silently.
        guard (configuration.modulesToSave ?? []).allSatisfy({ ["classifier", "score"].contains($0) }) else {
            throw HoneError(
                .unsupported, "modules that are saved whole are not supported", file: file, item: "modules_to_save")
        }
        for override in configuration.alphaOverrides where !isQuickToMatch(override.pattern) {
            throw HoneError(
                .unsupported, "a pattern repeats groups or has more than four repetitions", file: file,
                item: "alpha_pattern")
        }
    }
}
