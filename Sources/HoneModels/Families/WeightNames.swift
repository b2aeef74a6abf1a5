/// The weights of a family, as its file lists them.
struct WeightNames {
    private(set) var all: [WeightName] = []

    /// Adds one weight by its whole names.
    mutating func add(weight name: String, _ source: String, isOptional: Bool = false) {
        all.append(WeightName(name: name, source: source, isOptional: isOptional))
    }

    /// Adds one weight that the file holds behind a dimension of length one.
    mutating func add(batched name: String, _ source: String) {
        all.append(WeightName(name: name, source: source, isBatched: true))
    }

    /// Adds the weight and the bias of a map or norm by what stands before `.weight` and `.bias`.
    mutating func add(_ name: String, _ source: String, hasBias: Bool = true, isTransposed: Bool = false) {
        all.append(WeightName(name: name + ".weight", source: source + ".weight", isTransposed: isTransposed))
        if hasBias { all.append(WeightName(name: name + ".bias", source: source + ".bias")) }
    }

    /// Adds the linear maps of a layer that the family has a module for.
    ///
    /// - Parameters:
    ///   - modules: the family's names within a layer by Hone's.
    ///   - own: what stands before Hone's names.
    ///   - other: what stands before the family's.
    mutating func addMaps(
        _ modules: [String: String], of configuration: TransformerConfiguration, own: String, other: String
    ) {
        for map in configuration.linearMaps {
            guard let module = modules[map.name] else { continue }
            add(own + map.name, other + module, hasBias: map.hasBias)
        }
    }

    /// Adds a language model's head where it is not the token embedding.
    mutating func addHead(_ source: String, of configuration: TransformerConfiguration) {
        if configuration.hasLanguageHead, !configuration.tiesHead { add(weight: "head.weight", source) }
    }
}
