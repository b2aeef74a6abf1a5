import Foundation
import HoneFormats

/// A folder of the cache that is open, so that names in it mean what they meant when it was opened.
///
/// Below the cache's root no step goes through a symbolic link: whatever lies in the cache, nothing is written outside.
final class CacheFolder: Sendable {
    let descriptor: Int32
    /// For messages.
    let path: String

    private init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// Opens the root, which is made where it does not exist.
    static func root(_ path: String) throws -> CacheFolder {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw HoneError(.fileSystem, "the Hub cache cannot be made here; set HF_HOME to another place", file: path)
        }
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileProblem.error("cannot open the Hub cache", path, errno) }
        return CacheFolder(descriptor: descriptor, path: path)
    }

    /// Opens a folder in this one, which is made where it does not exist.
    func folder(_ name: String) throws -> CacheFolder {
        try check(name)
        let full = path + "/" + name
        if mkdirat(descriptor, name, 0o777) != 0, errno != EEXIST {
            throw FileProblem.error("cannot make", full, errno)
        }
        let inner = openat(descriptor, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard inner >= 0 else {
            if errno == ELOOP || errno == ENOTDIR {
                throw HoneError(
                    .fileSystem, "is a link or a file where the Hub cache has a folder; nothing is written through it",
                    file: full)
            }
            throw FileProblem.error("cannot open", full, errno)
        }
        return CacheFolder(descriptor: inner, path: full)
    }

    /// Opens a folder some levels below.
    func folder(_ names: some Sequence<some StringProtocol>) throws -> CacheFolder {
        try names.reduce(self) { try $0.folder(String($1)) }
    }

    /// Opens a file to read and write it; it is made where it does not exist.
    func file(_ name: String, permissions: mode_t = 0o666) throws -> CacheFile {
        try check(name)
        let full = path + "/" + name
        let number = openat(descriptor, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, permissions)
        guard number >= 0 else {
            if errno == ELOOP {
                throw HoneError(.fileSystem, "is a link where a file should be; delete it", file: full)
            }
            throw FileProblem.error("cannot write", full, errno)
        }
        let file = CacheFile(descriptor: number, path: full)
        guard file.isRegular else { throw HoneError(.fileSystem, "is no plain file; delete it", file: full) }
        return file
    }

    /// The length of what is there after following links; `nil` where nothing is.
    func length(_ name: String) -> Int? {
        var status = stat()
        guard fstatat(descriptor, name, &status, 0) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }

    /// The file number of what is there, without following a link.
    func identity(_ name: String) -> UInt? {
        var status = stat()
        return fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? UInt(status.st_ino) : nil
    }

    /// Renames within this folder, or into another one; what has the new name is replaced.
    func rename(_ name: String, to new: String, in other: CacheFolder? = nil) throws {
        try check(new)
        guard renameat(descriptor, name, (other ?? self).descriptor, new) == 0 else {
            throw FileProblem.error("cannot write", (other ?? self).path + "/" + new, errno)
        }
    }

    /// Removes a file, if it is there.
    func remove(_ name: String) { unlinkat(descriptor, name, 0) }

    /// Makes a link with a target; what has the name is replaced at once.
    ///
    /// - Returns: Whether the file system has links.
    func link(_ name: String, to target: String) throws -> Bool {
        try check(name)
        let temporary = CacheFolder.temporaryName()
        guard symlinkat(target, descriptor, temporary) == 0 else {
            if errno == EPERM || errno == ENOTSUP || errno == ENOSYS { return false }
            throw FileProblem.error("cannot link", path + "/" + name, errno)
        }
        do {
            try rename(temporary, to: name)
        } catch {
            remove(temporary)
            throw error
        }
        return true
    }

    /// Writes a small file at once.
    func write(_ text: String, to name: String) throws {
        let temporary = CacheFolder.temporaryName()
        let file = try file(temporary)
        do {
            try Array(text.utf8).withUnsafeBytes { try file.write($0, at: 0) }
            try file.synchronize()
            try rename(temporary, to: name)
        } catch {
            remove(temporary)
            throw error
        }
    }

    /// Brings the names to the disk, where the file system can.
    func synchronize() { fsync(descriptor) }

    /// How many bytes are free; `nil` where that is not known.
    var freeBytes: Int? {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { return nil }
        let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return overflow ? nil : Int(clamping: bytes)
    }

    private static func temporaryName() -> String { "hone-\(String(UInt64.random(in: .min ... .max), radix: 36)).tmp" }

    /// Names come from checked places; this is the last door before the file system.
    private func check(_ name: String) throws {
        guard !name.isEmpty, name != ".", name != "..", !name.utf8.contains(0), !name.utf8.contains(0x2F) else {
            throw HoneError(.badFile, "a name in the Hub cache is refused: \(ModelReference.shown(name))", file: path)
        }
    }
}

/// An open file of the cache.
final class CacheFile: Sendable {
    let descriptor: Int32
    let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// What kind of thing this is and which.
    private var status: stat? {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? status : nil
    }

    /// Whether this is a plain file.
    var isRegular: Bool { status.map { $0.st_mode & S_IFMT == S_IFREG } ?? false }

    /// The file number.
    var identity: UInt? { status.map { UInt($0.st_ino) } }

    /// The length in bytes.
    func length() throws -> Int {
        guard let status else { throw FileProblem.error("cannot read", path, errno) }
        return Int(status.st_size)
    }

    /// Cuts the file.
    func truncate(to length: Int) throws {
        guard ftruncate(descriptor, length) == 0 else { throw FileProblem.error("cannot write", path, errno) }
    }

    /// Writes all bytes at a place.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        var done = 0
        while done < bytes.count {
            let written = pwrite(descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, offset + done)
            if written >= 0 {
                done += written
            } else if errno != EINTR {
                throw FileProblem.error("cannot write", path, errno)
            }
        }
    }

    /// Hands out the content up to a length, in pieces.
    func forEachPiece(upTo length: Int, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        var done = 0
        while done < length {
            let got = pread(descriptor, buffer.baseAddress, min(buffer.count, length - done), done)
            if got > 0 {
                try body(UnsafeRawBufferPointer(rebasing: buffer[..<got]))
                done += got
            } else if got == 0 || errno != EINTR {
                throw FileProblem.error("cannot read", path, got == 0 ? EIO : errno)
            }
        }
    }

    /// Waits until everything written is on the disk.
    func synchronize() throws {
        while fsync(descriptor) != 0 {
            if errno == EINVAL || errno == ENOTSUP { return }
            if errno != EINTR { throw FileProblem.error("cannot write to the disk", path, errno) }
        }
    }
}

/// The lock of one blob, as Python's `filelock` takes it (`flock` on `.locks/MODEL/HASH.lock`), so that the two do not fetch
/// the same file at once. It is a courtesy: what is written stays whole without it.
final class BlobLock {
    private let file: CacheFile

    /// Waits for the lock.
    ///
    /// - Parameter wait: called ten times a second; may throw to give up.
    init(folder: CacheFolder, name: String, wait: () throws -> Void) throws {
        var rounds = 0
        while true {
            let file = try folder.file(name, permissions: 0o664)
            while flock(file.descriptor, LOCK_EX | LOCK_NB) != 0 {
                // Not every network file system has locks.
                guard errno == EWOULDBLOCK || errno == EINTR else { break }
                try wait()
                usleep(100_000)
            }
            rounds += 1
            // Who held it may have removed the file: then others lock a new one.
            if folder.identity(name) == file.identity || rounds == 100 {
                self.file = file
                return
            }
        }
    }

    deinit { flock(file.descriptor, LOCK_UN) }
}
