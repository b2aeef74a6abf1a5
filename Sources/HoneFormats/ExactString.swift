import Foundation

/// A string that equals another only when both have the same UTF-8 bytes.
///
/// Swift's own `String` takes the two ways to write "é" (one scalar, or a letter and an accent) for one string, JSON
/// (RFC 8259 section 8.3), safetensors and tokenizers do not: a vocabulary may list both. Dictionaries whose keys come
/// from files should have this type for a key.
public struct ExactString: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The string itself.
    public let text: String

    /// The exact string of a text.
    public init(_ text: String) { self.text = text }

    /// The exact string of a literal.
    public init(stringLiteral value: String) { text = value }

    /// The text.
    public var description: String { text }

    /// Whether both have the same bytes.
    public static func == (left: ExactString, right: ExactString) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    /// Feeds the bytes.
    public func hash(into hasher: inout Hasher) {
        let contiguous: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if contiguous == nil {
            for byte in text.utf8 { hasher.combine(byte) }
        }
        hasher.combine(0xFF as UInt8)
    }
}

extension String {
    /// Whether two strings have the same UTF-8 bytes, without regard to canonical equivalence.
    public func hasSameBytes(as other: String) -> Bool {
        let same = utf8.withContiguousStorageIfAvailable { mine in
            other.utf8.withContiguousStorageIfAvailable { theirs -> Bool in
                guard mine.count == theirs.count else { return false }
                guard let left = mine.baseAddress, let right = theirs.baseAddress else { return true }
                return memcmp(left, right, mine.count) == 0
            }
        }
        if let same, let same { return same }
        return utf8.elementsEqual(other.utf8)
    }
}
