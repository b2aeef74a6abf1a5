import HoneFormats

/// A piece of a template's source.
struct TemplateToken {
    enum Kind: Equatable {
        case text(MarkedText)
        case outputStart
        case outputEnd
        case blockStart
        case blockEnd
        case name(String)
        case string(MarkedText)
        case integer(Int)
        case number(Double)
        case symbol(String)
        case end
    }
    var kind: Kind
    var line: Int
}

/// Cuts a template into tokens, as Jinja does with `trim_blocks` and `lstrip_blocks`.
///
/// That is: one line break behind a block or comment is dropped; white space before a block or comment is dropped where
/// nothing else stands before it on its line; `-` drops all white space on its side, `+` keeps it.
struct TemplateLexer {
    private let source: [UInt32]
    private var position = 0
    private var line = 1
    private var isLineStart = true
    private var tokens: [TemplateToken] = []
    /// The closing brackets that are awaited.
    private var awaited: [UInt32] = []

    /// The tokens of a source, the last of them `.end`.
    static func tokens(_ source: String) throws -> [TemplateToken] {
        var lexer = TemplateLexer(source)
        try lexer.readTemplate()
        lexer.tokens.append(TemplateToken(kind: .end, line: lexer.line))
        return lexer.tokens
    }

    private init(_ text: String) {
        var scalars: [UInt32] = []
        scalars.reserveCapacity(text.utf8.count)
        var wasReturn = false
        for scalar in text.unicodeScalars {
            if scalar == "\r" {
                scalars.append(0x0A)
            } else if scalar != "\n" || !wasReturn {
                scalars.append(scalar.value)
            }
            wasReturn = scalar == "\r"
        }
        if scalars.last == 0x0A { scalars.removeLast() }
        source = scalars
    }

    func problem(_ message: String) -> HoneError { HoneError(.badFile, message, line: line) }

    // MARK: Text between tags

    private mutating func readTemplate() throws {
        while position < source.count {
            var end = position
            while end < source.count, !isTag(at: end) { end += 1 }
            guard end < source.count else {
                append(.text(text(position..<end)), from: position, to: end)
                return
            }
            let isOutput = source[end + 1] == Ascii.openBrace
            var bodyStart = end + 2
            let sign = bodyStart < source.count ? source[bodyStart] : 0
            if sign == Ascii.minus || sign == Ascii.plus { bodyStart += 1 }
            let textEnd = stripped(position..<end, sign: sign, isOutput: isOutput)
            if textEnd > position { tokens.append(.init(kind: .text(text(position..<textEnd)), line: line)) }
            countLines(position..<end)
            position = bodyStart
            isLineStart = false
            if source[end + 1] == Ascii.hash {
                try skipComment()
            } else if isOutput {
                tokens.append(.init(kind: .outputStart, line: line))
                try readCode(isOutput: true)
            } else if let rawStart = rawBody(from: bodyStart) {
                countLines(position..<rawStart)
                position = rawStart
                isLineStart = source[rawStart - 1] == 0x0A
                try readRaw()
            } else {
                tokens.append(.init(kind: .blockStart, line: line))
                try readCode(isOutput: false)
            }
        }
    }

    private func isTag(at index: Int) -> Bool {
        guard source[index] == Ascii.openBrace, index + 1 < source.count else { return false }
        let next = source[index + 1]
        return next == Ascii.percent || next == Ascii.openBrace || next == Ascii.hash
    }

    /// Where the text before a tag ends when white space is dropped as the tag's sign says.
    private func stripped(_ range: Range<Int>, sign: UInt32, isOutput: Bool) -> Int {
        var end = range.upperBound
        if sign == Ascii.minus {
            while end > range.lowerBound, MarkedText.isWhitespace(scalar: source[end - 1]) { end -= 1 }
            return end
        }
        guard sign != Ascii.plus, !isOutput else { return end }
        while end > range.lowerBound, source[end - 1] != 0x0A {
            guard MarkedText.isWhitespace(scalar: source[end - 1]) else { return range.upperBound }
            end -= 1
        }
        return end > range.lowerBound || isLineStart ? end : range.upperBound
    }

    private func text(_ range: Range<Int>) -> MarkedText { MarkedText(units: Array(source[range])) }

    private mutating func append(_ kind: TemplateToken.Kind, from start: Int, to end: Int) {
        tokens.append(.init(kind: kind, line: line))
        countLines(start..<end)
        position = end
    }

    private mutating func countLines(_ range: Range<Int>) {
        for index in range where source[index] == 0x0A { line += 1 }
    }

