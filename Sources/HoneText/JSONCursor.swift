import HoneFormats

/// A bounds-checked walk over JSON text, for the parts of `tokenizer.json` that are too large to become `JSON` values.
///
/// A vocabulary of 128,000 tokens with 280,000 merges is read straight into flat tables; besides the time saved, keys stay
/// the bytes that they are, where a Swift string would take a composed and a decomposed character for the same.
/// Whatever the cursor skips is parsed strictly by `JSON.parse` later.
struct JSONCursor {
    private let bytes: [UInt8]
    private let file: String
    private let component: String
    private(set) var position: Int
    private let end: Int

    /// The deepest nesting that is skipped over.
    private static let depthLimit = 64

    /// A cursor over a part of a file; `component` names that part in messages.
    init(_ bytes: [UInt8], range: Range<Int>? = nil, file: String, component: String) {
        self.bytes = bytes
        self.file = file
        self.component = component
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// An error at the current place.
    func problem(_ message: String) -> HoneError {
        var line = 1
        for index in 0..<min(position, bytes.count) where bytes[index] == 0x0A { line += 1 }
        return HoneError(.badFile, message, file: file, line: line, item: component)
    }

    /// The next byte that is not white space, without moving past it; `nil` at the end.
    mutating func peek() -> UInt8? {
        while position < end {
            let byte = bytes[position]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            position += 1
        }
        return nil
    }

    /// Moves past a byte where it is next.
    mutating func take(_ byte: Character) -> Bool {
        guard let expected = byte.asciiValue, peek() == expected else { return false }
        position += 1
        return true
    }

    /// Moves past a byte that has to be next.
    mutating func expect(_ byte: Character) throws(HoneError) {
        if !take(byte) {
            throw problem("expected “\(byte)” here\(position >= end ? ", but the text ends" : ""); the file is damaged")
        }
    }

    /// Calls `body` with the name of each member of the object that is next; `body` reads or skips the value.
    mutating func readObject(
        _ body: (inout JSONCursor, _ name: [UInt8]) throws(HoneError) -> Void
    ) throws(HoneError) {
        try expect("{")
        if take("}") { return }
        var name: [UInt8] = []
        repeat {
            name.removeAll(keepingCapacity: true)
            try readString(into: &name)
            try expect(":")
            try body(&self, name)
        } while take(",")
        try expect("}")
    }

    /// Calls `body` before each element of the array that is next; `body` reads or skips the element.
    mutating func readArray(_ body: (inout JSONCursor) throws(HoneError) -> Void) throws(HoneError) {
        try expect("[")
        if take("]") { return }
        repeat { try body(&self) } while take(",")
        try expect("]")
    }

    /// Reads the string that is next and appends its UTF-8 bytes.
    mutating func readString(into output: inout [UInt8]) throws(HoneError) {
        guard take("\"") else { throw problem("expected a string here; the file is damaged") }
        while position < end {
            let byte = bytes[position]
            position += 1
            switch byte {
            case 0x22: return
            case 0x5C: try readEscape(into: &output)
            case 0..<0x20: throw problem("a control character stands inside a string; the file is damaged")
            default: output.append(byte)
            }
        }
        throw problem("a string does not end; the file is cut short")
    }

    private mutating func readEscape(into output: inout [UInt8]) throws(HoneError) {
        guard position < end else { throw problem("a string does not end; the file is cut short") }
        let byte = bytes[position]
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(byte)
        case UInt8(ascii: "n"): output.append(0x0A)
        case UInt8(ascii: "t"): output.append(0x09)
        case UInt8(ascii: "r"): output.append(0x0D)
        case UInt8(ascii: "b"): output.append(0x08)
        case UInt8(ascii: "f"): output.append(0x0C)
        case UInt8(ascii: "u"):
            var scalar = try readHexadecimal()
            if (0xD800..<0xDC00).contains(scalar) {
                guard position + 1 < end, bytes[position] == 0x5C, bytes[position + 1] == UInt8(ascii: "u") else {
                    throw problem("a string holds half of a surrogate pair; the file is damaged")
                }
                position += 2
                let low = try readHexadecimal()
                guard (0xDC00..<0xE000).contains(low) else {
                    throw problem("a string holds half of a surrogate pair; the file is damaged")
                }
                scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
            } else if (0xDC00..<0xE000).contains(scalar) {
                throw problem("a string holds half of a surrogate pair; the file is damaged")
            }
            appendScalar(scalar, to: &output)
        default: throw problem("a string holds an unknown escape; the file is damaged")
        }
    }

