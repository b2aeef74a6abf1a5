import HoneFormats

/// What becomes of the delimiters at which a text is split.
enum DelimiterBehavior: String, Sendable {
    case removed = "Removed"
    case isolated = "Isolated"
    case mergedWithPrevious = "MergedWithPrevious"
    case mergedWithNext = "MergedWithNext"
    case contiguous = "Contiguous"
}

/// The second stage: splits a normalised text into the pieces that the model encodes one by one.
enum PreTokenizer: Sendable {
    case sequence([PreTokenizer])
    case bert
    case byteLevel(addsPrefixSpace: Bool, splits: Bool)
    case metaspace(Metaspace)
    case whitespace
    case whitespaceSplit
    case delimiter([UInt8])
    case punctuation(DelimiterBehavior)
    case digits(individually: Bool)
    case split(TextPattern, DelimiterBehavior, inverted: Bool)

    /// Reads a pre-tokenizer from its JSON object.
    init(_ component: Component) throws(HoneError) {
        switch try component.type() {
        case "Sequence":
            var children: [PreTokenizer] = []
            for child in try component.children("pretokenizers") { children.append(try PreTokenizer(child)) }
            self = .sequence(children)
        case "BertPreTokenizer": self = .bert
        case "ByteLevel":
            self = .byteLevel(
                addsPrefixSpace: try component.bool("add_prefix_space"),
                splits: try component.bool("use_regex", default: true))
        case "Metaspace": self = .metaspace(try Metaspace(component))
        case "Whitespace": self = .whitespace
        case "WhitespaceSplit": self = .whitespaceSplit
        case "CharDelimiterSplit":
            let text = try component.string("delimiter")
            guard text.unicodeScalars.count == 1 else {
                throw component.problem("“delimiter” should be one character")
            }
            self = .delimiter(Array(text.utf8))
        case "Punctuation":
            self = .punctuation(
                component.value["behavior"] == nil ? .isolated : try Self.behavior(component))
        case "Digits": self = .digits(individually: try component.bool("individual_digits"))
        case "Split":
            self = .split(
                try TextPattern(component), try Self.behavior(component), inverted: try component.bool("invert"))
        case let type:
            throw component.unsupported("the pre-tokenizer “\(type.prefix(80))” is not supported")
        }
    }

    private static func behavior(_ component: Component) throws(HoneError) -> DelimiterBehavior {
        let name = try component.string("behavior")
        guard let behavior = DelimiterBehavior(rawValue: name) else {
            throw component.unsupported("the behavior “\(name.prefix(80))” is not supported")
        }
        return behavior
    }

    /// Whether the last thing this does is to turn bytes into the characters of `ByteAlphabet`.
    var endsInByteLevel: Bool {
        switch self {
        case .byteLevel: true
        case .sequence(let children): children.last?.endsInByteLevel ?? false
        default: false
        }
    }

    /// Splits pieces further.
    ///
    /// - Parameter keepsBytes: leave out the last step of a final `ByteLevel`, because the model works on bytes.
    func apply(to pieces: inout Pieces, keepsBytes: Bool) {
        switch self {
        case .sequence(let children):
            for (index, child) in children.enumerated() {
                child.apply(to: &pieces, keepsBytes: keepsBytes && index == children.count - 1)
            }
        case .byteLevel(let addsPrefixSpace, let splits):
            if addsPrefixSpace { pieces.prependBlanks() }
            if splits { pieces.splitWords(WordScanner.gpt2) }
            if !keepsBytes { pieces.mapToByteAlphabet() }
        case .metaspace(let metaspace): metaspace.apply(to: &pieces)
        case .bert: pieces.splitLikeBert()
        case .whitespace: pieces.splitIntoRuns()
        case .whitespaceSplit: pieces.split(at: ScalarClasses.whitespace, .removed)
        case .delimiter(let delimiter): pieces.split(at: .literal(delimiter), .removed, inverted: false)
        case .punctuation(let behavior): pieces.split(at: ScalarClasses.punctuation, behavior)
        case .digits(let individually): pieces.split(at: ScalarClasses.numeric, individually ? .isolated : .contiguous)
        case .split(.words(let scanner), let behavior, let inverted)
        where behavior == .isolated || (behavior == .removed && inverted):
            // The scanner leaves nothing between its matches, so both come to the same.
            pieces.splitWords(scanner)
        case .split(let pattern, let behavior, let inverted): pieces.split(at: pattern, behavior, inverted: inverted)
        }
    }
}

/// The pre-tokenizer of SentencePiece models: blanks become `▁`, and pieces start at each of them
/// (Kudo and Richardson 2018, section 3.1).
struct Metaspace: Sendable {
    /// When a `▁` is put before a piece that has none.
    enum Prepending: String, Sendable {
        case first
        case never
        case always
    }

    var replacement: [UInt8]
    var prepending: Prepending
    var splits: Bool

    init(_ component: Component) throws(HoneError) {
        let text = try component.string("replacement")
        guard text.unicodeScalars.count == 1 else { throw component.problem("“replacement” should be one character") }
        replacement = Array(text.utf8)
        splits = try component.bool("split", default: true)
        var scheme = Prepending.always
        if component.value["prepend_scheme"] != nil {
            let name = try component.string("prepend_scheme")
            guard let known = Prepending(rawValue: name) else {
                throw component.unsupported("the prepend_scheme “\(name.prefix(80))” is not supported")
            }
            scheme = known
        }
        // The older form of the same setting.
        if try component.bool("add_prefix_space", default: true) == false {
            if component.value["prepend_scheme"] != nil, scheme != .never {
                throw component.problem("“add_prefix_space” and “prepend_scheme” contradict each other")
            }
            scheme = .never
        }
        prepending = scheme
    }

    func apply(to pieces: inout Pieces) {
        pieces.replaceBlanks(by: replacement, prepending: prepending)
        if splits { pieces.split(at: .literal(replacement), .mergedWithNext, inverted: false) }
    }
}
