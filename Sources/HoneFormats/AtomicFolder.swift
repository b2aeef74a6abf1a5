import Foundation

/// Making a folder so that it is there complete or not at all.
public enum AtomicFolder {
    /// Builds a folder under a temporary name beside its place, brings it to the disk, and renames it into place.
    ///
    /// - Parameters:
    ///   - path: where the folder shall be; nothing may be there yet, except an empty folder, and its parent must exist.
    ///   - body: fills the folder whose path it is given; when it throws, the temporary folder is removed and its error
    ///     passed on.
    /// - Throws: `HoneError` (`.fileSystem`) that names the folder and the reason; the errors of `body`.
    public static func create<Result>(at path: String, _ body: (_ temporary: String) throws -> Result) throws -> Result
    {
        try FileProblem.checkPath(path)
        let parent = FolderPath.parent(of: path)
        var status = stat()
        // rename replaces an empty folder, and nothing else: a file or a link is told apart here for a clear sentence.
        if lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
            throw FileProblem.error("cannot make the folder", path, EEXIST)
        }
        let temporary = FolderPath.temporary(in: parent)
        guard mkdir(temporary, 0o777) == 0 else {
            if errno == ENOENT {
                throw HoneError(.fileSystem, "cannot make the folder: its parent does not exist", file: path)
            }
            throw FileProblem.error("cannot make the folder", path, errno)
        }
        var isRenamed = false
        defer { if !isRenamed { try? FileManager.default.removeItem(atPath: temporary) } }
        let result = try body(temporary)
        try FolderPath.synchronizeTree(temporary)
        guard rename(temporary, path) == 0 else { throw FileProblem.error("cannot make the folder", path, errno) }
        isRenamed = true
        try FolderPath.synchronize(parent)
        return result
    }
}

extension AtomicFolder {
    /// Makes a folder, and the folders above it that are not there yet; one that is there already is fine.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) that names the folder and the reason.
    public static func makeWithParents(_ path: String) throws {
        try FileProblem.checkPath(path)
        if FileStatus.isFolder(path) { return }
        let parent = FolderPath.parent(of: path)
        if parent != path, parent != ".", !FileStatus.exists(parent) { try makeWithParents(parent) }
        guard mkdir(path, 0o777) == 0 || errno == EEXIST && FileStatus.isFolder(path) else {
            throw FileProblem.error("cannot make the folder", path, errno)
        }
    }
}

/// What files and folders that appear at once have in common.
enum FolderPath {
    /// The folder that holds a path: `.` for a plain name.
    static func parent(of path: String) -> String {
        var bytes = Array(path.utf8)
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        guard let slash = bytes.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == 0 ? "/" : String(decoding: bytes[..<slash], as: UTF8.self)
    }

    /// A path in a folder; the folder may end in a slash.
    static func join(_ folder: String, _ name: String) -> String {
        folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
    }

    /// A new temporary name in a folder, short enough for every file system.
    static func temporary(in folder: String) -> String {
        join(folder, ".hone-\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp")
    }

    /// Brings the names in a folder to the disk.
    static func synchronize(_ folder: String) throws {
        let number = open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard number >= 0 else { throw FileProblem.error("cannot open the folder", folder, errno) }
        try FileDescriptor(number: number, path: folder).synchronize()
    }

    /// Brings everything below a folder to the disk, from the leaves up.
    static func synchronizeTree(_ folder: String) throws {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: folder)
        } catch {
            throw HoneError(.fileSystem, "cannot read the folder; check its permissions", file: folder)
        }
        for name in names {
            let path = join(folder, name)
            var status = stat()
            guard lstat(path, &status) == 0 else { throw FileProblem.error("cannot read", path, errno) }
            switch status.st_mode & S_IFMT {
            case S_IFDIR: try synchronizeTree(path)
            case S_IFREG: try FileDescriptor(reading: path).synchronize()
            default: break
            }
        }
        try synchronize(folder)
    }
}
