import HoneFormats

/// Finds rows that say the same: equal after case, runs of white space and Unicode's equivalent spellings (NFC, through
/// the equality of `String`) are set aside.
enum DuplicateCheck {
    /// The form of an input in which duplicates are equal.
    static func key(_ input: Example.Input) -> String {
        switch input {
        case .text(let text), .prompt(let text): normal(text)
        case .pair(let first, let second): normal(first) + "\u{1F}" + normal(second)
        case .messages(let turns):
            turns.map { $0.role.rawValue + "\u{1E}" + normal($0.content) }.joined(separator: "\u{1F}")
        }
    }

    /// A text in lower case, with single spaces, without white space at the ends.
    static func normal(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var isSpacePending = false
        for byte in text.utf8 {
            guard byte < 0x80 else { return normalBeyondASCII(text) }
            if byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) {
                isSpacePending = !bytes.isEmpty
                continue
            }
            if isSpacePending { bytes.append(0x20) }
            isSpacePending = false
            bytes.append(byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func normalBeyondASCII(_ text: String) -> String {
        // Upper case first brings letters such as the German sharp s into their folded form.
        text.uppercased().lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}

/// Line numbers for a message: "lines 3, 17, 40 and 12 more".
func listed(lines: [Int]) -> String {
    let shown = lines.prefix(5).map { String($0) }.joined(separator: ", ")
    let rest = lines.count - min(lines.count, 5)
    return "\(lines.count == 1 ? "line" : "lines") \(shown)" + (rest > 0 ? " and \(grouped(rest)) more" : "")
}
