import Glibc

/// What lies under a path.
public enum FileStatus {
    /// Whether something is there.
    public static func exists(_ path: String) -> Bool { mode(path) != nil }

    /// Whether a folder is there.
    public static func isFolder(_ path: String) -> Bool { mode(path).map { $0 & S_IFMT == S_IFDIR } ?? false }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return !path.utf8.contains(0) && stat(path, &status) == 0 ? status.st_mode : nil
    }
}
