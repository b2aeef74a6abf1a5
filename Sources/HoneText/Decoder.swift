import HoneFormats

/// The way back: turns the texts of tokens into one text.
enum Decoder: Sendable {
    case sequence([Decoder])
    case byteLevel
    case wordPiece(prefix: [UInt8], cleansUp: Bool)
    case metaspace(replacement: [UInt8], keepsFirst: Bool)
    case replace(TextPattern, with: [UInt8])
    case byteFallback
    case fuse
    case strip([UInt8], start: Int, stop: Int)
    case bytePair(suffix: [UInt8])

    /// Reads a decoder from its JSON object.
    init(_ component: Component) throws(HoneError) {
        switch try component.type() {
        case "Sequence":
            var children: [Decoder] = []
            for child in try component.children("decoders") { children.append(try Decoder(child)) }
            self = .sequence(children)
        case "ByteLevel": self = .byteLevel
        case "WordPiece":
            self = .wordPiece(
                prefix: Array(try component.string("prefix").utf8), cleansUp: try component.bool("cleanup"))
        case "Metaspace":
            let metaspace = try Metaspace(component)
            self = .metaspace(replacement: metaspace.replacement, keepsFirst: metaspace.prepending == .never)
        case "Replace":
            self = .replace(try TextPattern(component), with: Array(try component.string("content").utf8))
        case "ByteFallback": self = .byteFallback
        case "Fuse": self = .fuse
        case "Strip":
            let content = try component.string("content")
            guard content.unicodeScalars.count == 1 else {
                throw component.problem("“content” should be one character")
            }
            self = .strip(
                Array(content.utf8), start: try component.count("start"), stop: try component.count("stop"))
        case "BPEDecoder":
            let suffix = try component.string("suffix")
            if suffix.isEmpty { throw component.unsupported("an empty suffix is not supported") }
            self = .bytePair(suffix: Array(suffix.utf8))
        case let type:
            throw component.unsupported("the decoder “\(type.prefix(80))” is not supported")
        }
    }

    /// Rewrites the texts of tokens; joined, they are the decoded text.
    func decode(_ tokens: inout TokenTexts) {
        switch self {
        case .sequence(let children):
            for child in children { child.decode(&tokens) }
        case .byteLevel:
            tokens.rewrite { token, _, output in
                let start = output.bytes.count
                if !ByteAlphabet.append(bytesOf: token, to: &output.bytes) {
                    output.bytes.removeSubrange(start...)
                    output.bytes.append(contentsOf: token)
                }
            }
            tokens = TokenTexts(String(decoding: tokens.bytes, as: UTF8.self))
        case .wordPiece(let prefix, let cleansUp):
            tokens.rewrite { token, index, output in
                let start = output.bytes.count
                if index > 0, token.starts(with: prefix) {
                    output.bytes.append(contentsOf: token.dropFirst(prefix.count))
                } else {
                    if index > 0 { output.bytes.append(0x20) }
                    output.bytes.append(contentsOf: token)
                }
                if cleansUp { BlankCleanUp.token.apply(to: &output.bytes, from: start) }
                output.finishToken()
            }
        case .metaspace(let replacement, let keepsFirst):
            replace(.literal(replacement), in: &tokens) { index in index == 0 && !keepsFirst ? [] : [0x20] }
        case .replace(let pattern, let content): replace(pattern, in: &tokens) { _ in content }
        case .byteFallback: Self.joinBytes(&tokens)
        case .fuse: tokens.fuse()
        case .strip(let content, let start, let stop):
            tokens.rewrite { token, _, output in
                output.bytes.append(contentsOf: Self.stripped(token, content, start: start, stop: stop))
                output.finishToken()
            }
        case .bytePair(let suffix):
            let last = tokens.count - 1
            replace(.literal(suffix), in: &tokens) { index in index == last ? [] : [0x20] }
        }
    }

    /// Replaces each match of a pattern within a token; `content` takes the index of the token.
    private func replace(_ pattern: TextPattern, in tokens: inout TokenTexts, with content: (Int) -> [UInt8]) {
        let bytes = tokens.bytes
        tokens.rewrite { token, index, output in
            if !pattern.mayMatch(token) {
                output.bytes.append(contentsOf: token)
                output.finishToken()
                return
            }
            var copied = token.startIndex
            for match in pattern.matches(in: bytes, token.startIndex, token.endIndex) {
                output.bytes.append(contentsOf: bytes[copied..<match.start])
                output.bytes.append(contentsOf: content(index))
                copied = match.end
            }
            output.bytes.append(contentsOf: bytes[copied..<token.endIndex])
            output.finishToken()
        }
    }

