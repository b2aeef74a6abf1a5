import HoneFormats

/// Data files of which each holds the rows of one task, as they are named in one text: `sst2=a.jsonl,trec=b.jsonl`. Without a name, a
/// task is called after its file.
struct NamedFiles: Equatable {
    /// One file of a task.
    struct Part: Equatable {
        /// The name of the task.
        var name: String
        /// The path of the file.
        var path: String
    }

    /// The files in the order of the text.
    var parts: [Part]

    /// The most files that are read as tasks of one run.
    static let limit = 4_096
}

extension NamedFiles {
    /// The files that a text names; `nil` where it is the plain path of a file or a folder.
    ///
    /// A path at which something is stays whole, whatever characters it has.
    ///
    /// - Parameter folder: where relative paths begin.
    /// - Throws: `HoneError` with code `.usage` for a name that stands twice or is empty.
    init?(_ text: String, relativeTo folder: String = ".") throws {
        func path(_ text: String) -> String { DataFile.path(text, relativeTo: folder) }
        func isThere(_ text: String) -> Bool {
            text.isEmpty || text.utf8.contains(0) || DataFile.kind(path: path(text)) != .missing
        }
        guard text.contains(where: { $0 == "," || $0 == "=" }), !isThere(text) else { return nil }
        let pieces = text.split(separator: ",", omittingEmptySubsequences: false).map {
            String($0).trimmedOfWhitespace()
        }
        guard pieces.count > 1 || NamedFiles.name(in: text) != nil else { return nil }
        guard pieces.count <= NamedFiles.limit else {
            throw HoneError(.usage, "names \(grouped(pieces.count)) files; at most \(grouped(Self.limit)) are read")
        }
        var seen: Set<String> = []
        parts = try pieces.map { piece in
            let named = isThere(piece) ? nil : NamedFiles.name(in: piece)
            let file = named.map { String(piece.dropFirst($0.utf8.count + 1)) } ?? piece
            guard !file.isEmpty else {
                throw HoneError(.usage, "between the commas stands no file: NAME=FILE,NAME=FILE", item: text)
            }
            let name = named ?? NamedFiles.stem(file)
            guard seen.insert(name).inserted else {
                throw HoneError(
                    .usage, "the task \(Wording.label(name)) stands twice; name tasks apart: NAME=FILE,NAME=FILE",
                    item: text)
            }
            return Part(name: name, path: path(file))
        }
    }

    /// The name before the first `=`, which no slash may come before.
    private static func name(in text: String) -> String? {
        guard let equals = text.firstIndex(of: "="), equals != text.startIndex else { return nil }
        let name = text[..<equals]
        return name.contains("/") ? nil : String(name)
    }

    /// The name of a file without its ending.
    static func stem(_ path: String) -> String {
        let name = DataFile.name(of: path)
        let ending = DataFile.ending(of: path)
        return ending.isEmpty ? name : String(name.dropLast(ending.count + 1))
    }

    /// The text that names the same files by their paths from the root.
    ///
    /// - Throws: `HoneError` with code `.usage` for a path with a comma, which no such text can hold.
    func absoluteText() throws -> String {
        try parts.map { part in
            let path = DataFile.absolute(part.path)
            guard !path.contains(",") else {
                throw HoneError(.usage, "a path with a comma cannot stand among several files", file: path)
            }
            return part.name + "=" + path
        }.joined(separator: ",")
    }

    /// A path, or a text that names files, as seen from a folder.
    static func text(_ text: String, relativeTo folder: String) throws -> String {
        guard let files = try NamedFiles(text, relativeTo: folder) else {
            return DataFile.path(text, relativeTo: folder)
        }
        return files.parts.map { $0.name + "=" + $0.path }.joined(separator: ",")
    }

    /// The path from the root, of one file or of each.
    static func absolute(_ text: String) throws -> String {
        try NamedFiles(text)?.absoluteText() ?? DataFile.absolute(text)
    }
}
