import HoneFormats

/// A fingerprint of an input, of 128 bits: equal where two inputs say the same after case, runs of white space and
/// Unicode's equivalent spellings (NFC) are set aside.
///
/// The hash is SipHash with a key that changes from process to process, so only equality means anything, and nobody can
/// make two texts collide on purpose.
struct InputKey: Hashable {
    private let first: Int
    private let second: Int

    /// Of a row: the same input of another task is another.
    init(_ example: Example) {
        self.init(example.input, task: example.task)
    }

    init(_ input: Example.Input, task: String? = nil) {
        let text = Self.normal(input) + (task.map { "\u{1D}" + $0 } ?? "")
        var hasher = Hasher()
        // Equivalent spellings hash alike: `String` feeds its NFC.
        hasher.combine(text)
        first = hasher.finalize()
        hasher = Hasher()
        hasher.combine(1)
        hasher.combine(text)
        second = hasher.finalize()
    }

    private static func normal(_ input: Example.Input) -> String {
        switch input {
        case .text(let text), .prompt(let text): normal(text)
        case .pair(let first, let second): normal(first) + "\u{1F}" + normal(second)
        case .image(let image): image.hash.isEmpty ? image.path : image.hash
        case .messages(let turns, let tools):
            (turns.map { $0.role.rawValue + "\u{1E}" + normal($0.content) } + tools.map { $0.text() })
                .joined(separator: "\u{1F}")
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
        var result = ""
        result.reserveCapacity(text.utf8.count)
        var isSpacePending = false
        for scalar in text.lowercased().unicodeScalars {
            if isSpace(scalar) {
                isSpacePending = !result.isEmpty
                continue
            }
            if isSpacePending { result.unicodeScalars.append(" ") }
            isSpacePending = false
            result.unicodeScalars.append(scalar)
        }
        return result
    }

    /// Unicode's property White_Space, written out because its look-up takes longer than all the rest.
    private static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
        default: false
        }
    }
}

/// Line numbers for a message: "lines 3, 17, 40 and 12 more".
func listed(lines: [Int]) -> String {
    let shown = lines.prefix(5).map { String($0) }.joined(separator: ", ")
    let rest = lines.count - min(lines.count, 5)
    return "\(lines.count == 1 ? "line" : "lines") \(shown)" + (rest > 0 ? " and \(grouped(rest)) more" : "")
}