    /// Joins runs of tokens such as `<0xC3>` `<0xA9>` to characters; a run that is no valid text becomes one replacement
    /// character for each byte.
    private static func joinBytes(_ tokens: inout TokenTexts) {
        var run: [UInt8] = []
        func flush(_ output: inout TokenTexts) {
            if run.isEmpty { return }
            if String(validating: run, as: UTF8.self) != nil {
                output.bytes.append(contentsOf: run)
                output.finishToken()
            } else {
                for _ in run {
                    output.bytes.append(contentsOf: [0xEF, 0xBF, 0xBD])
                    output.finishToken()
                }
            }
            run.removeAll(keepingCapacity: true)
        }
        let last = tokens.count - 1
        tokens.rewrite { token, index, output in
            if let byte = byteOfToken(token) {
                run.append(byte)
            } else {
                flush(&output)
                output.bytes.append(contentsOf: token)
                output.finishToken()
            }
            if index == last { flush(&output) }
        }
    }

    private static func byteOfToken(_ token: ArraySlice<UInt8>) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token.last == UInt8(ascii: ">"),
            let high = Character(Unicode.Scalar(token[token.startIndex + 3])).hexDigitValue,
            let low = Character(Unicode.Scalar(token[token.startIndex + 4])).hexDigitValue
        else { return nil }
        return UInt8(high * 16 + low)
    }

    /// A token without up to `start` copies of a character at its start and up to `stop` at its end.
    private static func stripped(
        _ token: ArraySlice<UInt8>, _ content: [UInt8], start: Int, stop: Int
    ) -> ArraySlice<UInt8> {
        var rest = token
        var removed = 0
        while removed < start, rest.starts(with: content) {
            rest = rest.dropFirst(content.count)
            removed += 1
        }
        removed = 0
        while removed < stop, rest.suffix(content.count).elementsEqual(content) {
            rest = rest.dropLast(content.count)
            removed += 1
        }
        return rest
    }
}

/// The texts of tokens, one after the other.
struct TokenTexts {
    /// All texts, without anything between them.
    var bytes: [UInt8] = []
    /// Where each text ends.
    private(set) var ends: [Int] = []

    init() {}

    /// One text.
    init(_ text: String) {
        bytes = Array(text.utf8)
        ends = [bytes.count]
    }

    /// How many texts there are.
    var count: Int { ends.count }

    /// Ends the text that `bytes` were appended for.
    mutating func finishToken() { ends.append(bytes.count) }

    /// Makes one text of all.
    mutating func fuse() { ends = [bytes.count] }

    /// Replaces all texts by what `body` appends for each of them.
    mutating func rewrite(_ body: (_ token: ArraySlice<UInt8>, _ index: Int, _ output: inout TokenTexts) -> Void) {
        var output = TokenTexts()
        output.bytes.reserveCapacity(bytes.count + ends.count)
        output.ends.reserveCapacity(ends.count)
        var start = 0
        for (index, end) in ends.enumerated() {
            body(bytes[start..<end], index, &output)
            start = end
        }
        self = output
    }
}

/// Takes back the blanks that splitting put before punctuation and English contractions.
struct BlankCleanUp: Sendable {
    private let replacements: [(from: [UInt8], to: [UInt8])]

    private init(_ replacements: [(String, String)]) {
        self.replacements = replacements.map { (Array($0.0.utf8), Array($0.1.utf8)) }
    }

    /// What the `WordPiece` decoder does to each token.
    static let token = BlankCleanUp([
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ])

    /// What `clean_up_tokenization_spaces` does to a whole text.
    static let text = BlankCleanUp([
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
        (" 've", "'ve"), (" 're", "'re"),
    ])

    /// Cleans up the text that stands behind an index.
    func apply(to bytes: inout [UInt8], from start: Int) {
        guard bytes[start...].contains(0x20) else { return }
        for (from, to) in replacements {
            let matches = TextPattern.literal(from).matches(in: bytes, start, bytes.count)
            if matches.isEmpty { continue }
            var output: [UInt8] = []
            var copied = start
            for match in matches {
                output.append(contentsOf: bytes[copied..<match.start])
                output.append(contentsOf: to)
                copied = match.end
            }
            output.append(contentsOf: bytes[copied...])
            bytes.replaceSubrange(start..., with: output)
        }
    }
}
