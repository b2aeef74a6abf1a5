import HoneFormats

/// Where a piece of rendered text comes from.
struct TextOrigin: Hashable, Sendable {
    /// 10 bits: 0 for the template, 1 for data that belongs to no turn, 2 for the tag of a turn to be continued, then turns.
    let code: UInt32

    /// The template's own text, and values that Hone vouches for: special tokens and the names of known roles.
    static let template = TextOrigin(code: 0)
    /// Data that belongs to no turn: tools, documents, further variables.
    static let data = TextOrigin(code: 1)
    /// The tag behind the turn that is to be continued.
    static let continuation = TextOrigin(code: 2)

    /// The most turns that are told apart; later ones share one code.
    static let turnLimit = 1020

    /// A turn of the conversation, counted from 0.
    static func turn(_ index: Int) -> TextOrigin { TextOrigin(code: 3 + UInt32(clamping: min(index, turnLimit))) }

    /// Which turn, where it is one that can be told apart.
    var turn: Int? {
        let index = Int(code) - 3
        return index >= 0 && index < Self.turnLimit ? index : nil
    }
}

/// Text as Python has it, a sequence of Unicode scalars, in which each scalar remembers where it came from.
///
/// Filters and methods move scalars about; what a user wrote stays marked as such through concatenation, slicing,
/// trimming and case changes, so that in the end nobody has to guess which `<|im_end|>` the template wrote.
///
/// A unit holds the scalar in its low 21 bits, one bit for text in a `{% generation %}` block, and 10 bits of origin.
struct MarkedText: Sendable {
    /// The scalars with their marks.
    var units: [UInt32]

    static let scalarMask: UInt32 = 0x1F_FFFF
    static let generationBit: UInt32 = 1 << 21
    static let originShift: UInt32 = 22

    /// No text.
    init() { units = [] }

    /// Marked scalars as they are.
    init(units: [UInt32]) { self.units = units }

    /// A text of one origin.
    init(_ text: some StringProtocol, origin: TextOrigin = .template) {
        let mark = origin.code << Self.originShift
        units = text.unicodeScalars.map { $0.value | mark }
    }

    /// How many scalars there are.
    var count: Int { units.count }
    /// Whether there are none.
    var isEmpty: Bool { units.isEmpty }

    /// The text without its marks.
    var string: String {
        var result = String.UnicodeScalarView()
        result.reserveCapacity(units.count)
        for unit in units { result.append(Self.scalar(unit)) }
        return String(result)
    }

    /// The text for an error message: what is not the template's own is left out, because it may be private.
    var publicString: String {
        var result = ""
        var isHidden = false
        for unit in units.prefix(400) {
            if unit >> Self.originShift == 0 {
                result.unicodeScalars.append(Self.scalar(unit))
                isHidden = false
            } else if !isHidden {
                result += "…"
                isHidden = true
            }
        }
        return result
    }

    /// The scalar of a unit.
    static func scalar(_ unit: UInt32) -> Unicode.Scalar {
        // Units are only ever made from scalars.
        Unicode.Scalar(unit & scalarMask) ?? "\u{FFFD}"
    }

    /// The origin of a unit.
    static func origin(_ unit: UInt32) -> TextOrigin { TextOrigin(code: unit >> originShift) }

    /// The marks of a unit.
    static func marks(_ unit: UInt32) -> UInt32 { unit & ~scalarMask }

    /// The scalars of a text with the marks of a unit.
    static func units(_ text: String, marksOf unit: UInt32) -> [UInt32] {
        text.unicodeScalars.map { $0.value | marks(unit) }
    }

    /// Whether a unit is white space in Python's sense.
    static func isWhitespace(_ unit: UInt32) -> Bool { isWhitespace(scalar: unit & scalarMask) }

    /// Whether a scalar is white space in Python's sense: `str.isspace`.
    static func isWhitespace(scalar value: UInt32) -> Bool {
        switch value {
        case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }

    /// A stretch of the text.
    subscript(_ range: Range<Int>) -> MarkedText { MarkedText(units: Array(units[range])) }

    /// Whether the scalars at an index are those of another text.
    func has(_ other: MarkedText, at index: Int) -> Bool {
        guard index >= 0, other.count <= count - index else { return false }
        for offset in 0..<other.count
        where (units[index &+ offset] ^ other.units[offset]) & Self.scalarMask != 0 { return false }
        return true
    }
}

extension MarkedText: Hashable {
    /// Whether both have the same scalars, whatever their marks.
    static func == (left: MarkedText, right: MarkedText) -> Bool {
        left.count == right.count && left.has(right, at: 0)
    }

    /// Feeds the scalars.
    func hash(into hasher: inout Hasher) {
        for unit in units { hasher.combine(unit & Self.scalarMask) }
        hasher.combine(UInt32.max)
    }
}

extension MarkedText: Comparable {
    /// The order of the scalars' numbers, as Python's.
    static func < (left: MarkedText, right: MarkedText) -> Bool {
        left.units.lexicographicallyPrecedes(right.units) { $0 & scalarMask < $1 & scalarMask }
    }
}

extension MarkedText: ExpressibleByStringLiteral {
    /// The template's own text.
    init(stringLiteral value: String) { self.init(value) }
}
