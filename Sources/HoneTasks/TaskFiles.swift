import HoneFormats

/// The files of a task, found from what the user named: a data file, a folder with files for the splits, or a
/// `task.yaml`.
struct TaskFiles: Equatable {
    var data: String
    var validation: String?
    var test: String?

    /// The names under which a split's file stands in a folder, the ending apart.
    static let splitNames: [(split: String, names: [String])] = [
        ("train", ["train", "training"]), ("validation", ["validation", "valid", "val", "dev"]),
        ("test", ["test", "testing"]),
    ]

    /// Whether a path names a description of a task.
    static func isDefinition(_ path: String) -> Bool { ["yaml", "yml"].contains(DataFile.ending(of: path)) }

    /// The files at a path that is a data file or a folder.
    static func find(_ path: String) throws -> TaskFiles {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw HoneError(.usage, "the path of the data is empty or holds a NUL byte", item: "data")
        }
        if try NamedFiles(path) != nil { return TaskFiles(data: path) }
        switch DataFile.kind(path: path) {
        case .folder: return try inFolder(path)
        case .missing:
            let hint = DataFile.ending(of: path).isEmpty ? "or folder " : ""
            throw HoneError(.fileSystem, "there is no such file \(hint)at this path", file: path)
        default: return TaskFiles(data: path)
        }
    }

    /// The `task.yaml` in a folder, if it has one.
    static func definition(inFolder path: String) -> String? {
        guard case .folder = DataFile.kind(path: path) else { return nil }
        return ["task.yaml", "task.yml"].map { DataFile.path($0, relativeTo: path) }.first {
            if case .file = DataFile.kind(path: $0) { true } else { false }
        }
    }

    private static func inFolder(_ folder: String) throws -> TaskFiles {
        let entries = try DataFile.entries(folder: folder)
        let readable = entries.filter { TableReader.endings.contains(DataFile.ending(of: $0)) }
        var found: [String: String] = [:]
        for (split, names) in splitNames {
            let matches = readable.filter { entry in
                names.contains { entry.lowercased() == $0 + "." + DataFile.ending(of: entry) }
            }
            guard matches.count < 2 else {
                throw HoneError(
                    .badData, "\(Wording.columns(matches)) could each be the \(split) file; keep one or name it",
                    file: folder)
            }
            found[split] = matches.first.map { DataFile.path($0, relativeTo: folder) }
        }
        if found.isEmpty, readable.count == 1 { return TaskFiles(data: DataFile.path(readable[0], relativeTo: folder)) }
        guard let train = found["train"] else {
            let others = readable.isEmpty ? "no data files" : Wording.columns(readable)
            throw HoneError(
                .badData,
                "the folder has no train file (train.jsonl, train.csv, ...) and no task.yaml; it holds \(others). "
                    + "Name one of the files instead",
                file: folder)
        }
        return TaskFiles(data: train, validation: found["validation"], test: found["test"])
    }

    /// Refuses the same file in two roles.
    func checkDistinct() throws {
        let named: [(role: String, text: String?)] = [("data", data), ("validation", validation), ("test", test)]
        let paths: [(role: String, path: String)] = try named.flatMap { role, text in
            try text.map { text in
                let files = try NamedFiles(text)?.parts.map(\.path) ?? [text]
                return files.map { (role, DataFile.absolute($0)) }
            } ?? []
        }
        for (index, first) in paths.enumerated() {
            for second in paths.dropFirst(index + 1) where second.path == first.path {
                throw HoneError(
                    .usage,
                    first.role == second.role
                        ? "the same file is given for two tasks"
                        : "the same file is given as \(first.role) and as \(second.role)", file: first.path)
            }
        }
    }
}
