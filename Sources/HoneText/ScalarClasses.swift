/// Which classes each Unicode scalar belongs to, as one lookup.
///
/// Built once from `UnicodeRanges`, so that token ids stay the same when a newer standard library knows newer characters.
struct ScalarClasses: Sendable {
    /// A set of classes.
    typealias Flags = UInt32

    static let letter: Flags = 1 << 0
    static let number: Flags = 1 << 1
    static let numeric: Flags = 1 << 2
    static let word: Flags = 1 << 3
    static let whitespace: Flags = 1 << 4
    static let punctuation: Flags = 1 << 5
    static let nonspacingMark: Flags = 1 << 6
    static let mark: Flags = 1 << 7
    static let control: Flags = 1 << 8
    static let chinese: Flags = 1 << 9
    static let decomposes: Flags = 1 << 10
    static let composes: Flags = 1 << 11
    static let decomposesCompatibly: Flags = 1 << 12
    static let composesCompatibly: Flags = 1 << 13
    static let mappedLater: Flags = 1 << 14
    static let joinsCluster: Flags = 1 << 15
    static let startsCluster: Flags = 1 << 16
    static let breaksCluster: Flags = 1 << 17

    /// The table that everything shares; immutable.
    static let shared = ScalarClasses()

    /// Scalars below this are in `table`; above it there are only a few ranges, kept in `tail`.
    private static let limit = 0x40000
    private let table: [Flags]
    private let tail: [(range: ClosedRange<Int>, flags: Flags)]

    private init() {
        let sources: [(String, Flags)] = [
            (UnicodeRanges.letter, Self.letter), (UnicodeRanges.number, Self.number),
            (UnicodeRanges.numeric, Self.numeric), (UnicodeRanges.word, Self.word),
            (UnicodeRanges.whitespace, Self.whitespace), (UnicodeRanges.punctuation, Self.punctuation),
            (UnicodeRanges.nonspacingMark, Self.nonspacingMark), (UnicodeRanges.mark, Self.mark),
            (UnicodeRanges.control, Self.control), (UnicodeRanges.chinese, Self.chinese),
            (UnicodeRanges.decomposes, Self.decomposes), (UnicodeRanges.composes, Self.composes),
            (UnicodeRanges.decomposesCompatibly, Self.decomposesCompatibly),
            (UnicodeRanges.composesCompatibly, Self.composesCompatibly),
            (UnicodeRanges.mappedLater, Self.mappedLater), (UnicodeRanges.joinsCluster, Self.joinsCluster),
            (UnicodeRanges.startsCluster, Self.startsCluster), (UnicodeRanges.breaksCluster, Self.breaksCluster),
        ]
        var table = [Flags](repeating: 0, count: Self.limit)
        var tail: [(range: ClosedRange<Int>, flags: Flags)] = []
        for (text, flag) in sources {
            Self.readRanges(text) { range in
                for scalar in range.lowerBound..<max(range.lowerBound, min(range.upperBound + 1, Self.limit)) {
                    table[scalar] |= flag
                }
                if range.upperBound >= Self.limit { tail.append((range, flag)) }
            }
        }
        self.table = table
        self.tail = tail
    }

    /// Reads the notation of `UnicodeRanges`.
    private static func readRanges(_ text: String, _ body: (ClosedRange<Int>) -> Void) {
        var position = 0
        var gap = 0
        var length = 0
        var isLength = false
        func finish() {
            let first = position + gap
            body(first...(first + length))
            position = first + length + 1
        }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: ","):
                finish()
                gap = 0
                length = 0
                isLength = false
            case UInt8(ascii: "-"):
                isLength = true
            default:
                let digit = Int(byte < 0x3A ? byte - 0x30 : byte - 0x61 + 10)
                if isLength { length = length * 16 + digit } else { gap = gap * 16 + digit }
            }
        }
        finish()
    }

    /// The classes of a scalar.
    @inline(__always)
    subscript(scalar: UInt32) -> Flags {
        let index = Int(scalar)
        return index < Self.limit ? table[index] : beyond(index)
    }

    private func beyond(_ scalar: Int) -> Flags {
        tail.reduce(0) { $1.range.contains(scalar) ? $0 | $1.flags : $0 }
    }
}

/// Reads the scalar that starts at an index of valid UTF-8 and moves the index behind it.
///
/// On bytes that are not valid UTF-8 it still moves by one to four bytes and stays within `end`.
@inline(__always)
func nextScalar(_ bytes: [UInt8], _ index: inout Int, _ end: Int) -> UInt32 {
    let first = UInt32(bytes[index])
    index += 1
    if first < 0x80 { return first }
    var remaining = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3
    var scalar = first < 0xE0 ? first & 0x1F : first < 0xF0 ? first & 0x0F : first & 0x07
    while remaining > 0, index < end {
        scalar = scalar << 6 | UInt32(bytes[index] & 0x3F)
        index += 1
        remaining -= 1
    }
    return scalar
}

/// Where the scalar starts that ends before an index above zero.
@inline(__always)
func scalarStart(_ bytes: [UInt8], before end: Int) -> Int {
    var start = end - 1
    while start > 0, bytes[start] & 0xC0 == 0x80 { start -= 1 }
    return start
}

/// How many bytes the scalar has whose first byte this is.
@inline(__always)
func scalarLength(_ first: UInt8) -> Int {
    first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
}

/// Appends the UTF-8 form of a scalar.
@inline(__always)
func appendScalar(_ scalar: UInt32, to bytes: inout [UInt8]) {
    if scalar < 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: scalar))
    } else if scalar < 0x800 {
        bytes.append(UInt8(truncatingIfNeeded: 0xC0 | scalar >> 6))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else if scalar < 0x10000 {
        bytes.append(UInt8(truncatingIfNeeded: 0xE0 | scalar >> 12))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    } else {
        bytes.append(UInt8(truncatingIfNeeded: 0xF0 | scalar >> 18))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 12 & 0x3F))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar >> 6 & 0x3F))
        bytes.append(UInt8(truncatingIfNeeded: 0x80 | scalar & 0x3F))
    }
}