    /// Goes behind the end of a tag: white space with `-`, one line break in blocks and comments.
    private mutating func finishTag(at end: Int, sign: UInt32, trimsLine: Bool) {
        let start = position
        position = end
        if sign == Ascii.minus {
            while position < source.count, MarkedText.isWhitespace(scalar: source[position]) { position += 1 }
        } else if trimsLine, sign != Ascii.plus, position < source.count, source[position] == 0x0A {
            position += 1
        }
        countLines(start..<position)
        isLineStart = source[position - 1] == 0x0A
    }

    private mutating func skipComment() throws {
        var index = position
        while index + 1 < source.count {
            if source[index] == Ascii.hash, source[index + 1] == Ascii.closeBrace {
                let sign = index > position ? source[index - 1] : 0
                finishTag(at: index + 2, sign: sign, trimsLine: true)
                return
            }
            index += 1
        }
        throw problem("a comment is never closed")
    }

    // MARK: Raw text

    private func skippingWhitespace(_ index: Int) -> Int {
        var index = index
        while index < source.count, MarkedText.isWhitespace(scalar: source[index]) { index += 1 }
        return index
    }

    private func has(_ word: StaticString, at index: Int) -> Bool {
        guard index + word.utf8CodeUnitCount <= source.count else { return false }
        return word.withUTF8Buffer { bytes in
            bytes.indices.allSatisfy { source[index + $0] == UInt32(bytes[$0]) }
        }
    }

    /// Where the text of a raw block starts, if the tag whose inside starts here opens one.
    private func rawBody(from start: Int) -> Int? {
        var index = skippingWhitespace(start)
        guard has("raw", at: index) else { return nil }
        index = skippingWhitespace(index + 3)
        if has("%}", at: index) { return index + 2 }
        return has("-%}", at: index) ? skippingWhitespace(index + 3) : nil
    }

    private mutating func readRaw() throws {
        for end in position..<source.count where has("{%", at: end) {
            var index = end + 2
            let sign = index < source.count ? source[index] : 0
            if sign == Ascii.minus || sign == Ascii.plus { index += 1 }
            index = skippingWhitespace(index)
            guard has("endraw", at: index) else { continue }
            index = skippingWhitespace(index + 6)
            var closing: UInt32 = 0
            if index < source.count, source[index] == Ascii.minus || source[index] == Ascii.plus {
                closing = source[index]
                index += 1
            }
            guard has("%}", at: index) else { continue }
            let textEnd = stripped(position..<end, sign: sign, isOutput: false)
            if textEnd > position { tokens.append(.init(kind: .text(text(position..<textEnd)), line: line)) }
            finishTag(at: index + 2, sign: closing, trimsLine: true)
            return
        }
        throw problem("a raw block is never closed")
    }

    // MARK: Code

    private mutating func readCode(isOutput: Bool) throws {
        awaited = []
        while true {
            let start = skippingWhitespace(position)
            countLines(position..<start)
            position = start
            guard position < source.count else {
                throw problem("the template ends inside \(isOutput ? "{{ … }}" : "{% … %}")")
            }
            if awaited.isEmpty, let end = closingTag(isOutput: isOutput) {
                tokens.append(.init(kind: isOutput ? .outputEnd : .blockEnd, line: line))
                finishTag(at: end, sign: source[position], trimsLine: !isOutput)
                return
            }
            try readToken()
        }
    }

    private func closingTag(isOutput: Bool) -> Int? {
        let sign = source[position]
        let start = position + (sign == Ascii.minus || (sign == Ascii.plus && !isOutput) ? 1 : 0)
        return has(isOutput ? "}}" : "%}", at: start) ? start + 2 : nil
    }

    private mutating func readToken() throws {
        let first = source[position]
        if Self.isDigit(first) { return try readNumber() }
        if first == Ascii.quote || first == Ascii.doubleQuote { return try readString() }
        if Self.isNameStart(first) {
            var end = position + 1
            while end < source.count, Self.isNamePart(source[end]) { end += 1 }
            append(.name(text(position..<end).string), from: position, to: end)
            return
        }
        for symbol in Self.symbols where has(symbol, at: position) {
            try balance(first)
            append(.symbol(symbol.description), from: position, to: position + symbol.utf8CodeUnitCount)
            return
        }
        throw problem("“\(MarkedText.scalar(first))” cannot stand here")
    }

    private static let symbols: [StaticString] = [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=",
        ".",
        ":", "|", ",", ";",
    ]

