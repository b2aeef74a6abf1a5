/// How text behaves on a terminal: how many columns it takes, how it is cut, and what must not be printed.
public enum TerminalText {
    /// How many columns a text takes: 2 for East Asian wide characters and emoji, 0 for combining marks, 1 for the
    /// rest.
    ///
    /// A short form of Unicode Standard Annex 11 that is right for what appears in tables; terminals differ in the
    /// rest.
    public static func width(_ text: String) -> Int {
        text.reduce(0) { $0 + width($1) }
    }

    static func width(_ character: Character) -> Int {
        guard let first = character.unicodeScalars.first else { return 0 }
        switch first.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        if character.unicodeScalars.contains("\u{fe0f}") || first.properties.isEmojiPresentation { return 2 }
        switch first.value {
        case 0x1100...0x115f, 0x2e80...0x303e, 0x3041...0x33ff, 0x3400...0x4dbf, 0x4e00...0x9fff, 0xa000...0xa4cf,
            0xac00...0xd7a3, 0xf900...0xfaff, 0xfe30...0xfe4f, 0xff00...0xff60, 0xffe0...0xffe6, 0x1f300...0x1faff,
            0x20000...0x3fffd:
            return 2
        default: return 1
        }
    }

    /// The text on one line without control characters: line breaks and tabs become spaces, others U+FFFD.
    ///
    /// Labels come from files of strangers; an escape sequence inside one must not reach the terminal.
    public static func printable(_ text: String) -> String {
        var clean = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n", "\r", "\t": clean += " "
            case "\u{0}"..<" ", "\u{7f}"..."\u{9f}", "\u{202a}"..."\u{202e}", "\u{2066}"..."\u{2069}":
                clean += "\u{fffd}"
            default: clean.unicodeScalars.append(scalar)
            }
        }
        return clean
    }

    /// The text cut with an ellipsis so that it takes no more columns than `limit`.
    public static func truncated(_ text: String, to limit: Int) -> String {
        guard width(text) > limit else { return text }
        guard limit > 0 else { return "" }
        var short = ""
        var used = 0
        for character in text {
            let size = width(character)
            if used + size > limit - 1 { break }
            short.append(character)
            used += size
        }
        return short + "…"
    }

    /// The text with spaces on the right, or on the left, up to a width.
    public static func padded(_ text: String, to width: Int, rightAligned: Bool = false) -> String {
        let room = String(repeating: " ", count: max(0, width - self.width(text)))
        return rightAligned ? room + text : text + room
    }
}
