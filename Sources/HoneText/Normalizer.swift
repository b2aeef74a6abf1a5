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
        case "ByteLevel": self = .byteLevel
        case let type:
            throw component.unsupported("the normalizer “\(type.prefix(80))” is not supported")
        }
    }

    /// Rewrites a text in place.
    ///
    /// - Parameter isAtStart: whether the first character still comes from the start of the whole text; becomes false
    ///   where the characters there are removed. (The `first` scheme of `Metaspace` asks.)
    func apply(to text: inout [UInt8], isAtStart: inout Bool) {
        if text.isEmpty { return }
        switch self {
        case .sequence(let children):
            for child in children { child.apply(to: &text, isAtStart: &isAtStart) }
        case .bert(let normalizer): normalizer.apply(to: &text, isAtStart: &isAtStart)
        case .prepend(let prefix): text.insert(contentsOf: prefix, at: 0)
        case .replace(let pattern, let content):
            Self.replace(pattern, with: content, in: &text, isAtStart: &isAtStart)
        case .strip(let left, let right): Self.strip(&text, left: left, right: right, isAtStart: &isAtStart)
        case .stripAccents: removeScalars(of: ScalarClasses.mark, from: &text, isAtStart: &isAtStart)
        case .lowercase: toLowercase(&text)
        case .unicode(let form): form.apply(to: &text)
        case .byteLevel:
            var output: [UInt8] = []
            output.reserveCapacity(text.count + text.count / 2)
            ByteAlphabet.append(text, to: &output)
            text = output
        }
    }

    private static func replace(
        _ pattern: TextPattern, with content: [UInt8], in text: inout [UInt8], isAtStart: inout Bool
    ) {
        let matches = pattern.matches(in: text, 0, text.count)
        if matches.isEmpty { return }
        var output: [UInt8] = []
        output.reserveCapacity(text.count + matches.count * content.count)
        var copied = 0
        for match in matches {
            output.append(contentsOf: text[copied..<match.start])
            output.append(contentsOf: content)
            copied = match.end
        }
        output.append(contentsOf: text[copied...])
        if let first = matches.first, first.start == 0, content.isEmpty || first.end > scalarLength(text[0]) {
            isAtStart = false
        }
        text = output
    }

    private static func strip(_ text: inout [UInt8], left: Bool, right: Bool, isAtStart: inout Bool) {
        let classes = ScalarClasses.shared
        if right {
            var end = text.count
            while end > 0 {
                var start = end - 1
                while start > 0, text[start] & 0xC0 == 0x80 { start -= 1 }
                var index = start
                guard classes[nextScalar(text, &index, end)] & ScalarClasses.whitespace != 0 else { break }
                end = start
            }
            text.removeSubrange(end...)
        }
        if left {
            var start = 0
            while start < text.count {
                var index = start
                guard classes[nextScalar(text, &index, text.count)] & ScalarClasses.whitespace != 0 else { break }
                start = index
            }
            if start > 0 {
                text.removeSubrange(..<start)
                isAtStart = false
            }
        }
    }
}

/// Removes the scalars of a class.
func removeScalars(of flags: ScalarClasses.Flags, from text: inout [UInt8], isAtStart: inout Bool) {
    if text.allSatisfy({ $0 < 0x80 }), flags & (ScalarClasses.mark | ScalarClasses.nonspacingMark) == flags { return }
    let classes = ScalarClasses.shared
    var index = 0
    var kept = 0
    while index < text.count {
        let start = index
        if classes[nextScalar(text, &index, text.count)] & flags != 0 {
            if kept == 0 { isAtStart = false }
            continue
        }
        for source in start..<index {
            text[kept] = text[source]
            kept += 1
        }
    }
    text.removeSubrange(kept...)
}

/// Replaces each scalar by its lower case, without regard to its neighbours.
func toLowercase(_ text: inout [UInt8]) {
    var isASCII = true
    for index in text.indices {
        let byte = text[index]
        if byte &- 0x41 < 26 { text[index] = byte | 0x20 }
        if byte >= 0x80 { isASCII = false }
    }
    if isASCII { return }
    var output: [UInt8] = []
    output.reserveCapacity(text.count + 8)
    var index = 0
    while index < text.count {
        let start = index
        let scalar = nextScalar(text, &index, text.count)
        if scalar >= 0x80, let value = Unicode.Scalar(scalar), value.properties.changesWhenLowercased {
            output.append(contentsOf: value.properties.lowercaseMapping.utf8)
        } else {
            output.append(contentsOf: text[start..<index])
        }
    }
    text = output
}
