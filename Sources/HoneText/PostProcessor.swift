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

    /// For each time that blanks are left out of offsets, whether a blank may have been put before the text.
    private(set) var trimmings: [Bool] = []

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
            if try component.bool("trim_offsets", default: true) {
                trimmings = [try component.bool("add_prefix_space", default: true)]
            }
        case "ByteLevel":
            // Says nothing of tokens, only of the places of tokens in the text.
            if try component.bool("trim_offsets", default: true) {
                trimmings = [try component.bool("add_prefix_space", default: true)]
            }
        case "Sequence":
            var isAdding = false
            for child in try component.children("processors") {
                let part = try PostProcessor(child)
                let trimmings = trimmings + part.trimmings
                if try child.type() != "ByteLevel" {
                    if isAdding {
                        throw child.unsupported("a second post-processor that adds tokens is not supported")
                    }
                    isAdding = true
                    self = part
                }
                self.trimmings = trimmings
            }
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
        _ first: TokenizedText, _ second: TokenizedText?, addsSpecialTokens: Bool, truncation: Truncation
    ) -> Encoding {
        var first = first
        var second = second
        var isTruncated = false
        if let maximumLength = truncation.maximumLength {
            let added = addsSpecialTokens ? addedCount(isPair: second != nil) : 0
            let room = max(0, max(0, maximumLength) - added)
            let counts = (first: first.ids.count, second: second?.ids.count ?? 0)
            let lengths =
                second == nil
                ? (first: min(counts.first, room), second: 0)
                : truncation.strategy.lengths(counts.first, counts.second, limit: room)
            isTruncated = lengths != counts
            first.truncate(to: lengths.first, side: truncation.side)
            second?.truncate(to: lengths.second, side: truncation.side)
        }
        for addsPrefixSpace in trimmings {
            first.trimOffsets(addsPrefixSpace: addsPrefixSpace)
            second?.trimOffsets(addsPrefixSpace: addsPrefixSpace)
        }
        var encoding = Encoding(isTruncated: isTruncated)
        for piece in second == nil ? single : pair {
            switch piece {
            case .text(false, let type): encoding.append(first, type: type, index: 0)
            case .text(true, let type): if let second { encoding.append(second, type: type, index: 1) }
            case .special(let ids, let type):
                if addsSpecialTokens { encoding.append(special: ids, type: type, hasOffsets: first.hasOffsets) }
            }
        }
        return encoding
    }
}
