/// Hand-written scanners for the regular expressions by which well-known models split text into words; each is used only
/// where a tokenizer holds exactly the pattern.
enum WordScanner: Sendable {
    /// GPT-2's pattern, also that of the `ByteLevel` pre-tokenizer.
    case gpt2
    /// The pattern of GPT-4 and of the models that took it over: Llama 3 with up to three digits in a word, Qwen2 with one.
    case llama3(digits: Int)

    private static let gpt2Pattern =
        #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
    private static let llama3Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2Pattern =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// The scanner for a pattern, where there is one.
    init?(pattern: String) {
        switch pattern {
        case Self.gpt2Pattern: self = .gpt2
        case Self.llama3Pattern: self = .llama3(digits: 3)
        case Self.qwen2Pattern: self = .llama3(digits: 1)
        default: return nil
        }
    }

    /// Where the word ends that starts at `start`; always behind `start`.
    ///
    /// Every scalar is a letter, a number, white space or another, so one of the alternatives always matches.
    func end(of bytes: [UInt8], from start: Int, _ end: Int) -> Int {
        switch self {
        case .gpt2: Self.gpt2End(bytes, start, end, ScalarClasses.shared)
        case .llama3(let digits): Self.llama3End(bytes, start, end, digits, ScalarClasses.shared)
        }
    }

    private static let letter = ScalarClasses.letter
    private static let number = ScalarClasses.number
    private static let space = ScalarClasses.whitespace
    private static let any = letter | number | space

    /// The end of the longest stretch from `index` whose scalars have just the class `flags` (0: none of the three).
    @inline(__always)
    private static func run(
        _ bytes: [UInt8], _ index: Int, _ end: Int, _ flags: ScalarClasses.Flags, _ classes: ScalarClasses
    ) -> Int {
        var index = index
        while index < end {
            var next = index
            if classes[nextScalar(bytes, &next, end)] & any != flags { break }
            index = next
        }
        return index
    }

    private static func gpt2End(_ bytes: [UInt8], _ start: Int, _ end: Int, _ classes: ScalarClasses) -> Int {
        var index = start
        let flags = classes[nextScalar(bytes, &index, end)] & any
        if flags == 0, bytes[start] == 0x27, let contraction = contractionEnd(bytes, index, end, folding: false) {
            return contraction
        }
        if flags == space {
            // A blank belongs to the word behind it.
            if bytes[start] == 0x20, index < end {
                var next = index
                let following = classes[nextScalar(bytes, &next, end)] & any
                if following != space { return run(bytes, next, end, following, classes) }
            }
            return whitespaceEnd(bytes, start, end, classes)
        }
        return run(bytes, index, end, flags, classes)
    }

    private static func llama3End(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ digits: Int, _ classes: ScalarClasses
    ) -> Int {
        var index = start
        let flags = classes[nextScalar(bytes, &index, end)] & any
        if flags == letter { return run(bytes, index, end, letter, classes) }
        if flags == number {
            var count = 1
            while count < digits, index < end {
                var next = index
                if classes[nextScalar(bytes, &next, end)] & any != number { break }
                index = next
                count += 1
            }
            return index
        }
        let first = bytes[start]
        if first == 0x27, let contraction = contractionEnd(bytes, index, end, folding: true) { return contraction }
        var following: ScalarClasses.Flags = space
        var next = index
        if index < end { following = classes[nextScalar(bytes, &next, end)] & any }
        if following == letter, first != 0x0D, first != 0x0A { return run(bytes, next, end, letter, classes) }
        if flags == 0 || (first == 0x20 && following == 0 && index < end) {
            index = run(bytes, index, end, 0, classes)
            while index < end, bytes[index] == 0x0D || bytes[index] == 0x0A { index += 1 }
            return index
        }
        // White space up to the last line break in it, where there is one.
        let stop = run(bytes, start, end, space, classes)
        var last = stop
        while last > start, bytes[last - 1] != 0x0D, bytes[last - 1] != 0x0A { last -= 1 }
        return last > start ? last : whitespaceEnd(bytes, start, end, classes)
    }

    /// `\s+(?!\S)|\s+`: white space without its last scalar where a word follows, unless it is the only one.
    private static func whitespaceEnd(_ bytes: [UInt8], _ start: Int, _ end: Int, _ classes: ScalarClasses) -> Int {
        let stop = run(bytes, start, end, space, classes)
        if stop == end { return stop }
        var last = stop - 1
        while last > start, bytes[last] & 0xC0 == 0x80 { last -= 1 }
        return last > start ? last : stop
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d` behind the apostrophe.
    private static func contractionEnd(_ bytes: [UInt8], _ index: Int, _ end: Int, folding: Bool) -> Int? {
        guard index < end else { return nil }
        let fold: UInt8 = folding ? 0x20 : 0
        let first = bytes[index] | fold
        switch first {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"): return index + 1
        case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
            let second = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
            return index + 1 < end && bytes[index + 1] | fold == second ? index + 2 : nil
        case 0xE5 where folding:
            // U+017F, the long s, is a case of s (0xC5 0xBF; the first byte was folded).
            return bytes[index] == 0xC5 && index + 1 < end && bytes[index + 1] == 0xBF ? index + 2 : nil
        default: return nil
        }
    }
}
