/// Gathers where the tokens of a text stand in it, as the stages that rewrote the text remember it.
struct TokenCollector {
    private let original: [UInt8]
    /// Whether places are wanted at all.
    private let hasOffsets: Bool
    /// Whether the blanks at the ends of tokens have to be counted.
    private let trims: Bool
    /// Where each token stands, in bytes.
    private var places: [TextMatch] = []
    private var blanks: [TokenizedText.Blanks] = []
    /// How many tokens of the sink have been collected.
    private var collected = 0

    init(original: [UInt8], hasOffsets: Bool, trims: Bool) {
        self.original = original
        self.hasOffsets = hasOffsets
        self.trims = trims
    }

    /// Takes the places of new tokens from the sink.
    ///
    /// - Parameters:
    ///   - origins: where the bytes come from that the places count.
    ///   - text: the text of a token.
    mutating func collect(_ sink: inout TokenSink, _ origins: [Origin], text: (_ id: Int) -> ArraySlice<UInt8>) {
        for (place, id) in zip(sink.places, sink.ids[collected...]) {
            if place.start < place.end, place.end <= origins.count {
                places.append(
                    TextMatch(start: Int(origins[place.start].start), end: Int(origins[place.end - 1].end)))
            } else {
                places.append(TextMatch(start: 0, end: 0))
            }
            if trims { blanks.append(Self.blanks(of: text(id))) }
        }
        collected = sink.ids.count
        sink.places.removeAll(keepingCapacity: true)
    }

    /// How many blanks, as they are or as `Ġ`, a token starts and ends with.
    private static func blanks(of token: ArraySlice<UInt8>) -> TokenizedText.Blanks {
        let classes = ScalarClasses.shared
        var isBlank: [Bool] = []
        let bytes = Array(token)
        var index = 0
        while index < bytes.count {
            let scalar = nextScalar(bytes, &index, bytes.count)
            isBlank.append(scalar == 0x120 || classes[scalar] & ScalarClasses.whitespace != 0)
        }
        return .init(leading: isBlank.prefix { $0 }.count, trailing: isBlank.reversed().prefix { $0 }.count)
    }

    /// The tokens with their places counted in characters.
    func finish(_ ids: [Int]) -> TokenizedText {
        if !hasOffsets { return TokenizedText(ids: ids) }
        if original.allSatisfy({ $0 < 0x80 }) {
            return TokenizedText(
                ids: ids, hasOffsets: true, offsets: places.map { TokenOffset(start: $0.start, end: $0.end) },
                blanks: blanks)
        }
        // Which character each byte belongs to.
        var character: [Int32] = []
        character.reserveCapacity(original.count + 1)
        var count: Int32 = -1
        for byte in original {
            if byte & 0xC0 != 0x80 { count += 1 }
            character.append(count)
        }
        character.append(count + 1)
        return TokenizedText(
            ids: ids, hasOffsets: true,
            offsets: places.map { TokenOffset(start: Int(character[$0.start]), end: Int(character[$0.end])) },
            blanks: blanks)
    }
}
