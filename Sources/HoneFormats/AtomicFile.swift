import Foundation

/// Writing a file so that a reader, or a crash at any instant, finds the old content or the new, never a part.
///
/// The content goes to a temporary file in the same folder, named `.hone-….tmp`; it is brought to the disk (`fsync`),
/// renamed over the target, and the folder is brought to the disk. When anything fails, the temporary file is removed
/// and the target stays as it was. Only a killed process can leave a temporary file behind. A symbolic link at the
/// target is replaced, not followed.
public enum AtomicFile {
    /// Writes what a closure hands over, piece by piece.
    ///
    /// - Parameters:
    ///   - path: the file to make or replace; its folder must exist.
    ///   - body: writes the content; when it throws, nothing changes and its error is passed on.
    /// - Throws: `HoneError` (`.fileSystem`) that names the file and the reason; the errors of `body`.
    public static func write<Result>(to path: String, _ body: (Writer) throws -> Result) throws -> Result {
        let folder = FolderPath.parent(of: path)
        let permissions = try permissionsForReplacing(path, in: folder)
        let temporary = FolderPath.temporary(in: folder)
        let number = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard number >= 0 else { throw FileProblem.error("cannot write", path, errno) }
        var isRenamed = false
        defer { if !isRenamed { unlink(temporary) } }
        // Errors name the target: the temporary name means nothing to the user.
        let descriptor = FileDescriptor(number: number, path: path)
        if let permissions { fchmod(number, permissions) }
        let writer = Writer(descriptor)
        let result = try body(writer)
        try writer.finish()
        guard rename(temporary, path) == 0 else { throw FileProblem.error("cannot write", path, errno) }
        isRenamed = true
        try FolderPath.synchronize(folder)
        return result
    }

    /// Writes bytes; see `write(to:_:)`.
    public static func write(_ bytes: some Collection<UInt8>, to path: String) throws {
        try write(to: path) { try $0.write(bytes) }
    }

    /// Writes the UTF-8 bytes of a text; see `write(to:_:)`.
    public static func write(_ text: String, to path: String) throws {
        try write(to: path) { try $0.write(text) }
    }

    /// The permissions of the file that is about to be replaced; throws where the target is, or is not in, a folder.
    private static func permissionsForReplacing(_ path: String, in folder: String) throws -> mode_t? {
        try FileProblem.checkPath(path)
        if path.hasSuffix("/") { throw FileProblem.error("cannot write", path, EISDIR) }
        var status = stat()
        if lstat(path, &status) == 0 {
            if status.st_mode & S_IFMT == S_IFDIR { throw FileProblem.error("cannot write", path, EISDIR) }
            return status.st_mode & S_IFMT == S_IFREG ? status.st_mode & 0o777 : nil
        }
        guard stat(folder, &status) == 0 else {
            if errno == ENOENT { throw HoneError(.fileSystem, "cannot write: its folder does not exist", file: path) }
            throw FileProblem.error("cannot write", path, errno)
        }
        return nil
    }

    /// Takes the content of the file being written, in order.
    public final class Writer {
        /// How many bytes have been written so far.
        public private(set) var count = 0
        private let descriptor: FileDescriptor
        private var buffer: [UInt8] = []

        init(_ descriptor: FileDescriptor) {
            self.descriptor = descriptor
        }

        /// Appends bytes.
        ///
        /// - Throws: `HoneError` (`.fileSystem`) when they cannot be written.
        public func write(_ bytes: UnsafeRawBufferPointer) throws {
            count += bytes.count
            if buffer.count + bytes.count <= 1 << 16 {
                buffer += bytes
            } else {
                try flush()
                try descriptor.write(bytes)
            }
        }

        /// Appends bytes.
        ///
        /// - Throws: `HoneError` (`.fileSystem`) when they cannot be written.
        public func write(_ bytes: some Collection<UInt8>) throws {
            let direct: Void? = try bytes.withContiguousStorageIfAvailable { try write(UnsafeRawBufferPointer($0)) }
            if direct == nil { try Array(bytes).withUnsafeBytes { try write($0) } }
        }

        /// Appends the UTF-8 bytes of a text.
        ///
        /// - Throws: `HoneError` (`.fileSystem`) when they cannot be written.
        public func write(_ text: String) throws {
            try write(text.utf8)
        }

        func finish() throws {
            try flush()
            try descriptor.synchronize()
        }

        private func flush() throws {
            try buffer.withUnsafeBytes { try descriptor.write($0) }
            buffer.removeAll(keepingCapacity: true)
        }
    }
}
