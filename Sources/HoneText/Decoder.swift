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
    func decode(_ tokens: [[UInt8]]) -> [[UInt8]] {
        switch self {
        case .sequence(let children): return children.reduce(tokens) { $1.decode($0) }
        case .byteLevel:
            var bytes: [UInt8] = []
            for token in tokens { bytes.append(contentsOf: ByteAlphabet.bytes(of: token) ?? token) }
            return [Array(String(decoding: bytes, as: UTF8.self).utf8)]
        case .wordPiece(let prefix, let cleansUp):
            return tokens.enumerated().map { index, token in
                var token = token
                if index > 0 {
                    if token.starts(with: prefix) {
                        token.removeFirst(prefix.count)
                    } else {
                        token.insert(0x20, at: 0)
                    }
                }
                return cleansUp ? WordPieceCleanUp.apply(to: token) : token
            }
        case .metaspace(let replacement, let keepsFirst):
            return tokens.enumerated().map { index, token in
                Self.replacing(replacement, in: token, with: index == 0 && !keepsFirst ? [] : [0x20])
            }
        case .replace(let pattern, let content):
            return tokens.map { Self.replacing(pattern.matches(in: $0, 0, $0.count), in: $0, with: content) }
        case .byteFallback: return Self.joinBytes(tokens)
        case .fuse: return [Array(tokens.joined())]
        case .strip(let content, let start, let stop):
            return tokens.map { Self.stripped($0, content, start: start, stop: stop) }
        case .bytePair(let suffix):
            return tokens.enumerated().map { index, token in
                Self.replacing(suffix, in: token, with: index == tokens.count - 1 ? [] : [0x20])
            }
        }
    }

    static func replacing(_ literal: [UInt8], in token: [UInt8], with content: [UInt8]) -> [UInt8] {
        replacing(TextPattern.literal(literal).matches(in: token, 0, token.count), in: token, with: content)
    }

    private static func replacing(_ matches: [TextMatch], in token: [UInt8], with content: [UInt8]) -> [UInt8] {
        if matches.isEmpty { return token }
        var output: [UInt8] = []
        var copied = 0
        for match in matches {
            output.append(contentsOf: token[copied..<match.start])
            output.append(contentsOf: content)
            copied = match.end
        }
        return output + token[copied...]
    }

    /// Joins runs of tokens such as `<0xC3>` `<0xA9>` to characters; a run that is no valid text becomes one replacement
    /// character for each byte.
    private static func joinBytes(_ tokens: [[UInt8]]) -> [[UInt8]] {
        var output: [[UInt8]] = []
        var run: [UInt8] = []
        func flush() {
            if run.isEmpty { return }
            if String(validating: run, as: UTF8.self) != nil {
                output.append(run)
            } else {
                output.append(contentsOf: repeatElement([0xEF, 0xBF, 0xBD], count: run.count))
            }
            run.removeAll()
        }
        for token in tokens {
            if let byte = byteOfToken(token) {
                run.append(byte)
            } else {
                flush()
                output.append(token)
            }
        }
        flush()
        return output
    }

    private static func byteOfToken(_ token: [UInt8]) -> UInt8? {
        guard token.count == 6, token.starts(with: "<0x".utf8), token[5] == UInt8(ascii: ">"),
            let high = Character(Unicode.Scalar(token[3])).hexDigitValue,
            let low = Character(Unicode.Scalar(token[4])).hexDigitValue
        else { return nil }
        return UInt8(high * 16 + low)
    }

    /// A token without up to `start` copies of a character at its start and up to `stop` at its end.
    private static func stripped(_ token: [UInt8], _ content: [UInt8], start: Int, stop: Int) -> [UInt8] {
        var rest = token[...]
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
        return Array(rest)
    }
}

/// Takes back the blanks that splitting put before punctuation and English contractions.
enum WordPieceCleanUp {
    private static let replacements: [(from: [UInt8], to: [UInt8])] = [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"),
        (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ].map { (Array($0.0.utf8), Array($0.1.utf8)) }

    /// A token cleaned up; it starts with the blank that separates it from the one before.
    static func apply(to token: [UInt8]) -> [UInt8] {
        guard token.contains(0x20) else { return token }
        return replacements.reduce(token) { Decoder.replacing($1.from, in: $0, with: $1.to) }
    }
}
