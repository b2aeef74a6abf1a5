import Foundation

/// The list of what a folder must hold (`manifest.json`), written last, so that a folder with one is complete.
public struct Manifest: Hashable, Sendable {
    /// One file of the folder.
    public struct File: Hashable, Sendable {
        /// The path within the folder, with `/` between its parts.
        public var name: String
        /// The length in bytes.
        public var length: Int
        /// SHA-256 of the content, 64 lower-case hexadecimal digits.
        public var sha256: String

        /// A file of a given length and hash.
        public init(name: String, length: Int, sha256: String) {
            self.name = name
            self.length = length
            self.sha256 = sha256
        }
    }

    /// The name of the manifest in its folder.
    public static let fileName = "manifest.json"
    /// The version that this program writes, and the newest that it reads.
    public static let currentVersion = 1
    /// The version of the file's layout.
    public var version: Int
    /// The files, in the order in which they were listed.
    public var files: [File]

    /// A manifest of the current version.
    public init(files: [File]) {
        version = Self.currentVersion
        self.files = files
    }

    /// Measures files of a folder and writes its manifest, atomically.
    ///
    /// - Parameters:
    ///   - folder: the folder.
    ///   - files: paths within the folder, of files that are there.
    /// - Returns: what was written.
    /// - Throws: `HoneError`: `.fileSystem` when a file cannot be read or the manifest not written, `.badFile` when a
    ///   name is not plain or stands twice.
    @discardableResult
    public static func write(folder: String, files: [String]) throws -> Manifest {
        let manifest = Manifest(
            files: try files.map { name in
                let path = FolderPath.join(folder, try SafeName.check(relativePath: name))
                let (length, sha256) = try FileHash.lengthAndSHA256(ofFile: path)
                return File(name: name, length: length, sha256: sha256)
            })
        // Read back what was made, so that nothing is ever written that cannot be read.
        _ = try Manifest(json: manifest.json, file: nil)
        try AtomicFile.write(manifest.json.text(pretty: true) + "\n", to: FolderPath.join(folder, fileName))
        return manifest
    }

    /// Reads the manifest of a folder.
    ///
    /// - Throws: `HoneError`: `.fileSystem` when it is not there, `.badFile` when it is not a manifest, `.unsupported`
    ///   when a newer version of Hone wrote it.
    public static func read(folder: String) throws -> Manifest {
        let path = FolderPath.join(folder, fileName)
        return try Manifest(json: try JSON.read(file: path), file: path)
    }

    /// Reads the manifest of a folder and every file that it lists.
    ///
    /// - Returns: the manifest, every word of which is true.
    /// - Throws: `HoneError` that names the first file that is missing, truncated or changed (`.badFile`); also what
    ///   `read(folder:)` throws.
    @discardableResult
    public static func verify(folder: String) throws -> Manifest {
        let manifest = try read(folder: folder)
        for file in manifest.files { try file.verify(in: folder) }
        return manifest
    }

    /// The manifest as JSON.
    public var json: JSON {
        [
            "version": .integer(version),
            "files": .array(
                files.map { ["name": .string($0.name), "length": .integer($0.length), "sha256": .string($0.sha256)] }),
        ]
    }

    /// Reads a manifest from JSON.
    ///
    /// - Parameters:
    ///   - json: the content of the file.
    ///   - file: the name to put into errors.
    /// - Throws: `HoneError`: `.badFile` when this is not a manifest, `.unsupported` when it is of a newer version.
    public init(json: JSON, file: String?) throws {
        guard let version = json["version"]?.integer, version > 0 else {
            throw HoneError(.badFile, "the manifest has no version number", file: file, item: "version")
        }
        guard version <= Self.currentVersion else {
            throw HoneError(
                .unsupported,
                "a newer version of Hone wrote this folder (layout \(version), this version reads up to "
                    + "\(Self.currentVersion)); update Hone", file: file)
        }
        guard let list = json["files"]?.array else {
            throw HoneError(.badFile, "the manifest has no list of files", file: file, item: "files")
        }
        var seen: Set<ExactString> = []
        self.version = version
        files = try list.map { entry in
            guard let name = entry["name"]?.string, let length = entry["length"]?.integer, length >= 0,
                let sha256 = entry["sha256"]?.string, Self.isHash(sha256)
            else {
                throw HoneError(
                    .badFile, "an entry of the manifest lacks its name, its length or its SHA-256", file: file,
                    item: "files")
            }
            try SafeName.check(relativePath: name, from: file)
            guard seen.insert(ExactString(name)).inserted else {
                throw HoneError(.badFile, "the manifest lists \(name) twice", file: file)
            }
            return File(name: name, length: length, sha256: sha256)
        }
    }

    private static func isHash(_ text: String) -> Bool {
        text.utf8.count == 64
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }
}

extension Manifest.File {
    /// Throws when the file in the folder is not the one that was listed.
    func verify(in folder: String) throws {
        let path = FolderPath.join(folder, name)
        var part = folder
        for component in name.split(separator: "/") {
            part = FolderPath.join(part, String(component))
            var status = stat()
            guard lstat(part, &status) == 0 else {
                if errno == ENOENT || errno == ENOTDIR {
                    throw HoneError(.badFile, "the file is missing, though the manifest lists it", file: path)
                }
                throw FileProblem.error("cannot read", path, errno)
            }
            if status.st_mode & S_IFMT == S_IFLNK {
                throw HoneError(.badFile, "a link stands where the manifest lists a file", file: path)
            }
        }
        let (found, hash) = try FileHash.lengthAndSHA256(ofFile: path)
        if found != length {
            throw HoneError(
                .badFile,
                "the file is \(found < length ? "truncated" : "too long"): \(found) bytes instead of \(length)",
                file: path)
        }
        if hash != sha256 {
            throw HoneError(.badFile, "the file has changed since it was written: its SHA-256 differs", file: path)
        }
    }
}
