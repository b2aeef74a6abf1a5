import HoneFormats

/// The stage after the model: puts special tokens around one text or two, and says which token belongs to which.
///
/// Every kind that the reference has comes down to a template: `[CLS] A [SEP]`, `[CLS] A [SEP] B [SEP]`.
struct PostProcessor: Sendable {
    /// A piece of a template.
    enum Piece: Sendable {
        /// The ids of the first or the second text, and their type.
        case text(isSecond: Bool, type: Int)
        /// These ids.
        case special([Int], type: Int)
    }

    /// What is made of one text.
    var single: [Piece] = [.text(isSecond: false, type: 0)]
    /// What is made of two.
    var pair: [Piece] = [.text(isSecond: false, type: 0), .text(isSecond: true, type: 1)]

    /// Adds nothing.
    init() {}

    /// Reads a post-processor from its JSON object.
    init(_ component: Component) throws(HoneError) {
        switch try component.type() {
        case "TemplateProcessing":
            single = try Self.template("single", component)
            pair = try Self.template("pair", component)
        case "BertProcessing":
            let (start, end) = try Self.boundaries(component)
            single = [.special([start], type: 0), .text(isSecond: false, type: 0), .special([end], type: 0)]
            pair = single + [.text(isSecond: true, type: 1), .special([end], type: 1)]
        case "RobertaProcessing":
            let (start, end) = try Self.boundaries(component)
            single = [.special([start], type: 0), .text(isSecond: false, type: 0), .special([end], type: 0)]
            pair = single + [.special([end], type: 0), .text(isSecond: true, type: 0), .special([end], type: 0)]
        case "ByteLevel":
            // Only moves the places of tokens in the text, which Hone does not keep.
            break
        case "Sequence":
            var adding: PostProcessor?
            for child in try component.children("processors") where try child.type() != "ByteLevel" {
                if adding != nil {
                    throw child.unsupported("a second post-processor that adds tokens is not supported")
                }
                adding = try PostProcessor(child)
            }
            if let adding { self = adding }
        case let type:
            throw component.unsupported("the post-processor “\(type.prefix(80))” is not supported")
        }
    }

    private static func boundaries(_ component: Component) throws(HoneError) -> (start: Int, end: Int) {
        func id(_ name: String) throws(HoneError) -> Int {
            guard let pair = component.value[name]?.array, pair.count == 2, pair[0].string != nil,
                let id = pair[1].integer, (0..<Int(Int32.max)).contains(id)
            else { throw component.wrongKind(name, "an array of a token and its id") }
            return id
        }
        return (try id("cls"), try id("sep"))
    }

    private static func template(_ name: String, _ component: Component) throws(HoneError) -> [Piece] {
        var pieces: [Piece] = []
        for child in try component.children(name) {
            guard let object = child.value.object, object.count == 1, let kind = object.keys.first,
                let content = object[kind]
            else { throw child.problem("expected an object with “Sequence” or “SpecialToken”") }
            let inner = Component(content, file: child.file, place: "\(child.place).\(kind.prefix(80))")
            let id = try inner.string("id")
            let type = try inner.count("type_id")
            switch (kind, id) {
            case ("Sequence", "A"): pieces.append(.text(isSecond: false, type: type))
            case ("Sequence", "B"):
                if name == "single" { throw inner.problem("one text has no second sequence “B”") }
                pieces.append(.text(isSecond: true, type: type))
            case ("SpecialToken", _): pieces.append(.special(try specialIds(id, component), type: type))
            default: throw inner.problem("expected the sequence “A” or “B” or a special token")
            }
        }
        return pieces
    }

    private static func specialIds(_ id: String, _ component: Component) throws(HoneError) -> [Int] {
        guard let token = component.value["special_tokens"]?[id], let values = token["ids"]?.array else {
            throw component.problem("“special_tokens” does not describe a special token of the template")
        }
        return try values.map { value throws(HoneError) -> Int in
            guard let id = value.integer, (0..<Int(Int32.max)).contains(id) else {
                throw component.problem("“special_tokens” holds an id that is not a whole number from 0 on")
            }
            return id
        }
    }

    /// How many special tokens are added.
    func addedCount(isPair: Bool) -> Int {
        (isPair ? pair : single).reduce(0) { count, piece in
            if case .special(let ids, _) = piece { return count + ids.count }
            return count
        }
    }

    /// Puts the parts together, after shortening them to a length if one is given.
    func encoding(
        _ first: [Int], _ second: [Int]?, addsSpecialTokens: Bool, maximumLength: Int?
    ) -> Encoding {
        var first = first[...]
        var second = second?[...]
        var isTruncated = false
        if let maximumLength {
            let added = addsSpecialTokens ? addedCount(isPair: second != nil) : 0
            let room = max(0, max(0, maximumLength) - added)
            let lengths = Self.truncated(first.count, second?.count, to: room)
            isTruncated = lengths.first < first.count || lengths.second < (second?.count ?? 0)
            first = first.prefix(lengths.first)
            second = second?.prefix(lengths.second)
        }
        var encoding = Encoding(isTruncated: isTruncated)
        for piece in second == nil ? single : pair {
            switch piece {
            case .text(let isSecond, let type): encoding.append(isSecond ? second ?? [] : first, type: type)
            case .special(let ids, let type): if addsSpecialTokens { encoding.append(ids[...], type: type) }
            }
        }
        return encoding
    }

    /// The lengths to which two texts are cut: the longer one first, both to half where both are too long
    /// (`longest_first` of the reference).
    private static func truncated(_ first: Int, _ second: Int?, to limit: Int) -> (first: Int, second: Int) {
        guard let second else { return (min(first, limit), 0) }
        if first + second <= limit { return (first, second) }
        var shorter = min(first, second)
        var longer = shorter > limit ? shorter : max(shorter, limit - shorter)
        if shorter + longer > limit {
            shorter = limit / 2
            longer = shorter + limit % 2
        }
        let lengths = first > second ? (first: longer, second: shorter) : (first: shorter, second: longer)
        return (min(first, lengths.first), min(second, lengths.second))
    }
}

/// What a text, or a pair of texts, becomes for a model.
public struct Encoding: Sendable, Equatable {
    /// The token ids.
    public internal(set) var ids: [Int] = []
    /// For each token, which text it belongs to (BERT's token types): mostly 0 for the first and 1 for the second.
    public internal(set) var typeIds: [Int] = []
    /// Whether tokens were cut off to keep to the maximum length.
    public internal(set) var isTruncated: Bool

    init(isTruncated: Bool = false) { self.isTruncated = isTruncated }

    mutating func append(_ more: ArraySlice<Int>, type: Int) {
        ids.append(contentsOf: more)
        typeIds.append(contentsOf: repeatElement(type, count: more.count))
    }
}
