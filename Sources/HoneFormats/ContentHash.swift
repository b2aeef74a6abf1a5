import CHoneDigest

/// A hash of content that comes in pieces.
///
///     var hash = ContentHash(.gitBlob(length: 5))
///     "hello".withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
///     hash.finish()      // "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"
public struct ContentHash: Sendable {
    /// Which hash.
    public enum Kind: Hashable, Sendable {
        /// SHA-256 of the content: 64 digits.
        case sha256
        /// The name that git gives to a file's content: SHA-1 over `blob`, the length in bytes, a NUL and the content;
        /// 40 digits. Good against accidents; against forgers SHA-1 is weak.
        case gitBlob(length: Int)
    }

    private enum State {
        case sha256(hone_sha256)
        case sha1(hone_sha1)
    }

    private var state: State

    /// An empty hash.
    public init(_ kind: Kind) {
        switch kind {
        case .sha256:
            var digest = hone_sha256()
            hone_sha256_start(&digest)
            state = .sha256(digest)
        case .gitBlob(let length):
            var digest = hone_sha1()
            hone_sha1_start(&digest)
            let start = Array("blob \(length)\0".utf8)
            hone_sha1_update(&digest, start, start.count)
            state = .sha1(digest)
        }
    }

    /// Adds a piece.
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch state {
        case .sha256(var digest):
            hone_sha256_update(&digest, bytes.baseAddress, bytes.count)
            state = .sha256(digest)
        case .sha1(var digest):
            hone_sha1_update(&digest, bytes.baseAddress, bytes.count)
            state = .sha1(digest)
        }
    }

    /// The hash as lower-case hexadecimal digits; nothing can be added afterwards.
    public mutating func finish() -> String {
        let bytes: [UInt8]
        switch state {
        case .sha256(var digest):
            bytes = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { result in
                hone_sha256_finish(&digest, result.baseAddress)
                return Array(result)
            }
        case .sha1(var digest):
            bytes = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { result in
                hone_sha1_finish(&digest, result.baseAddress)
                return Array(result)
            }
        }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
