import HoneFormats
import HoneModels
import HoneTorch

extension LoRA {
    /// The parts of a site, by their names in PEFT's files.
    private static let suffixes = [
        (file: ".lora_A.weight", part: ".lora_A"), (file: ".lora_B.weight", part: ".lora_B"),
        (file: ".lora_magnitude_vector", part: ".lora_magnitude"),
    ]

    /// Writes PEFT's `LORA` folder: modules by their full names, so that nothing else matches.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = PEFTModules.names(of: model)
        var tensors: [(name: String, tensor: Tensor)] = []
        var targets: [String] = []
        var ranks: [LoRAConfiguration.Override<Int>] = []
        var alphas: [LoRAConfiguration.Override<Double>] = []
        let stabilised = settings.flag("rank-stabilised")
        let usualRank = settings.integer("rank")
        for site in try factors(parameters) {
            guard let module = modules[site.path] else { continue }
            targets.append(module)
            for suffix in LoRA.suffixes {
                guard let tensor = parameters[site.path + suffix.part] else { continue }
                tensors.append((PEFTModules.wrapper + module + suffix.file, tensor))
            }
            if site.rank != usualRank { ranks.append(.init(pattern: module, value: site.rank)) }
            let siteAlpha = site.scale * (stabilised ? Double(site.rank).squareRoot() : Double(site.rank))
            if abs(siteAlpha - alpha) > 1e-9 { alphas.append(.init(pattern: module, value: siteAlpha)) }
        }
        let configuration = LoRAConfiguration(
            rank: usualRank, alpha: alpha, dropout: settings.real("dropout"), isRankStabilized: stabilised,
            isWeightDecomposed: isDecomposed, isFanInFanOut: PEFTModules.areTransposed(in: model),
            targetModules: .names(targets.sorted()), rankOverrides: ranks, alphaOverrides: alphas)
        try folder.writePEFT(.lora(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `LORA` folder, whoever wrote it; ranks come from the tensors, scales from the patterns.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: LoRA, parameters: ParameterSet)
    {
        let file = folder.path + "/" + AdapterConfiguration.fileName
        guard case .lora(let configuration) = try folder.peftConfiguration("LORA") else {
            preconditionFailure("the reader has checked the type")
        }
        try PEFTModules.refuseMore(configuration, file: file)
        let tensors = try SiteTensors.read(
            folder, for: model, "LoRA",
            split: { name in
                suffixes.first { name.hasSuffix($0.file) }.map { (String(name.dropLast($0.file.count)), $0.part) }
            },
            fits: { part, shape, target in
                switch part {
                case ".lora_A": shape.count == 2 && shape[1] == target.inputs && shape[0] > 0
                case ".lora_B": shape.count == 2 && shape[0] == target.outputs && shape[1] > 0
                default: shape == [target.outputs]
                }
            })
        try PEFTModules.checkComplete(
            configuration.targetModules, for: model, folder: folder, isAdapted: tensors.isAdapted)
        // The order of training is that of the forward pass, not of the file.
        var parameters = ParameterSet()
        var scales: [String: Double] = [:]
        for (site, module) in tensors.sites(of: model) {
            let found = tensors[site] ?? [:]
            guard let down = found[".lora_A"], let up = found[".lora_B"] else {
                throw HoneError(
                    .mismatch, "one of the two factors is missing", file: folder.tensorFile, item: module)
            }
            guard down.size(0) == up.size(1) else {
                throw HoneError(.mismatch, "the two factors differ in rank", file: folder.tensorFile, item: module)
            }
            let lengths = found[".lora_magnitude"]
            guard (lengths != nil) == configuration.isWeightDecomposed else {
                throw HoneError(
                    .mismatch,
                    lengths == nil
                        ? "the lengths of its rows are missing; adapter_config.json says that it is DoRA (use_dora)"
                        : "has lengths of rows, which its configuration denies",
                    file: folder.tensorFile, item: module)
            }
            parameters.set(site + ".lora_A", down)
            parameters.set(site + ".lora_B", up)
            if let lengths { parameters.set(site + ".lora_magnitude", lengths) }
            scales[site] = scale(
                alpha: alpha(of: module, configuration), rank: down.size(0), stabilised: configuration.isRankStabilized)
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
                    "weight-decomposed": .bool(configuration.isWeightDecomposed),
                ], file: file)
        guard settings.flag("weight-decomposed") == configuration.isWeightDecomposed else {
            throw HoneError(.mismatch, "hone.json says otherwise", file: file, item: "use_dora")
        }
        return (LoRA(settings, scales: scales), parameters)
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
}
