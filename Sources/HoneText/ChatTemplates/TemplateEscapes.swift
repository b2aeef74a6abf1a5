import HoneFormats

/// The characters that mean something to the lexer.
enum Ascii {
    static let openBrace: UInt32 = 0x7B
    static let closeBrace: UInt32 = 0x7D
    static let percent: UInt32 = 0x25
    static let hash: UInt32 = 0x23
    static let minus: UInt32 = 0x2D
    static let plus: UInt32 = 0x2B
    static let quote: UInt32 = 0x27
    static let doubleQuote: UInt32 = 0x22
    static let backslash: UInt32 = 0x5C
}

/// Backslashes in string literals, as Python's `unicode-escape` reads them.
enum TemplateEscapes {
    static func unescaped(_ source: ArraySlice<UInt32>, line: Int) throws -> [UInt32] {
        var result: [UInt32] = []
        result.reserveCapacity(source.count)
        var index = source.startIndex
        while index < source.endIndex {
            guard source[index] == Ascii.backslash, index + 1 < source.endIndex else {
                result.append(source[index])
                index += 1
                continue
            }
            let letter = source[index + 1]
            index += 2
            if let simple = simple(letter) {
                result.append(simple)
            } else if let digits = hexadecimalDigits(letter) {
                let end = min(index + digits, source.endIndex)
                guard end == index + digits, let value = number(source[index..<end], radix: 16),
                    Unicode.Scalar(value) != nil
                else { throw HoneError(.unsupported, "an escape in a string names no character", line: line) }
                result.append(value)
                index = end
            } else if (0x30...0x37).contains(letter) {
                let start = index - 1
                while index < source.endIndex, index < start + 3, (0x30...0x37).contains(source[index]) { index += 1 }
                result.append(number(source[start..<index], radix: 8) ?? 0)
            } else if letter == 0x4E {
                throw HoneError(.unsupported, "characters by name (\\N{…}) are not supported", line: line)
            } else if letter != 0x0A {
                // Python keeps a backslash that means nothing.
                result += [Ascii.backslash, letter]
            }
        }
        return result
    }

    private static func simple(_ letter: UInt32) -> UInt32? {
        switch letter {
        case 0x6E: 0x0A  // n
        case 0x74: 0x09  // t
        case 0x72: 0x0D  // r
        case 0x61: 0x07  // a
        case 0x62: 0x08  // b
        case 0x66: 0x0C  // f
        case 0x76: 0x0B  // v
        case Ascii.backslash, Ascii.quote, Ascii.doubleQuote: letter
        default: nil
        }
    }

    private static func hexadecimalDigits(_ letter: UInt32) -> Int? {
        switch letter {
        case 0x78: 2  // x
        case 0x75: 4  // u
        case 0x55: 8  // U
        default: nil
        }
    }

    private static func number(_ digits: ArraySlice<UInt32>, radix: Int) -> UInt32? {
        UInt32(MarkedText(units: Array(digits)).string, radix: radix)
    }
}
