import Foundation
import HoneFormats

/// Files on disk as bytes, with the sentences for what can be wrong with them.
enum DataFile {
    /// The bytes of a regular file of at most a number of bytes.
    static func bytes(path: String, limit: Int) throws -> [UInt8] {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw HoneError(.usage, "the path of a file is empty or holds a NUL byte")
        }
        switch kind(path: path) {
        case .missing: throw HoneError(.fileSystem, "there is no such file", file: path)
        case .folder: throw HoneError(.fileSystem, "this is a folder, a file is needed", file: path)
        case .other: throw HoneError(.fileSystem, "this is not a regular file", file: path)
        case .unreadable: throw HoneError(.fileSystem, "the path leads through too many links or nowhere", file: path)
        case .file(let size):
            guard size <= limit else {
                throw HoneError(
                    .badFile, "the file has \(grouped(size)) bytes; at most \(grouped(limit)) are read", file: path)
            }
        }
        return try FileBytes.read(path, limit: limit)
    }

    /// What stands at a path.
    enum Kind: Equatable {
        case file(bytes: Int)
        case folder
        case other
        case unreadable
        case missing
    }

    /// What stands at a path, links followed.
    static func kind(path: String) -> Kind {
        let manager = FileManager.default
        guard let own = try? manager.attributesOfItem(atPath: path) else { return .missing }
        var attributes = own
        if own[.type] as? FileAttributeType == .typeSymbolicLink {
            let target = URL(fileURLWithPath: path).resolvingSymlinksInPath().path
            guard let followed = try? manager.attributesOfItem(atPath: target) else { return .missing }
            attributes = followed
        }
        switch attributes[.type] as? FileAttributeType {
        case .some(.typeRegular): return .file(bytes: (attributes[.size] as? NSNumber)?.intValue ?? 0)
        case .some(.typeDirectory): return .folder
        case .some(.typeSymbolicLink): return .unreadable
        default: return .other
        }
    }

    /// The names of the entries of a folder, sorted.
    static func entries(folder: String) throws -> [String] {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        } catch {
            throw HoneError(.fileSystem, "the folder cannot be read; check its permissions", file: folder)
        }
    }

    /// A path as seen from a folder; absolute paths stay.
    static func path(_ path: String, relativeTo folder: String) -> String {
        if path.hasPrefix("/") || folder.isEmpty || folder == "." { return path }
        return folder.hasSuffix("/") ? folder + path : folder + "/" + path
    }

    /// The folder in which a file stands, as far as its path tells.
    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The last part of a path.
    static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// What follows the last dot of a file's name, in lower case.
    static func ending(of path: String) -> String {
        let name = name(of: path)
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return "" }
        return name[name.index(after: dot)...].lowercased()
    }

    /// The path from the root of the file system, for descriptions that outlive the working folder.
    static func absolute(_ path: String) -> String {
        URL(fileURLWithPath: path).standardizedFileURL.path
    }

    /// Refuses what is plainly not text, by its first bytes, and gives the number of bytes of a UTF-8 mark to skip.
    static func startOfText(_ bytes: [UInt8], file: String) throws -> Int {
        let known: [(start: [UInt8], name: String, advice: String)] = [
            ([0xFF, 0xFE], "a UTF-16 file", "save it as UTF-8"),
            ([0xFE, 0xFF], "a UTF-16 file", "save it as UTF-8"),
            ([0x1F, 0x8B], "a gzip file", "decompress it first"),
            ([0x28, 0xB5, 0x2F, 0xFD], "a Zstandard file", "decompress it first"),
            ([0x50, 0x4B, 0x03, 0x04], "a zip archive or a spreadsheet", "export it as CSV"),
            (Array("PAR1".utf8), "a Parquet file", "export it as CSV or JSON Lines"),
            (Array("ARROW1".utf8), "an Arrow file", "export it as CSV or JSON Lines"),
        ]
        for format in known where bytes.starts(with: format.start) {
            throw HoneError(.badFile, "this is \(format.name); \(format.advice)", file: file)
        }
        return bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    /// The line, counted from 1, of a position in the bytes; LF, CRLF and CR end lines.
    static func line(of position: Int, in bytes: [UInt8]) -> Int {
        var line = 1
        for index in 0..<min(max(position, 0), bytes.count) {
            if bytes[index] == 0x0A {
                line += 1
            } else if bytes[index] == 0x0D, index + 1 >= bytes.count || bytes[index + 1] != 0x0A {
                line += 1
            }
        }
        return line
    }

    /// The position of the first byte that is not UTF-8, if any.
    static func firstInvalidByte(_ bytes: ArraySlice<UInt8>) -> Int? {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var consumed = bytes.startIndex
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar): consumed += UTF8.width(scalar)
            case .emptyInput: return nil
            case .error: return consumed
            }
        }
    }
}
