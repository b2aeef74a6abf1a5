import Foundation
import HoneFormats

/// The cache folder that Hugging Face's tools share: blobs by the hash of their content, snapshots of links to them by
/// commit, and what branches and tags pointed to when they were last asked for.
///
///     models--owner--name/blobs/HASH
///     models--owner--name/refs/main                      the 40 digits of a commit
///     models--owner--name/snapshots/COMMIT/config.json   a link to ../../blobs/HASH
public struct HubCache: Sendable {
    /// The cache's folder.
    public let root: String

    /// The cache in a folder, which need not exist.
    public init(root: String) { self.root = root }

    /// The name of a model's folder.
    static func folderName(_ repository: String) -> String {
        "models--" + repository.split(separator: "/").joined(separator: "--")
    }

    /// The folder of a model.
    func folder(_ repository: String) -> String { root + "/" + HubCache.folderName(repository) }

    /// The folder of a model's commit.
    func snapshot(_ repository: String, commit: String) -> String { folder(repository) + "/snapshots/" + commit }

    /// The commit that a revision meant when it was last asked for; `nil` where that is not known.
    func commit(of reference: ModelReference) -> String? {
        if reference.isCommit { return reference.revision }
        let file = folder(reference.repository) + "/refs/" + reference.revision
        guard FileStatus.exists(file), !FileStatus.isFolder(file), let bytes = try? FileBytes.read(file, limit: 256)
        else { return nil }
        let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        return ModelReference.isCommit(text) ? text : nil
    }

    /// What a model needs and its snapshot lacks; empty where it can be loaded.
    ///
    /// - Throws: `HoneError` where a file of the snapshot leads out of the cache, or the index of the weights is damaged.
    func missing(_ repository: String, commit: String) throws -> [String] {
        let snapshot = snapshot(repository, commit: commit)
        guard FileStatus.isFolder(snapshot) else { return ["everything"] }
        var missing: [String] = []
        func has(_ name: String) throws -> Bool {
            try check(snapshot + "/" + name, repository: repository)
        }
        for name in ["config.json", "tokenizer.json"] where try !has(name) {
            // Where it was found before that the model has none, nothing is missing; models of images have something else.
            let isKnownAbsent =
                try FileStatus.exists(folder(repository) + "/.no_exist/\(commit)/\(name)")
                || has("preprocessor_config.json")
            if name == "config.json" || !isKnownAbsent { missing.append(name) }
        }
        if try has(ModelFileSelection.weights) { return missing }
        guard try has(ModelFileSelection.index) else { return missing + [ModelFileSelection.weights] }
        let index = try FileBytes.read(snapshot + "/" + ModelFileSelection.index, limit: ModelFileSelection.largestText)
        for name in try ModelFileSelection.shards(index: index, file: snapshot + "/" + ModelFileSelection.index)
        where try !has(name) { missing.append(name) }
        return missing
    }

    /// Whether a file of a snapshot is there: links are followed to their end, which must lie in the cache.
    private func check(_ path: String, repository: String) throws -> Bool {
        guard FileStatus.exists(path) else { return false }
        guard let end = realpath(path, nil) else { return false }
        defer { free(end) }
        let found = String(cString: end)
        for folder in [root, folder(repository)] {
            guard let start = realpath(folder, nil) else { continue }
            defer { free(start) }
            if found.hasPrefix(String(cString: start) + "/") { return true }
        }
        throw HoneError(
            .badFile, "this file of the Hub cache is a link that leads out of the cache; delete it", file: path)
    }

    /// The models of which a snapshot is there, by name.
    public var repositories: [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        return names.filter { $0.hasPrefix("models--") && FileStatus.isFolder("\(root)/\($0)/snapshots") }
            .map { $0.dropFirst(8).replacingOccurrences(of: "--", with: "/") }.sorted()
    }
}
