import HoneFormats
import HoneModels

/// PEFT's names of modules, as its adapter files and configurations have them.
enum PEFTModules {
    /// What the names of an adapter file begin with.
    static let wrapper = "base_model.model."

    /// Sites by the names that adapter files may call them: with and without the prefix of a task model, as the adapter
    /// was made for the one (`BertForSequenceClassification`) or the other (`BertModel`).
    ///
    /// - Parameter modules: those that a method adapts; the linear maps where none are given.
    static func sites(of model: BaseModel, among modules: [PEFTModule]? = nil) -> [String: String] {
        let prefix = model.family.prefix
        var sites: [String: String] = [:]
        for (site, module, file) in modules ?? model.family.modules(model.configuration) {
            // Adapters of earlier versions call modules as files do.
            for name in [module, file] {
                let bare = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
                sites[wrapper + bare] = site
                sites[wrapper + prefix + bare] = site
            }
        }
        return sites
    }

    /// Whether an adapted module is none of the transformer's and changes nothing that it computes, as BERT's pooler.
    static func isUnused(_ module: String, by model: BaseModel) -> Bool {
        let prefix = wrapper + model.family.prefix
        let bare = String(module.dropFirst(module.hasPrefix(prefix) ? prefix.count : wrapper.count))
        // The head that gives the logits goes by this name: left out, the logits would silently be others.
        return bare != "lm_head" && model.family.ignores(bare + ".weight")
    }

    /// Whether a pattern of a stranger can be matched in a bounded time: it grows with a power of the number of
    /// repetitions, and without bound where one stands within another.
    static func isQuickToMatch(_ pattern: String) -> Bool {
        let repeatsGroup = zip(pattern, pattern.dropFirst()).contains { $0 == ")" && "*+{".contains($1) }
        return !repeatsGroup && pattern.utf8.count <= 4096 && pattern.count { "*+{".contains($0) } <= 4
    }

    /// The name with which the tensors of a site's module begin in a file; `nil` where the base has no such module.
    static func names(of model: BaseModel) -> [String: String] {
        Dictionary(model.family.modules(model.configuration).map { ($0.site, $0.module) }) { first, _ in first }
    }

    /// Whether the base's files store linear maps as (inputs, outputs), as GPT-2's do: PEFT's `fan_in_fan_out`.
    static func areTransposed(in model: BaseModel) -> Bool {
        model.family.weightNames(model.configuration).contains { $0.isTransposed }
    }

    /// Refuses what PEFT stores beside low-rank updates, and patterns that could take forever to match.
    static func refuseMore(_ configuration: LoRAConfiguration, file: String) throws {
        guard configuration.bias == .none else {
            throw HoneError(.unsupported, "adapters with trained biases are not supported", file: file, item: "bias")
        }
        try refuseSaved(configuration.modulesToSave, file: file)
        for override in configuration.alphaOverrides where !isQuickToMatch(override.pattern) {
            throw HoneError(
                .unsupported, "a pattern repeats groups or has more than four repetitions", file: file,
                item: "alpha_pattern")
        }
    }

    /// Refuses modules that PEFT saved whole, but for the task's head: it is trained anew for the task at hand, and any other module
    /// would be missing silently.
    static func refuseSaved(_ modules: [String]?, file: String) throws {
        guard (modules ?? []).allSatisfy({ ["classifier", "score"].contains($0) }) else {
            throw HoneError(
                .unsupported, "modules that are saved whole are not supported", file: file, item: "modules_to_save")
        }
    }

    /// Refuses an adapter that has nothing for a module which its configuration names: it would silently stay the base's.
    ///
    /// - Parameter isAdapted: whether the file has tensors for a site.
    /// - Throws: `HoneError` with code `.mismatch` that names the first such module.
    static func checkComplete(
        _ targets: LoRAConfiguration.Modules?, for model: BaseModel, among modules: [PEFTModule]? = nil,
        folder: AdapterFolderReader, isAdapted: (String) -> Bool
    ) throws {
        let other = try AdapterConfiguration.read(folder: folder.path).other
        // These take modules out again.
        for field in ["exclude_modules", "layers_to_transform"] {
            if let found = other[field], !found.isNull { return }
        }
        let isNamed: (String) -> Bool
        switch targets {
        case nil: return
        case .names(let names): isNamed = { module in names.contains { module == $0 || module.hasSuffix("." + $0) } }
        case .pattern("all-linear"): isNamed = { _ in true }
        case .pattern(let text):
            // A pattern that only Python understands, or that may take forever, cannot be checked.
            guard isQuickToMatch(text), let pattern = try? Regex(text) else { return }
            isNamed = { module in (try? pattern.wholeMatch(in: module)) != nil }
        }
        for (site, module, file) in modules ?? model.family.modules(model.configuration)
        where !isAdapted(site) && (isNamed(module) || isNamed(file)) {
            throw HoneError(
                .mismatch, "the configuration names this module, and the file holds nothing for it",
                file: folder.tensorFile, item: module)
        }
    }
}
