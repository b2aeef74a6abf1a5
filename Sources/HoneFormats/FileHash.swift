import Crypto
import Foundation

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
        var hash = SHA256()
        var length = 0
        try descriptor.forEachPiece { piece in
            hash.update(bufferPointer: piece)
            length += piece.count
        }
        return (length, hexadecimal(hash.finalize()))
    }

    /// The hash of bytes.
    public static func sha256(of bytes: some Collection<UInt8>) -> String {
        hexadecimal(SHA256.hash(data: bytes as? [UInt8] ?? Array(bytes)))
    }

    /// The hash of the UTF-8 bytes of a text.
    public static func sha256(of text: String) -> String {
        sha256(of: Array(text.utf8))
    }

    private static func hexadecimal(_ digest: SHA256.Digest) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
