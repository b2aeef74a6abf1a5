import Glibc

/// An advisory lock (`flock`) on a file or a folder, kept until nobody holds this value any more, or the process ends.
///
/// Other processes see it, and so does a second lock in this one. On a file system without locks it is always given.
public final class FileLock: Sendable {
    private let descriptor: FileDescriptor

    private init(_ descriptor: FileDescriptor) { self.descriptor = descriptor }

    /// Waits until nobody else has a lock on a folder.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) where the folder cannot be opened.
    public static func waiting(forFolder path: String) throws -> FileLock {
        let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard number >= 0 else { throw FileProblem.error("cannot open", path, errno) }
        let lock = FileLock(FileDescriptor(number: number, path: path))
        while flock(number, LOCK_EX) != 0, errno == EINTR {}
        return lock
    }

    /// The lock on a file, which is made where there is none; `nil` where someone else has it.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) where the file cannot be opened.
    public static func claim(_ path: String) throws -> FileLock? {
        try FileProblem.checkPath(path)
        var rounds = 0
        while true {
            rounds += 1
            let number = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o666)
            guard number >= 0 else { throw FileProblem.error("cannot open", path, errno) }
            let lock = FileLock(FileDescriptor(number: number, path: path))
            while flock(number, LOCK_EX | LOCK_NB) != 0 {
                if errno == EWOULDBLOCK { return nil }
                if errno != EINTR { break }
            }
            // Who had it may have removed the file: others would then lock a new one. Where files have no lasting identity, the
            // lock is taken as it is.
            var held = stat()
            var named = stat()
            let isNamed =
                fstat(number, &held) == 0 && lstat(path, &named) == 0 && held.st_ino == named.st_ino
                && held.st_dev == named.st_dev
            if isNamed || rounds == 100 { return lock }
        }
    }
}
