import HoneFormats

/// Which files of a model are fetched: its configuration, its tokenizer and its weights as safetensors, and nothing else.
///
/// Pickles are never fetched, whatever they are called: reading one can run code.
struct ModelFileSelection {
    /// The weights in one file.
    static let weights = "model.safetensors"
    /// What says which of several files holds what.
    static let index = "model.safetensors.index.json"
    /// The largest file that is no weights, in bytes.
    static let largestText = 256 << 20
    /// The most files of one model.
    static let mostFiles = 2000

    /// What is fetched first, in the order of the names.
    let texts: [String]
    /// Whether the weights are one file.
    let hasSingleWeights: Bool
    /// Whether there is an index of several weight files.
    let hasIndex: Bool
    /// All names that the server lists and that are safe.
    private let listed: Set<String>

    /// Chooses from the names that a server lists.
    ///
    /// - Throws: `HoneError` where a wanted name could lead out of its folder, there are too many, or the weights are
    ///   there only as pickle.
    init(names: [String], repository: String) throws {
        let wanted = names.filter { Self.isText($0) || Self.isWeights($0) || Self.isHostile($0) }
        for name in wanted {
            do {
                try SafeName.check(relativePath: name)
            } catch let error as HoneError {
                throw HoneError(
                    .network, "the server lists files that no model has: \(error.message)", item: repository)
            }
        }
        listed = Set(wanted)
        texts = listed.filter(Self.isText).sorted()
        hasSingleWeights = listed.contains(Self.weights)
        hasIndex = listed.contains(Self.index)
        guard texts.count <= Self.mostFiles else {
            throw HoneError(
                .network, "lists \(texts.count) files, more than the \(Self.mostFiles) that are fetched",
                item: repository)
        }
        if hasSingleWeights || hasIndex { return }
        if let pickle = names.first(where: Self.isPickle) {
            throw HoneError(
                .unsupported,
                "has its weights only as pickle (\(ModelReference.shown(pickle))), which Hone never reads, because reading "
                    + "it can run code; look for a revision with \(Self.weights) (refs/pr/1, say), or convert it in Python "
                    + "with save_pretrained", item: repository)
        }
        throw HoneError(
            .unsupported, "has neither \(Self.weights) nor \(Self.index), so it is no model that Hone reads",
            item: repository)
    }

    /// The weight files that an index names, in order, all of which must be listed.
    func shards(index: [UInt8], repository: String) throws -> [String] {
        let shards: [String]
        do {
            shards = try Self.shards(index: index, file: Self.index)
        } catch let error as HoneError {
            throw HoneError(error.code, error.message, file: "\(repository)/\(Self.index)", item: error.item)
        }
        if let absent = shards.first(where: { !listed.contains($0) }) {
            throw HoneError(
                .badFile, "names \(ModelReference.shown(absent)), which the repository does not have",
                file: "\(repository)/\(Self.index)")
        }
        return shards
    }

    /// The weight files that an index names, in order.
    static func shards(index: [UInt8], file: String) throws -> [String] {
        guard let map = try JSON.parse(index, file: file)["weight_map"]?.object else {
            throw HoneError(.badFile, "the index has no weight_map", file: file, item: "weight_map")
        }
        var names: Set<String> = []
        for (_, value) in map.pairs {
            guard let name = value.string, name.hasSuffix(".safetensors") else {
                throw HoneError(.badFile, "a tensor's file is no safetensors file", file: file, item: "weight_map")
            }
            if names.insert(name).inserted { try SafeName.check(name, from: file) }
        }
        guard names.count <= mostFiles else {
            throw HoneError(.badFile, "names more than \(mostFiles) files", file: file, item: "weight_map")
        }
        return names.sorted()
    }

    /// Small files: what lies at the top, the modules of sentence encoders, and further chat templates.
    private static func isText(_ name: String) -> Bool {
        guard hasEnding(name), !name.hasPrefix(".") else { return false }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 1
            || parts.count == 2 && (parts[1] == "config.json" || parts[0] == "additional_chat_templates")
    }

    private static func isWeights(_ name: String) -> Bool {
        name.hasSuffix(".safetensors") && !name.contains("/") && !name.hasPrefix(".")
    }

    /// A name that would be fetched and that tries to be more than a name below a folder.
    private static func isHostile(_ name: String) -> Bool {
        guard hasEnding(name) || name.hasSuffix(".safetensors") else { return false }
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.contains("..") || parts.contains("")
            || name.utf8.contains { $0 < 0x20 || $0 == 0x5C || $0 == 0x7F }
    }

    private static func hasEnding(_ name: String) -> Bool {
        [".json", ".txt", ".jinja", ".model"].contains(where: name.hasSuffix)
    }

    private static func isPickle(_ name: String) -> Bool {
        !name.contains("/")
            && [".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"].contains(where: name.lowercased().hasSuffix)
    }
}
