import Foundation

/// Reading whole files, with errors in plain words.
public enum FileBytes {
    /// All bytes of the file at a path; pipes are read to their end.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - limit: the most bytes to take; a longer file is refused.
    /// - Throws: `HoneError` (`.fileSystem`) that names the file and the reason.
    public static func read(_ path: String, limit: Int = 4 << 30) throws -> [UInt8] {
        let descriptor = try FileDescriptor(reading: path)
        let expected = try descriptor.length()
        guard expected <= limit else { throw FileProblem.tooLarge(path, limit) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(expected)
        try descriptor.forEachPiece { piece in
            guard bytes.count + piece.count <= limit else { throw FileProblem.tooLarge(path, limit) }
            bytes += piece
        }
        return bytes
    }
}

/// An open file, closed when nobody holds it any more.
final class FileDescriptor: Sendable {
    let number: Int32
    let path: String

    /// Takes over an open descriptor.
    init(number: Int32, path: String) {
        self.number = number
        self.path = path
    }

    /// Opens a file to read it; a folder is refused, and, where asked, a pipe, which could keep us waiting for ever.
    convenience init(reading path: String, onlyRegular: Bool = false) throws {
        try FileProblem.checkPath(path)
        let number = open(path, O_RDONLY | O_CLOEXEC | (onlyRegular ? O_NONBLOCK : 0))
        guard number >= 0 else { throw FileProblem.error("cannot open", path, errno) }
        self.init(number: number, path: path)
        var status = stat()
        guard fstat(number, &status) == 0 else { throw FileProblem.error("cannot read", path, errno) }
        guard status.st_mode & S_IFMT != S_IFDIR else { throw FileProblem.error("cannot read", path, EISDIR) }
        guard !onlyRegular || status.st_mode & S_IFMT == S_IFREG else {
            throw HoneError(.fileSystem, "cannot read: this is a pipe or a device, not a file", file: path)
        }
    }

    deinit { close(number) }

    /// The length of the file now, in bytes; 0 for a pipe.
    func length() throws -> Int {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw FileProblem.error("cannot read", path, errno) }
        return Int(status.st_size)
    }

    /// Reads from the present position to the end, in pieces of at most 1 MiB.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let got = read(number, buffer.baseAddress, buffer.count)
            if got > 0 {
                try body(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
            } else if got == 0 {
                return
            } else if errno != EINTR {
                throw FileProblem.error("cannot read", path, errno)
            }
        }
    }

    /// Writes all bytes at the present position.
    func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = Foundation.write(number, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if written >= 0 {
                rest = rest.dropFirst(written)
            } else if errno != EINTR {
                throw FileProblem.error("cannot write", path, errno)
            }
        }
    }

    /// Waits until everything written is on the disk.
    func synchronize() throws {
        while fsync(number) != 0 {
            // Pipes and some special file systems have nothing to wait for.
            if errno == EINVAL || errno == ENOTSUP { return }
            if errno != EINTR { throw FileProblem.error("cannot write to the disk", path, errno) }
        }
    }
}

/// Errors of the file system, said the same way everywhere.
package enum FileProblem {
    /// "cannot open: there is no such file or folder", with the path as the place.
    package static func error(_ what: String, _ path: String, _ number: Int32) -> HoneError {
        HoneError(.fileSystem, "\(what): \(words(number))", file: path)
    }

    static func tooLarge(_ path: String, _ limit: Int) -> HoneError {
        HoneError(.fileSystem, "the file is larger than \(limit) bytes", file: path)
    }

    /// C cuts a path at its first NUL, so such a path would name another file.
    static func checkPath(_ path: String) throws {
        if path.isEmpty { throw HoneError(.fileSystem, "the path of the file is empty") }
        if path.utf8.contains(0) { throw HoneError(.fileSystem, "the path of the file contains a NUL character") }
    }

    private static func words(_ number: Int32) -> String {
        switch number {
        case ENOENT: "there is no such file or folder"
        case EACCES, EPERM: "permission denied"
        case EISDIR: "this is a folder"
        case ENOTDIR: "a part of the path is not a folder"
        case ENOSPC: "the disk is full"
        case EDQUOT: "the disk quota is used up"
        case EROFS: "the file system is read-only"
        case EMFILE, ENFILE: "too many files are open"
        case ENAMETOOLONG: "the name is too long"
        case EEXIST, ENOTEMPTY: "something of this name is there already"
        default: String(cString: strerror(number))
        }
    }
}
