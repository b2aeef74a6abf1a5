import Foundation
import HoneFormats

/// The normalisation table of a SentencePiece model (Kudo and Richardson 2018, section 3.2): what some sequences of
/// characters become, mostly NFKC with a few rules more.
///
/// The table is a double array over bytes whose leaves point into a block of replacements, each ended by a zero byte.
/// Clusters of characters of up to five bytes are looked up as a whole first, then each of their characters.
struct CharacterMap: Sendable {
    /// The units of the double array: label, offset and whether a leaf hangs below.
    private let units: [UInt32]
    private let replacements: [UInt8]
    /// For each ASCII character alone, where its replacement starts, or -1.
    private var ascii: [Int32] = []

    /// Clusters of this many bytes and more are never looked up as a whole.
    private static let clusterLimit = 6

    init(_ component: Component) throws(HoneError) {
        let text = try component.string("precompiled_charsmap")
        guard let data = Data(base64Encoded: text) else {
            throw component.problem("“precompiled_charsmap” is not valid base64")
        }
        let bytes = [UInt8](data)
        func word(_ index: Int) -> UInt32 {
            UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16
                | UInt32(bytes[index + 3]) << 24
        }
        guard bytes.count >= 4 else { throw component.problem("“precompiled_charsmap” is cut short") }
        let size = Int(word(0))
        guard size % 4 == 0, size <= bytes.count - 4 else {
            throw component.problem("“precompiled_charsmap” says that its table has \(size) bytes, and holds fewer")
        }
        units = (0..<(size / 4)).map { word(4 + 4 * $0) }
        replacements = Array(bytes[(4 + size)...])
        guard String(validating: replacements, as: UTF8.self) != nil else {
            throw component.problem("the replacements of “precompiled_charsmap” are not valid UTF-8")
        }
        ascii = (0..<128).map { replacement(of: [UInt8($0)], 0, 1) }
    }

