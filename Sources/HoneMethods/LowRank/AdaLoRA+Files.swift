import HoneFormats
import HoneModels
import HoneTorch

extension AdaLoRA {
    /// Writes PEFT's `ADALORA` folder, without triplets that are switched off.
    ///
    /// Which of the first triplets those were is of no use to anyone: `rank_pattern` names the kept ones first.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = PEFTModules.names(of: model)
        let whole = try AdaLoRA.pruned(parameters)
        var tensors: [(name: String, tensor: Tensor)] = []
        var kept: [AdaLoRAConfiguration.Kept] = []
        for map in try AdaLoRA.triplets(whole) {
            guard let module = modules[map.path] else { continue }
            for (part, tensor) in [(".lora_A", map.down), (".lora_B", map.up), (".lora_E", map.values)] {
                tensors.append((PEFTModules.wrapper + module + part, tensor))
            }
            let rank = map.values.size(0)
            kept.append(.init(module: module, isKept: (0..<max(initialRank, rank)).map { $0 < rank }))
        }
        // A run that has not come to its last budget knows no steps; PEFT wants some.
        let steps = try whole[AdaLoRA.steps]?.elements(Int.self) ?? [1, 0, 0]
        let configuration = AdaLoRAConfiguration(
            lora: LoRAConfiguration(
                alpha: alpha, dropout: settings.real("dropout"), isFanInFanOut: PEFTModules.areTransposed(in: model),
                targetModules: .names(kept.map(\.module).sorted())),
            initialRank: initialRank, targetRank: settings.integer("target-rank"), initialSteps: steps[1],
            finalSteps: steps[2], interval: settings.integer("interval"),
            sensitivityDecay: settings.real("sensitivity-decay"), uncertaintyDecay: settings.real("uncertainty-decay"),
            orthogonality: settings.real("orthogonality"), totalSteps: steps[0],
            kept: kept.contains { $0.isKept.contains(false) } ? kept : [])
        try folder.writePEFT(.adaLoRA(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `ADALORA` folder, whoever wrote it.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: AdaLoRA, parameters: ParameterSet)
    {
        let file = folder.path + "/" + AdapterConfiguration.fileName
        guard case .adaLoRA(let configuration) = try folder.peftConfiguration("ADALORA") else {
            preconditionFailure("the reader has checked the type")
        }
        try PEFTModules.refuseMore(configuration.lora, file: file)
        let tensors = try SiteTensors.read(
            folder, for: model, "AdaLoRA",
            split: { name in
                parts.first { name.hasSuffix($0) }.map { (String(name.dropLast($0.count)), $0) }
            },
            fits: { part, shape, target in
                switch part {
                case ".lora_A": shape.count == 2 && shape[1] == target.inputs
                case ".lora_B": shape.count == 2 && shape[0] == target.outputs
                default: shape.count == 2 && shape[1] == 1
                }
            })
        try PEFTModules.checkComplete(
            configuration.lora.targetModules, for: model, folder: folder, isAdapted: tensors.isAdapted)
        let named = PEFTModules.sites(of: model)
        var kept: [String: Int] = [:]
        for entry in configuration.kept {
            if let site = named[PEFTModules.wrapper + entry.module] { kept[site] = entry.isKept.count { $0 } }
        }
        var parameters = ParameterSet()
        for (site, module) in tensors.sites(of: model) {
            let found = tensors[site] ?? [:]
            guard let down = found[".lora_A"], let up = found[".lora_B"], let values = found[".lora_E"] else {
                throw HoneError(
                    .mismatch, "one of the three factors is missing", file: folder.tensorFile, item: module)
            }
            let rank = down.size(0)
            guard up.size(1) == rank, values.size(0) == rank else {
                throw HoneError(.mismatch, "the factors differ in rank", file: folder.tensorFile, item: module)
            }
            let expected = kept[site] ?? configuration.initialRank
            guard rank == expected else {
                throw HoneError(
                    .mismatch, "the configuration keeps \(expected) triplets of this module, the file has \(rank)",
                    file: folder.tensorFile, item: module)
            }
            parameters.set(site + ".lora_A", down)
            parameters.set(site + ".lora_B", up)
            parameters.set(site + ".lora_E", values)
        }
        if configuration.totalSteps > 1 {
            let steps = [configuration.totalSteps, configuration.initialSteps, configuration.finalSteps]
            parameters.set(AdaLoRA.steps, try Tensor(steps.map { Float($0) }), group: .state)
        }
        // What Hone wrote remembers its settings as they were given; PEFT's are the same in other words.
        let settings =
            folder.description != nil
            ? try folder.settings(card)
            : try folder.settings(
                card,
                [
                    "initial-rank": .integer(configuration.initialRank),
                    "target-rank": .integer(configuration.targetRank),
                    "alpha": .number(
                        configuration.lora.alpha > 0 ? configuration.lora.alpha : Double(configuration.initialRank)),
                    "dropout": .number(configuration.lora.dropout),
                    "initial-steps": .integer(configuration.initialSteps),
                    "final-steps": .integer(configuration.finalSteps), "interval": .integer(configuration.interval),
                    "sensitivity-decay": .number(configuration.sensitivityDecay),
                    "uncertainty-decay": .number(configuration.uncertaintyDecay),
                    "orthogonality": .number(configuration.orthogonality),
                ], file: file)
        return (AdaLoRA(settings), parameters)
    }
}
