/// Changes and tests of case and kind of characters, as Python's `str` has them.
enum TextCase {
    /// The text after `upper`, `lower`, `capitalize`, `title`, `swapcase` or `casefold`.
    static func apply(_ name: String, _ text: MarkedText) -> MarkedText {
        var result: [UInt32] = []
        result.reserveCapacity(text.count)
        var followsCased = false
        for (index, unit) in text.units.enumerated() {
            let properties = MarkedText.scalar(unit).properties
            let mapped: String =
                switch name {
                case "upper": properties.uppercaseMapping
                case "capitalize": index == 0 ? properties.titlecaseMapping : lower(text, index)
                case "title": followsCased ? lower(text, index) : properties.titlecaseMapping
                case "swapcase": properties.isUppercase ? lower(text, index) : properties.uppercaseMapping
                default: lower(text, index)
                }
            followsCased = properties.isCased
            result += MarkedText.units(mapped, marksOf: unit)
        }
        return MarkedText(units: result)
    }

    /// The lower case of a character; a Greek sigma at the end of a word has a form of its own.
    private static func lower(_ text: MarkedText, _ index: Int) -> String {
        let scalar = MarkedText.scalar(text.units[index])
        guard scalar == "\u{3A3}" else { return scalar.properties.lowercaseMapping }
        func isCased(_ indices: some Sequence<Int>) -> Bool {
            for other in indices {
                let properties = MarkedText.scalar(text.units[other]).properties
                if !properties.isCaseIgnorable { return properties.isCased }
            }
            return false
        }
        let isFinal =
            isCased(stride(from: index - 1, to: -1, by: -1)) && !isCased(stride(from: index + 1, to: text.count, by: 1))
        return isFinal ? "\u{3C2}" : "\u{3C3}"
    }

    /// Whether a text is of a kind: `isalpha`, `isdigit` and so on.
    static func holds(_ name: String, _ text: MarkedText) -> Bool {
        let scalars = text.units.map(MarkedText.scalar)
        switch name {
        case "isascii": return scalars.allSatisfy(\.isASCII)
        case "islower", "isupper":
            let wrong: (Unicode.Scalar) -> Bool = { scalar in
                let properties = scalar.properties
                return properties.generalCategory == .titlecaseLetter
                    || (name == "islower" ? properties.isUppercase : properties.isLowercase)
            }
            return scalars.contains { $0.properties.isCased } && !scalars.contains(where: wrong)
        default:
            return !scalars.isEmpty && scalars.allSatisfy { holds(name, $0) }
        }
    }

    private static func holds(_ name: String, _ scalar: Unicode.Scalar) -> Bool {
        switch name {
        case "isspace": return MarkedText.isWhitespace(scalar: scalar.value)
        case "isalpha": return isLetter(scalar)
        case "isdecimal": return scalar.properties.numericType == .decimal
        case "isdigit": return [.decimal, .digit].contains(scalar.properties.numericType)
        case "isnumeric": return scalar.properties.numericType != nil
        default: return isLetter(scalar) || scalar.properties.numericType != nil
        }
    }

    private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    /// Jinja's own filter `title`: capitals behind white space, hyphens and opening brackets.
    static func jinjaTitle(_ text: MarkedText) -> MarkedText {
        func isBreak(_ unit: UInt32) -> Bool {
            MarkedText.isWhitespace(unit) || [0x2D, 0x28, 0x7B, 0x5B, 0x3C].contains(unit & MarkedText.scalarMask)
        }
        var result = MarkedText()
        var start = 0
        while start < text.count {
            let breaks = isBreak(text.units[start])
            let end = text.units[start...].firstIndex { isBreak($0) != breaks } ?? text.count
            result.units += apply("upper", text[start..<(start + 1)]).units
            result.units += apply("lower", text[(start + 1)..<end]).units
            start = end
        }
        return result
    }
}
