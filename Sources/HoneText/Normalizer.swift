import HoneFormats

/// The first stage: rewrites the text before it is split.
enum Normalizer: Sendable {
    case sequence([Normalizer])
    case bert(BertNormalizer)
    case prepend([UInt8])
    case replace(TextPattern, with: [UInt8])
    case strip(left: Bool, right: Bool)
    case stripAccents
    case lowercase
    case unicode(UnicodeForm)
    case characterMap(CharacterMap)
    case nmt
    case byteLevel

    /// Reads a normalizer from its JSON object.
    init(_ component: Component) throws(HoneError) {
        switch try component.type() {
        case "Sequence":
            var children: [Normalizer] = []
            for child in try component.children("normalizers") { children.append(try Normalizer(child)) }
            self = .sequence(children)
        case "BertNormalizer": self = .bert(try BertNormalizer(component))
        case "Prepend": self = .prepend(Array(try component.string("prepend").utf8))
        case "Replace":
            self = .replace(try TextPattern(component), with: Array(try component.string("content").utf8))
        case "Strip":
            self = .strip(left: try component.bool("strip_left"), right: try component.bool("strip_right"))
        case "StripAccents": self = .stripAccents
        case "Lowercase": self = .lowercase
        case "NFC": self = .unicode(.composed)
        case "NFD": self = .unicode(.decomposed)
        case "NFKC": self = .unicode(.compatiblyComposed)
        case "NFKD": self = .unicode(.compatiblyDecomposed)
        case "Precompiled": self = .characterMap(try CharacterMap(component))
        case "Nmt": self = .nmt
        case "ByteLevel": self = .byteLevel
        case let type:
            throw component.unsupported("the normalizer “\(type.prefix(80))” is not supported")
        }
    }

    /// Rewrites a text in place.
    ///
    /// - Parameter isAtStart: whether the first character still comes from the start of the whole text; becomes false
    ///   where the characters there are removed. (The `first` scheme of `Metaspace` asks.)
    func apply(to text: inout AlignedText, isAtStart: inout Bool) {
        if text.bytes.isEmpty { return }
        switch self {
        case .sequence(let children):
            for child in children { child.apply(to: &text, isAtStart: &isAtStart) }
        case .bert(let normalizer): normalizer.apply(to: &text, isAtStart: &isAtStart)
        case .prepend(let prefix): text.prepend(prefix)
        case .replace(let pattern, let content):
            Self.replace(pattern, with: content, in: &text, isAtStart: &isAtStart)
        case .strip(let left, let right): Self.strip(&text, left: left, right: right, isAtStart: &isAtStart)
        case .stripAccents: removeScalars(of: ScalarClasses.mark, from: &text, isAtStart: &isAtStart)
        case .lowercase: toLowercase(&text)
        case .unicode(let form): form.apply(to: &text)
        case .characterMap(let map): map.apply(to: &text)
        case .nmt: Self.cleanLikeNMT(&text, isAtStart: &isAtStart)
        case .byteLevel:
            var rewriter = TextRewriter(text, reserving: text.bytes.count / 2)
            for (index, byte) in text.bytes.enumerated() {
                rewriter.append(ByteAlphabet.utf8(of: byte), from: index)
                rewriter.skip(to: index + 1)
            }
            text = rewriter.finish()
        }
    }

    private static func replace(
        _ pattern: TextPattern, with content: [UInt8], in text: inout AlignedText, isAtStart: inout Bool
    ) {
        let matches = pattern.matches(in: text.bytes, 0, text.bytes.count)
        if matches.isEmpty { return }
        if let first = matches.first, first.start == 0, content.isEmpty || first.end > scalarLength(text.bytes[0]) {
            isAtStart = false
        }
        var rewriter = TextRewriter(text, reserving: matches.count * content.count)
        for match in matches {
            rewriter.keep(upTo: match.start)
            // What is put in belongs to the end of what it replaces, as in the reference.
            if match.end > 0 { rewriter.append(content, from: match.end - 1) }
            rewriter.skip(to: match.end)
        }
        text = rewriter.finish()
    }

    private static func strip(_ text: inout AlignedText, left: Bool, right: Bool, isAtStart: inout Bool) {
        let classes = ScalarClasses.shared
        if right {
            var end = text.bytes.count
            while end > 0 {
                let start = scalarStart(text.bytes, before: end)
                var index = start
                guard classes[nextScalar(text.bytes, &index, end)] & ScalarClasses.whitespace != 0 else { break }
                end = start
            }
            text.truncate(to: end)
        }
        if left {
            var start = 0
            while start < text.bytes.count {
                var index = start
                guard classes[nextScalar(text.bytes, &index, text.bytes.count)] & ScalarClasses.whitespace != 0 else {
                    break
                }
                start = index
            }
            if start > 0 {
                text.removePrefix(start)
                isAtStart = false
            }
        }
    }

    /// The clean-up of SentencePiece's `nmt` rules: some control characters go, others and white space become blanks.
    private static func cleanLikeNMT(_ text: inout AlignedText, isAtStart: inout Bool) {
        text.removeScalars { scalar, hasKept in
            let isRemoved: Bool =
                switch scalar {
                case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: true
                default: false
                }
            if isRemoved, !hasKept { isAtStart = false }
            return isRemoved
        }
        var rewriter = TextRewriter(text)
        var index = 0
        while index < text.bytes.count {
            let start = index
            switch nextScalar(text.bytes, &index, text.bytes.count) {
            case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
                rewriter.keep(upTo: start)
                rewriter.append([0x20], from: start)
                rewriter.skip(to: index)
            default: break
            }
        }
        if !rewriter.isUntouched { text = rewriter.finish() }
    }
}

/// Removes the scalars of a class.
func removeScalars(of flags: ScalarClasses.Flags, from text: inout AlignedText, isAtStart: inout Bool) {
    if text.bytes.allSatisfy({ $0 < 0x80 }),
        flags & (ScalarClasses.mark | ScalarClasses.nonspacingMark) == flags
    {
        return
    }
    let classes = ScalarClasses.shared
    text.removeScalars { scalar, hasKept in
        guard classes[scalar] & flags != 0 else { return false }
        if !hasKept { isAtStart = false }
        return true
    }
}

/// Replaces each scalar by its lower case, without regard to its neighbours.
func toLowercase(_ text: inout AlignedText) {
    var isASCII = true
    for index in text.bytes.indices {
        let byte = text.bytes[index]
        if byte &- 0x41 < 26 { text.bytes[index] = byte | 0x20 }
        if byte >= 0x80 { isASCII = false }
    }
    if isASCII { return }
    var rewriter = TextRewriter(text, reserving: 8)
    var index = 0
    while index < text.bytes.count {
        let start = index
        let scalar = nextScalar(text.bytes, &index, text.bytes.count)
        if scalar >= 0x80, let value = Unicode.Scalar(scalar), value.properties.changesWhenLowercased {
            rewriter.keep(upTo: start)
            rewriter.append(value.properties.lowercaseMapping.utf8, from: start)
            rewriter.skip(to: index)
        }
    }
    if !rewriter.isUntouched { text = rewriter.finish() }
}
