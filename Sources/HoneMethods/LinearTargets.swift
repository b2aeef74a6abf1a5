import HoneFormats
import HoneModels

/// Which linear maps a method adapts: the settings `targets` and `layers`, and the sites that they name in a model.
public enum LinearTargets {
    /// A linear map by its site: `y [outputs] = W [outputs, inputs] · x + b`.
    public struct Target: Hashable, Sendable {
        /// The site's path, such as `layers.0.attention.query`.
        public var path: String
        /// The length of what comes out.
        public var outputs: Int
        /// The length of what goes in.
        public var inputs: Int
    }

    /// The setting that names maps by the ends of their names.
    public static let targetsSetting = Setting(
        "targets", .words(["all"]),
        "The maps to adapt, by the ends of their names (query,value); `all` for every map of the layers.")

    /// The setting that names layers.
    public static let layersSetting = Setting(
        "layers", .words(["all"]),
        "The layers to adapt, by number from 0, alone or as a range (8-11); `all` for every layer. What is below the "
            + "lowest is computed once, not in every epoch.")

    /// The linear maps that the settings name, in the order of the forward pass.
    ///
    /// - Parameters:
    ///   - method: the method's name, for what is said.
    ///   - usual: the ends of names that the word `usual` stands for, as far as the model has such maps.
    /// - Throws: `HoneError` with code `.mismatch` that says which maps or layers there are.
    public static func resolve(
        _ settings: MethodSettings, in configuration: TransformerConfiguration, for method: String,
        usual: [String] = []
    ) throws -> [Target] {
        let sites = try inChosenLayers(all(configuration), settings.words("layers"), of: configuration, method)
        let wanted = settings.words("targets")
        guard !wanted.isEmpty else {
            throw HoneError(
                .mismatch, "names no map; `all` stands for every map of the layers", item: "\(method) targets")
        }
        if wanted == ["all"] { return sites }
        if wanted == ["usual"], !usual.isEmpty {
            return sites.filter { site in usual.contains { matches(site.path, $0) } }
        }
        for word in wanted where !sites.contains(where: { matches($0.path, word) }) {
            let known = Set(configuration.stacks.flatMap { $0.linearMaps.map(\.name) }).sorted().joined(separator: ", ")
            throw HoneError(.mismatch, "this model has no map `\(word)`; it has \(known)", item: "\(method) targets")
        }
        return sites.filter { site in wanted.contains { matches(site.path, $0) } }
    }

    /// Every linear map of a model's layers.
    public static func all(_ configuration: TransformerConfiguration) -> [Target] {
        configuration.linearSites.compactMap {
            if case .linear(let outputs, let inputs) = $0.kind {
                Target(path: $0.path, outputs: outputs, inputs: inputs)
            } else {
                nil
            }
        }
    }

    /// Refuses a rank above the smallest matrix.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the matrix.
    public static func check(rank: Int, _ targets: [Target]) throws {
        for target in targets where rank > min(target.outputs, target.inputs) {
            throw HoneError(
                .mismatch, "rank \(rank) is above the \(target.outputs) x \(target.inputs) matrix", item: target.path)
        }
    }

    /// Whether a word is a path or ends it.
    static func matches(_ path: String, _ word: String) -> Bool { path == word || path.hasSuffix("." + word) }

    private static func inChosenLayers(
        _ sites: [Target], _ words: [String], of configuration: TransformerConfiguration, _ method: String
    ) throws -> [Target] {
        guard let chosen = try layers(words, of: configuration, for: method) else { return sites }
        return sites.filter { site in
            let parts = site.path.split(separator: ".")
            guard let place = parts.firstIndex(of: "layers"), place + 1 < parts.count else { return false }
            return Int(parts[place + 1]).map(chosen.contains) ?? false
        }
    }

    /// The layers that the words of the setting `layers` name; `nil` for all.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that says which layers there are.
    static func layers(_ words: [String], of configuration: TransformerConfiguration, for method: String) throws
        -> Set<Int>?
    {
        if words == ["all"] { return nil }
        let known = 0..<(configuration.stacks.map(\.layerCount).max() ?? 0)
        var chosen: Set<Int> = []
        for word in words {
            let ends = word.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil, first <= last,
                known.contains(first), known.contains(last)
            else {
                throw HoneError(
                    .mismatch, "`\(word)` is no layer or range of layers of this model; it has 0 to \(known.count - 1)",
                    item: "\(method) layers")
            }
            chosen.formUnion(first...last)
        }
        guard !chosen.isEmpty else {
            throw HoneError(
                .mismatch, "names no layer; `all` stands for every layer", item: "\(method) layers")
        }
        return chosen
    }
}
