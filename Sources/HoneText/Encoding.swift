/// Where a token stands in a text: from the `start`-th character up to the `end`-th, counted in Unicode scalars from zero.
public struct TokenOffset: Sendable, Hashable {
    /// The first character.
    public var start: Int
    /// The character behind the last one.
    public var end: Int

    /// A stretch of a text.
    public init(start: Int, end: Int) {
        self.start = start
        self.end = end
    }
}

/// What a text, or a pair of texts, becomes for a model.
public struct Encoding: Sendable, Equatable {
    /// The token ids.
    public internal(set) var ids: [Int] = []
    /// For each token, which text it belongs to (BERT's token types): mostly 0 for the first and 1 for the second.
    public internal(set) var typeIds: [Int] = []
    /// For each token, where it stands in its text; 0 and 0 for special tokens that were added. Empty unless asked for.
    public internal(set) var offsets: [TokenOffset] = []
    /// For each token, the text that it comes from: 0 or 1, or `nil` for special tokens that were added. Empty unless offsets
    /// were asked for.
    public internal(set) var textIndices: [Int?] = []
    /// Whether tokens were cut off to keep to the maximum length.
    public internal(set) var isTruncated: Bool

    init(isTruncated: Bool = false) { self.isTruncated = isTruncated }

    mutating func append(_ text: TokenizedText, type: Int, index: Int) {
        ids.append(contentsOf: text.ids)
        typeIds.append(contentsOf: repeatElement(type, count: text.ids.count))
        offsets.append(contentsOf: text.offsets)
        textIndices.append(contentsOf: repeatElement(Optional(index), count: text.offsets.count))
    }

    mutating func append(special: [Int], type: Int, hasOffsets: Bool) {
        ids.append(contentsOf: special)
        typeIds.append(contentsOf: repeatElement(type, count: special.count))
        guard hasOffsets else { return }
        offsets.append(contentsOf: repeatElement(TokenOffset(start: 0, end: 0), count: special.count))
        textIndices.append(contentsOf: repeatElement(nil, count: special.count))
    }
}

/// The tokens of a text before the post-processor.
struct TokenizedText {
    /// How many blanks the text of a token starts and ends with.
    struct Blanks {
        var leading = 0
        var trailing = 0
    }

    var ids: [Int]
    /// Whether offsets were asked for.
    var hasOffsets = false
    /// Empty unless asked for.
    var offsets: [TokenOffset] = []
    /// Empty unless the post-processor asks.
    var blanks: [Blanks] = []

    /// Keeps only so many tokens, those at one end.
    mutating func truncate(to count: Int, side: TruncationSide) {
        guard count < ids.count else { return }
        func cut<Element>(_ elements: inout [Element]) {
            if elements.isEmpty { return }
            if side == .right {
                elements.removeLast(elements.count - count)
            } else {
                elements.removeFirst(elements.count - count)
            }
        }
        cut(&ids)
        cut(&offsets)
        cut(&blanks)
    }

    /// Leaves the blanks at the ends of tokens out of their offsets, as the byte-level post-processors do.
    ///
    /// - Parameter addsPrefixSpace: a single blank at the start of the text may have been added, so it stays.
    mutating func trimOffsets(addsPrefixSpace: Bool) {
        for index in offsets.indices where index < blanks.count {
            var (leading, trailing) = (blanks[index].leading, blanks[index].trailing)
            if leading > 0 {
                let isFirst = index == 0 || offsets[index].start == 0
                if isFirst, addsPrefixSpace, leading == 1 { leading = 0 }
                offsets[index].start = min(offsets[index].start + leading, offsets[index].end)
            }
            if trailing > offsets[index].end { trailing = 0 }
            if trailing > 0 { offsets[index].end = max(offsets[index].end - trailing, offsets[index].start) }
        }
    }
}
