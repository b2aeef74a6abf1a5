// Strings and numbers: the parts of a JSON text without structure.
extension JSONParser {
    // MARK: Strings

    /// The string whose opening quote stands here.
    mutating func string() throws -> String {
        let start = position + 1
        var end = start
        var seen: UInt8 = 0
        while end < bytes.count {
            let byte = bytes[end]
            if byte == UInt8(ascii: "\"") { break }
            if byte == UInt8(ascii: "\\") { return try escapedString(start: start, plainTo: end) }
            if byte < 0x20 { throw controlCharacter(at: end) }
            seen |= byte
            end += 1
        }
        guard end < bytes.count else { throw unclosed("string", openedAt: position) }
        guard end - start <= limits.stringBytes else { throw tooLong() }
        if seen >= 0x80 { try checkUTF8(start, end) }
        position = end + 1
        return String(decoding: bytes[start..<end], as: UTF8.self)
    }

    private mutating func escapedString(start: Int, plainTo: Int) throws -> String {
        let opening = position
        var text = Array(bytes[start..<plainTo])
        var place = plainTo
        var runStart = plainTo
        while place < bytes.count {
            let byte = bytes[place]
            if byte == UInt8(ascii: "\"") { break }
            if byte < 0x20 { throw controlCharacter(at: place) }
            guard byte == UInt8(ascii: "\\") else {
                place += 1
                continue
            }
            text += bytes[runStart..<place]
            place = try escape(at: place, into: &text)
            runStart = place
        }
        guard place < bytes.count else { throw unclosed("string", openedAt: opening) }
        guard place - start <= limits.stringBytes else { throw tooLong() }
        try checkUTF8(start, place)
        text += bytes[runStart..<place]
        position = place + 1
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads the escape at `place` and gives the place after it.
    private func escape(at place: Int, into text: inout [UInt8]) throws -> Int {
        guard place + 1 < bytes.count else { throw unclosed("string", openedAt: position) }
        switch bytes[place + 1] {
        case UInt8(ascii: "\""): text.append(UInt8(ascii: "\""))
        case UInt8(ascii: "\\"): text.append(UInt8(ascii: "\\"))
        case UInt8(ascii: "/"): text.append(UInt8(ascii: "/"))
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"): return try unicodeEscape(at: place, into: &text)
        default: throw error("a backslash is followed by \(found(place + 1)), which is no JSON escape", at: place)
        }
        return place + 2
    }

    private func unicodeEscape(at place: Int, into text: inout [UInt8]) throws -> Int {
        let first = try hexadecimal(at: place)
        var value = UInt32(first)
        var next = place + 6
        if (0xD800...0xDBFF).contains(first) {
            guard next + 1 < bytes.count, bytes[next] == UInt8(ascii: "\\"), bytes[next + 1] == UInt8(ascii: "u") else {
                throw error("half of a surrogate pair stands alone", at: place)
            }
            let second = try hexadecimal(at: next)
            guard (0xDC00...0xDFFF).contains(second) else {
                throw error("half of a surrogate pair stands alone", at: place)
            }
            value = 0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00)
            next += 6
        }
        guard let scalar = Unicode.Scalar(value) else {
            throw error("half of a surrogate pair stands alone", at: place)
        }
        text += Array(String(Character(scalar)).utf8)
        return next
    }

    /// The four hexadecimal digits after the `\u` at `place`.
    private func hexadecimal(at place: Int) throws -> UInt16 {
        var value: UInt16 = 0
        for offset in 2..<6 {
            guard place + offset < bytes.count,
                let digit = Character(Unicode.Scalar(bytes[place + offset])).hexDigitValue,
                bytes[place + offset] < 0x80
            else { throw error("\\u needs four hexadecimal digits", at: place) }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    private func controlCharacter(at place: Int) -> HoneError {
        let name = bytes[place] == 0x0A || bytes[place] == 0x0D ? "line break" : "control character"
        return error("a string holds a bare \(name); write it as an escape, or close the string", at: place)
    }

    private func tooLong() -> HoneError {
        error("the string is longer than \(limits.stringBytes) bytes", at: position)
    }

    private func checkUTF8(_ start: Int, _ end: Int) throws {
        if let bad = UTF8Check.firstInvalid(in: bytes, start, end) {
            throw error("the text is not valid UTF-8 here; save the file as UTF-8", at: bad)
        }
    }

    // MARK: Numbers

    /// The longest number text: far more digits than a `Double` can tell apart.
    private static let longestNumber = 1024

    /// The number that begins here: `-`? digits (`.` digits)? (`e` sign? digits)?
    mutating func number() throws -> JSON {
        let start = position
        let negative = bytes[start] == UInt8(ascii: "-")
        if negative { position += 1 }
        let whole = try digits(from: start, "a digit")
        if whole.count > 1, bytes[whole.lowerBound] == UInt8(ascii: "0") {
            throw error("a number begins with 0; write it without leading zeros", at: start)
        }
        var isWhole = true
        if byte() == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            _ = try digits(from: start, "a digit after the point")
        }
        if let exponent = byte(), exponent | 0x20 == UInt8(ascii: "e") {
            isWhole = false
            position += 1
            if let sign = byte(), sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
            _ = try digits(from: start, "a digit in the exponent")
        }
        if isWhole, let integer = integer(whole, negative: negative) { return .integer(integer) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text), value.isFinite else {
            throw error("the number is too large for 64 bit floating point", at: start)
        }
        return .number(value)
    }

    private mutating func digits(from start: Int, _ expected: String) throws -> Range<Int> {
        let first = position
        while position < bytes.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(bytes[position]) {
            position += 1
        }
        guard position > first else { throw error("expected \(expected), found \(found(position))", at: position) }
        guard position - start <= Self.longestNumber else {
            throw error("the number has more than \(Self.longestNumber) characters", at: start)
        }
        return first..<position
    }

    /// The whole number, unless it needs more than 64 bits.
    private func integer(_ digits: Range<Int>, negative: Bool) -> Int? {
        var value = 0
        for place in digits {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let digit = Int(bytes[place] - UInt8(ascii: "0"))
            let (sum, carried) = tens.subtractingReportingOverflow(digit)
            guard !overflow, !carried else { return nil }
            value = sum
        }
        // Counted downwards, because the least Int has no positive twin.
        if negative { return value }
        return value == .min ? nil : -value
    }
}

/// Validation of UTF-8 (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Check {
    /// The first byte of the first ill-formed sequence in `bytes[start..<end]`.
    static func firstInvalid(in bytes: [UInt8], _ start: Int, _ end: Int) -> Int? {
        var place = start
        while place < end {
            let lead = bytes[place]
            if lead < 0x80 {
                place += 1
                continue
            }
            let length: Int
            var second: ClosedRange<UInt8> = 0x80...0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            case 0xF1...0xF3: length = 4
            default: return place
            }
            guard end - place >= length, second.contains(bytes[place + 1]) else { return place }
            for offset in 2..<max(length, 2) where bytes[place + offset] & 0xC0 != 0x80 { return place }
            place += length
        }
        return nil
    }
}
