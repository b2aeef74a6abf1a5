import HoneFormats
import HoneModels
import HoneTorch

extension SkillRouting {
    /// Writes PEFT's `POLY` folder.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = PEFTModules.names(of: model)
        var tensors: [(name: String, tensor: Tensor)] = []
        var names: [String] = []
        for site in try SkillSite.all(parameters) {
            guard let module = modules[site.path] else { continue }
            names.append(module)
            for (part, tensor) in [
                (PolyTensor.down, site.inventory.down), (PolyTensor.up, site.inventory.up),
                (PolyTensor.router, site.router),
            ] {
                tensors.append((PEFTModules.wrapper + module + part, tensor))
            }
        }
        let configuration = PolyConfiguration(
            rank: rank, tasks: taskCount, skills: skills, splits: heads, targetModules: .names(names.sorted()))
        try folder.writePEFT(.poly(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `POLY` folder, whoever wrote it. Tasks of PEFT's have no names but their numbers.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Self, parameters: ParameterSet)
    {
        guard case .poly(let configuration) = try folder.peftConfiguration("POLY") else {
            preconditionFailure("the reader has checked the type")
        }
        let file = folder.path + "/" + AdapterConfiguration.fileName
        guard (configuration.modulesToSave ?? []).allSatisfy({ ["classifier", "score"].contains($0) }) else {
            throw HoneError(
                .unsupported, "modules that are saved whole are not supported", file: file, item: "modules_to_save")
        }
        let settings = try settings(folder, configuration, file: file)
        let tasks = try taskNames(folder, configuration)
        let method = Self(settings, tasks: tasks)
        let found = try tensors(folder, configuration, for: model)
        var parameters = ParameterSet()
        let group: Parameter.Group = method.keepsSkills ? .state : .adapter
        for site in model.configuration.linearSites {
            for part in [SkillTensor.down, SkillTensor.up] {
                if let tensor = found[site.path + part] { parameters.set(site.path + part, tensor, group: group) }
            }
            if let tensor = found[site.path + SkillTensor.router] {
                parameters.set(site.path + SkillTensor.router, tensor)
            }
        }
        guard !parameters.all.isEmpty else {
            throw HoneError(.badFile, "holds no tensors of skills", file: folder.tensorFile)
        }
        try PEFTModules.checkComplete(
            configuration.targetModules, for: model, folder: folder,
            isAdapted: { parameters[$0 + SkillTensor.down] != nil })
        return (method, parameters)
    }

    private static func settings(
        _ folder: AdapterFolderReader, _ configuration: PolyConfiguration, file: String
    ) throws -> MethodSettings {
        let settings: MethodSettings
        if folder.description != nil {
            settings = try folder.settings(card)
        } else {
            var json = JSONObject()
            json["rank"] = .integer(configuration.rank)
            json["skills"] = .integer(configuration.skills)
            if card.hasSetting("splits") { json["splits"] = .integer(configuration.splits) }
            settings = try folder.settings(card, .object(json), file: file)
        }
        let method = Self(settings, tasks: [])
        guard
            (method.rank, method.skills, method.heads)
                == (configuration.rank, configuration.skills, configuration.splits)
        else {
            throw HoneError(
                .mismatch,
                "says \(configuration.skills) skills of rank \(configuration.rank) in \(configuration.splits) splits, "
                    + "`\(card.name)` has \(method.skills) of rank \(method.rank) in \(method.heads)", file: file)
        }
        return settings
    }

    private static func taskNames(_ folder: AdapterFolderReader, _ configuration: PolyConfiguration) throws -> [String]
    {
        guard let description = folder.description else {
            return configuration.tasks == 1 ? [] : (0..<configuration.tasks).map(String.init)
        }
        let names = try Adapter.taskNames(description, file: folder.path + "/hone.json")
        guard max(1, names.count) == configuration.tasks else {
            throw HoneError(
                .mismatch, "names \(names.count) tasks, the adapter has \(configuration.tasks)",
                file: folder.path + "/hone.json", item: "tasks")
        }
        return names
    }

    /// The tensors of a folder by their names here; each map that has one has all three, in the shapes that its widths ask for.
    private static func tensors(
        _ folder: AdapterFolderReader, _ configuration: PolyConfiguration, for model: BaseModel
    ) throws -> [String: Tensor] {
        let sites = PEFTModules.sites(of: model)
        let widths = Dictionary(
            uniqueKeysWithValues: model.configuration.linearSites.compactMap { site in
                if case .linear(let outputs, let inputs) = site.kind { (site.path, (outputs, inputs)) } else { nil }
            })
        var found: [String: Tensor] = [:]
        for name in folder.tensorNames.sorted() where !folder.isHead(name) {
            guard let part = PolyTensor.all.first(where: { name.hasSuffix($0.file) }) else {
                throw HoneError(
                    .mismatch, "is no tensor of skills that this version knows", file: folder.tensorFile, item: name)
            }
            let module = String(name.dropLast(part.file.count))
            guard let site = sites[module], let (outputs, inputs) = widths[site] else {
                if PEFTModules.isUnused(module, by: model) { continue }
                throw HoneError(
                    .mismatch, "the base model has no such module; this adapter is for another base",
                    file: folder.tensorFile, item: name)
            }
            let (splits, skills, rank) = (configuration.splits, configuration.skills, configuration.rank)
            guard inputs % splits == 0, outputs % splits == 0 else {
                throw HoneError(
                    .mismatch, "\(splits) splits do not divide the \(outputs) x \(inputs) matrix",
                    file: folder.tensorFile, item: name)
            }
            let shape =
                switch part.own {
                case SkillTensor.down: [splits, skills, inputs / splits, rank]
                case SkillTensor.up: [splits, skills, rank, outputs / splits]
                default: [configuration.tasks, splits * skills]
                }
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).cloned()
            guard tensor.shape == shape else {
                throw HoneError(
                    .mismatch, "has shape \(tensor.shape), not \(shape)", file: folder.tensorFile, item: name)
            }
            found[site + part.own] = tensor
        }
        for name in found.keys.sorted() {
            let path = String(name[..<(name.range(of: ".poly_")?.lowerBound ?? name.endIndex)])
            for part in PolyTensor.all where found[path + part.own] == nil {
                throw HoneError(
                    .mismatch, "one of the three tensors of a map is missing", file: folder.tensorFile,
                    item: path + part.own)
            }
        }
        return found
    }
}

/// The ends of PEFT's names of tensors.
private enum PolyTensor {
    static let down = ".poly_lora_A"
    static let up = ".poly_lora_B"
    static let router = ".poly_router.module_logits"
    static let all = [
        (file: down, own: SkillTensor.down), (file: up, own: SkillTensor.up), (file: router, own: SkillTensor.router),
    ]
}