    private mutating func readHexadecimal() throws(HoneError) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard position < end, let digit = Character(Unicode.Scalar(bytes[position])).hexDigitValue else {
                throw problem("a \\u escape needs four hexadecimal digits; the file is damaged")
            }
            value = value * 16 + UInt32(digit)
            position += 1
        }
        return value
    }

    /// Reads the whole number that is next and has to lie within `0..<limit`.
    mutating func readInteger(below limit: Int, what: String) throws(HoneError) -> Int {
        guard let first = peek(), first == UInt8(ascii: "-") || (0x30...0x39).contains(first) else {
            throw problem("expected \(what), a whole number, here")
        }
        var value = 0
        let start = position
        while position < end, (0x30...0x39).contains(bytes[position]) {
            // The digits read so far keep the value under `limit`, so this cannot overflow.
            value = value * 10 + Int(bytes[position] - 0x30)
            position += 1
            if value >= limit { break }
        }
        let next = position < end ? bytes[position] : 0
        let isWhole = ![UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E")].contains(next)
        guard position > start, value < limit, isWhole, first != 0x30 || position == start + 1 else {
            throw problem("\(what) has to be a whole number from 0 to \(limit - 1)")
        }
        return value
    }

    /// Reads the number that is next.
    mutating func readNumber(what: String) throws(HoneError) -> Double {
        _ = peek()
        let start = position
        while position < end {
            switch bytes[position] {
            case 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: "e"),
                UInt8(ascii: "E"):
                position += 1
                continue
            default: break
            }
            break
        }
        // Strictly as JSON writes numbers: `Double` would also take `.5`, `+1` and `01`.
        let digits = bytes[start..<position].drop { $0 == UInt8(ascii: "-") }
        let isPlain = digits.first.map { (0x30...0x39).contains($0) } ?? false
        let hasExtraZero =
            digits.starts(with: "0".utf8) && digits.dropFirst().first.map { $0 <= 0x39 && $0 >= 0x30 } ?? false
        guard isPlain, !hasExtraZero, position - start <= 64, bytes[position - 1] != UInt8(ascii: "."),
            let value = Double(String(decoding: bytes[start..<position], as: UTF8.self)), value.isFinite
        else { throw problem("expected \(what), a finite number, here") }
        return value
    }

    /// Moves past the value that is next, of whatever kind, and returns where it stands.
    mutating func skipValue() throws(HoneError) -> Range<Int> {
        guard peek() != nil else { throw problem("expected a value here, but the text ends; the file is cut short") }
        let start = position
        var depth = 0
        repeat {
            guard let byte = peek() else { throw problem("a value does not end; the file is cut short") }
            switch byte {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                if depth > Self.depthLimit { throw problem("values are nested deeper than \(Self.depthLimit)") }
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth < 0 { throw problem("expected a value here; the file is damaged") }
                position += 1
            case UInt8(ascii: "\""): try skipString()
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                if depth == 0 { throw problem("expected a value here; the file is damaged") }
                position += 1
            default: skipWord()
            }
        } while depth > 0
        return start..<position
    }

    private mutating func skipString() throws(HoneError) {
        position += 1
        while position < end {
            let byte = bytes[position]
            position += 1
            if byte == 0x22 { return }
            if byte == 0x5C { position += 1 }
        }
        position = min(position, end)
        throw problem("a string does not end; the file is cut short")
    }

    /// Moves past a number or a word such as `true`, by at least one byte.
    private mutating func skipWord() {
        position += 1
        while position < end {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09, 0x22, 0x2C, 0x3A, 0x5B, 0x5D, 0x7B, 0x7D: return
            default: position += 1
            }
        }
    }
}
