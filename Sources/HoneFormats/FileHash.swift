/// SHA-256 (FIPS 180-4) of files and bytes, as 64 lower-case hexadecimal digits.
public enum FileHash {
    /// The hash of a file's content, read in pieces of 1 MiB.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) when the file cannot be read.
    public static func sha256(ofFile path: String) throws -> String {
        try lengthAndSHA256(ofFile: path).sha256
    }

    /// The length in bytes and the hash of a file's content, from one reading.
    ///
    /// - Throws: `HoneError` (`.fileSystem`) when the file cannot be read.
    public static func lengthAndSHA256(ofFile path: String) throws -> (length: Int, sha256: String) {
        let descriptor = try FileDescriptor(reading: path, onlyRegular: true)
        var hash = ContentHash(.sha256)
        var length = 0
        try descriptor.forEachPiece { piece in
            hash.update(piece)
            length += piece.count
        }
        return (length, hash.finish())
    }

    /// The hash of bytes.
    public static func sha256(of bytes: some Collection<UInt8>) -> String {
        var hash = ContentHash(.sha256)
        (bytes as? [UInt8] ?? Array(bytes)).withUnsafeBytes { hash.update($0) }
        return hash.finish()
    }

    /// The hash of the UTF-8 bytes of a text.
    public static func sha256(of text: String) -> String {
        sha256(of: Array(text.utf8))
    }
}