    private mutating func balance(_ scalar: UInt32) throws {
        switch scalar {
        case 0x28: awaited.append(0x29)
        case 0x5B: awaited.append(0x5D)
        case 0x7B: awaited.append(0x7D)
        case 0x29, 0x5D, 0x7D:
            guard awaited.popLast() == scalar else {
                throw problem("“\(MarkedText.scalar(scalar))” closes a bracket that is not open")
            }
        default: break
        }
    }

    private static func isDigit(_ scalar: UInt32) -> Bool { (0x30...0x39).contains(scalar) }

    private static func isNameStart(_ value: UInt32) -> Bool {
        if value < 0x80 { return value == 0x5F || (0x41...0x5A).contains(value) || (0x61...0x7A).contains(value) }
        return Unicode.Scalar(value)?.properties.isXIDStart ?? false
    }

    private static func isNamePart(_ value: UInt32) -> Bool {
        if value < 0x80 { return isNameStart(value) || isDigit(value) }
        return Unicode.Scalar(value)?.properties.isXIDContinue ?? false
    }

    /// The end of digits with single underscores between them, of which `isPart` says what a digit is.
    private func digitsEnd(_ start: Int, _ isPart: (UInt32) -> Bool) -> Int {
        var end = start
        while end < source.count {
            if isPart(source[end]) {
                end += 1
            } else if source[end] == 0x5F, end > start, end + 1 < source.count, isPart(source[end + 1]) {
                end += 1
            } else {
                break
            }
        }
        return end
    }

    private mutating func readNumber() throws {
        let start = position
        if source[start] == 0x30, start + 1 < source.count,
            let (radix, isPart) = Self.radix(source[start + 1])
        {
            let begin = start + 2 + (start + 2 < source.count && source[start + 2] == 0x5F ? 1 : 0)
            let end = digitsEnd(begin, isPart)
            if end > begin { return try appendInteger(begin..<end, radix: radix, from: start) }
        }
        var end = digitsEnd(start, Self.isDigit)
        var isWhole = true
        // A dot behind a dot is a member of a member: `a.0.1`.
        let followsDot = start > 0 && source[start - 1] == 0x2E
        if !followsDot {
            if end + 1 < source.count, source[end] == 0x2E, Self.isDigit(source[end + 1]) {
                end = digitsEnd(end + 1, Self.isDigit)
                isWhole = false
            }
            if end < source.count, source[end] | 0x20 == 0x65 {
                var exponent = end + 1
                if exponent < source.count, source[exponent] == Ascii.minus || source[exponent] == Ascii.plus {
                    exponent += 1
                }
                let exponentEnd = digitsEnd(exponent, Self.isDigit)
                if exponentEnd > exponent {
                    end = exponentEnd
                    isWhole = false
                }
            }
        }
        if isWhole {
            // Python has no number with leading zeros: 007 is 0, 0, 7 to the lexer and an error to the parser.
            if source[start] == 0x30, source[start..<end].contains(where: { $0 != 0x30 && $0 != 0x5F }) {
                end = start + 1
            }
            return try appendInteger(start..<end, radix: 10, from: start)
        }
        guard let value = Double(text(start..<end).string.filter { $0 != "_" }) else {
            throw problem("a number cannot be read")
        }
        append(.number(value), from: start, to: end)
    }

    private static func radix(_ letter: UInt32) -> (Int, (UInt32) -> Bool)? {
        switch letter | 0x20 {
        case 0x62: (2, { $0 == 0x30 || $0 == 0x31 })
        case 0x6F: (8, { (0x30...0x37).contains($0) })
        case 0x78: (16, { isDigit($0) || (0x61...0x66).contains($0 | 0x20) })
        default: nil
        }
    }

    private mutating func appendInteger(_ range: Range<Int>, radix: Int, from start: Int) throws {
        guard let value = Int(text(range).string.filter { $0 != "_" }, radix: radix) else {
            throw HoneError(.unsupported, "a whole number does not fit 64 bits", line: line)
        }
        append(.integer(value), from: start, to: range.upperBound)
    }

    private mutating func readString() throws {
        let quote = source[position]
        var end = position + 1
        while end < source.count, source[end] != quote { end += source[end] == Ascii.backslash ? 2 : 1 }
        guard end < source.count else { throw problem("a string is never closed") }
        let value = try TemplateEscapes.unescaped(source[(position + 1)..<end], line: line)
        append(.string(MarkedText(units: value)), from: position, to: end + 1)
    }
}