    /// Where the replacement of the shortest entry that `bytes[start..<end]` begins with starts, or -1.
    ///
    /// That the shortest one counts, not the longest, is the reference's doing; so is that the rest is dropped.
    private func replacement(of bytes: [UInt8], _ start: Int, _ end: Int) -> Int32 {
        guard let root = units.first else { return -1 }
        var node = Self.offset(root)
        var index = start
        while index < end {
            let byte = Int(bytes[index])
            if byte == 0 { return -1 }
            node ^= byte
            guard node < units.count else { return -1 }
            let unit = units[node]
            if unit & 0x8000_00FF != UInt32(byte) { return -1 }
            node ^= Self.offset(unit)
            if unit >> 8 & 1 == 1 {
                guard node < units.count else { return -1 }
                let value = Int32(truncatingIfNeeded: units[node] & 0x7FFF_FFFF)
                return value <= replacements.count ? value : -1
            }
            index += 1
        }
        return -1
    }

    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int((unit & 1 << 9) >> 6) }

    /// The text of a replacement.
    private func text(_ start: Int32) -> ArraySlice<UInt8> {
        let rest = replacements[Int(start)...]
        return rest.prefix { $0 != 0 }
    }

    /// Rewrites a text.
    func apply(to text: inout AlignedText) {
        if text.isTracked { applyTracked(to: &text) } else { applyUntracked(to: &text) }
    }

    private func applyUntracked(to text: inout AlignedText) {
        var rewriter = TextRewriter(text)
        visit(text.bytes) { start, end, replacement in
            rewriter.keep(upTo: start)
            rewriter.append(self.text(replacement), from: start)
            rewriter.skip(to: end)
        }
        if !rewriter.isUntouched { text = rewriter.finish() }
    }

    private func applyTracked(to text: inout AlignedText) {
        // The reference counts changes from the start of the text on, so one that it counts wrongly moves all behind it.
        var changes: [(scalar: UInt32, change: Int)] = []
        let bytes = text.bytes
        var copied = 0
        func copy(upTo end: Int) {
            while copied < end { changes.append((nextScalar(bytes, &copied, end), 0)) }
        }
        visit(bytes) { start, end, replacement in
            copy(upTo: start)
            let before = changes.count
            let added = Array(self.text(replacement))
            var index = 0
            while index < added.count { changes.append((nextScalar(added, &index, added.count), 0)) }
            var old = 0
            var place = start
            while place < end {
                place += scalarLength(bytes[place])
                old += 1
            }
            let difference = changes.count - before - old
            if difference > 0 {
                for position in (changes.count - difference)..<changes.count { changes[position].change = 1 }
            } else if difference < 0, !changes.isEmpty {
                changes[changes.count - 1].change += difference
            }
            copied = end
        }
        if copied == 0 { return }
        copy(upTo: bytes.count)
        var rewriter = TextRewriter(text)
        rewriter.append(changes, replacing: 0)
        rewriter.skip(to: bytes.count)
        text = rewriter.finish()
    }

    /// Calls `body` with each part of a text that is replaced, from left to right.
    @inline(__always)
    private func visit(_ bytes: [UInt8], _ body: (_ start: Int, _ end: Int, _ replacement: Int32) -> Void) {
        let count = bytes.count
        var index = 0
        while index < count {
            let byte = bytes[index]
            if byte < 0x80, index &+ 1 == count || (bytes[index &+ 1] < 0x80 && byte != 0x0D) {
                let found = ascii[Int(byte)]
                if found >= 0 { body(index, index &+ 1, found) }
                index &+= 1
                continue
            }
            let end = Self.clusterEnd(bytes, index)
            if end - index < Self.clusterLimit {
                let found = replacement(of: bytes, index, end)
                if found >= 0 {
                    body(index, end, found)
                    index = end
                    continue
                }
            }
            while index < end {
                let next = min(end, index + scalarLength(bytes[index]))
                let found = replacement(of: bytes, index, next)
                if found >= 0 { body(index, next, found) }
                index = next
            }
        }
    }

    /// Where the cluster of characters ends that starts at an index (UAX #29).
    ///
    /// Only clusters of less than `clusterLimit` bytes matter, so flags and joined emoji, which have more, may fall apart.
    private static func clusterEnd(_ bytes: [UInt8], _ start: Int) -> Int {
        let classes = ScalarClasses.shared
        let count = bytes.count
        var end = start
        var flags = classes[nextScalar(bytes, &end, count)]
        if flags & ScalarClasses.breaksCluster != 0 {
            return bytes[start] == 0x0D && end < count && bytes[end] == 0x0A ? end + 1 : end
        }
        while end < count {
            var next = end
            let following = classes[nextScalar(bytes, &next, count)]
            let joins = following & ScalarClasses.joinsCluster != 0
            let isHeld =
                flags & ScalarClasses.startsCluster != 0 && following & ScalarClasses.breaksCluster == 0
            guard joins || isHeld || joinsSyllable(bytes, end, next) else { break }
            flags = following
            end = next
        }
        return end
    }

    /// Whether a Hangul vowel or final consonant continues what stands before it.
    private static func joinsSyllable(_ bytes: [UInt8], _ start: Int, _ end: Int) -> Bool {
        guard bytes[start] & 0xF0 == 0xE0 else { return false }
        var index = start
        let scalar = nextScalar(bytes, &index, end)
        guard (0x1100..<0x1200).contains(scalar) || (0xAC00..<0xD800).contains(scalar) else { return false }
        var previous = scalarStart(bytes, before: start)
        let left = nextScalar(bytes, &previous, start)
        let isSyllable = (0xAC00..<0xD7A4).contains(left)
        let endsOpen = isSyllable && (left - 0xAC00) % 28 == 0
        switch scalar {
        case 0x1100..<0x1160, 0xAC00..<0xD7A4: return (0x1100..<0x1160).contains(left)
        case 0x1160..<0x11A8: return (0x1100..<0x11A8).contains(left) || endsOpen
        case 0x11A8..<0x1200: return (0x1160..<0x1200).contains(left) || isSyllable
        default: return false
        }
    }
}
