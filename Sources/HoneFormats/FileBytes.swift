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
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem.error("cannot open the file", path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileProblem.error("cannot read the file", path, errno) }
        if status.st_mode & S_IFMT == S_IFDIR { throw FileProblem.error("cannot read the file", path, EISDIR) }
        let expected = Int(status.st_size)
        guard expected <= limit else { throw FileProblem.tooLarge(path, limit) }
        var bytes: [UInt8] = []
        // One byte more than expected, so that the end is seen without a second buffer.
        var chunk = max(expected + 1, 1 << 16)
        while true {
            let count = bytes.count
            var failure: Int32 = 0
            let part = [UInt8](unsafeUninitializedCapacity: chunk) { buffer, length in
                length = 0
                while length < buffer.count {
                    let got = Foundation.read(
                        descriptor, buffer.baseAddress.map { $0 + length }, buffer.count - length)
                    if got > 0 {
                        length += got
                    } else if got == 0 {
                        return
                    } else if errno != EINTR {
                        failure = errno
                        return
                    }
                }
            }
            guard failure == 0 else { throw FileProblem.error("cannot read the file", path, failure) }
            if count == 0 { bytes = part } else { bytes += part }
            guard bytes.count <= limit else { throw FileProblem.tooLarge(path, limit) }
            if part.count < chunk { return bytes }
            chunk = 1 << 20
        }
    }
}

/// Errors of the file system, said the same way everywhere.
enum FileProblem {
    /// "cannot open the file: No such file or directory", with the path as the place.
    static func error(_ what: String, _ path: String, _ number: Int32) -> HoneError {
        HoneError(.fileSystem, "\(what): \(words(number))", file: path)
    }

    static func tooLarge(_ path: String, _ limit: Int) -> HoneError {
        HoneError(.fileSystem, "the file is larger than \(limit) bytes", file: path)
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
