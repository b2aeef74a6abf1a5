import HoneFormats

/// Byte-pair encoding (Sennrich et al. 2016, section 3.2): a word starts as its characters, and the pair of neighbours that
/// was learned first is joined again and again.
///
/// Covers the byte-level kind (GPT-2, Llama 3), whose characters are bytes, and the SentencePiece kind with byte fallback
/// (Llama 2), where a character without a token falls apart into byte tokens such as `<0x0A>`.
struct BytePairModel: Sendable {
    let vocabulary: Vocabulary
    /// The rank and the result of each pair that is joined: rank in the upper half, id in the lower.
    let merges: PairTable
    /// The same without those that make special tokens; `nil` where none does.
    private var protectedMerges: PairTable?
    /// The tokens as bytes where pieces are bytes; else the vocabulary's own table.
    private let words: TokenTable
    /// Whether a piece that is an entry of `words` becomes just that token.
    private var isWhole: [Bool] = []
    /// The same for text that may not become special tokens.
    private var isWholeProtected: [Bool] = []
    /// The id of each byte (byte level) or of each ASCII character; -1 where it has none.
    private let single: [Int32]
    /// The ids of special tokens, which single characters do not become unless they are trusted.
    private var specialIds: Set<Int32> = []
    private let isByteLevel: Bool
    /// The ids of `<0x00>` to `<0xFF>`, or -1; empty without byte fallback.
    private let fallback: [Int32]
    let unknownId: Int32
    private let fusesUnknown: Bool
    private let continuationPrefix: [UInt8]
    private let wordSuffix: [UInt8]

    /// Whether pieces may reach this model as bytes: characters are then treated alike, whatever they are.
    static func mayWorkOnBytes(_ file: TokenizerFile) throws(HoneError) -> Bool {
        guard try TokenModel.type(file) == "BPE", try !file.modelBool("byte_fallback") else { return false }
        for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
            if let text = try file.optionalModelString(name), !text.isEmpty { return false }
        }
        return true
    }

    /// Reads the model of a tokenizer file; see `TokenModel.init`.
    init(_ file: TokenizerFile, isByteLevel: Bool, isSplit: Bool) throws(HoneError) {
        let vocabulary = try Vocabulary(file)
        let table = vocabulary.table
        self.vocabulary = vocabulary
        self.isByteLevel = isByteLevel
        continuationPrefix = Array((try file.optionalModelString("continuing_subword_prefix") ?? "").utf8)
        wordSuffix = Array((try file.optionalModelString("end_of_word_suffix") ?? "").utf8)
        fusesUnknown = try file.modelBool("fuse_unk")
        if let dropout = try file.modelPart("dropout"), dropout.number != 0 {
            throw HoneError(
                .unsupported, "“dropout” makes encoding random, which is not supported; set it to null",
                file: file.path, item: "model")
        }
        merges = try Self.readMerges(file, table, prefixLength: continuationPrefix.count)
        words = isByteLevel ? try Self.byteWords(table) : table
        var single = [Int32](repeating: -1, count: 256)
        for byte in 0..<(isByteLevel ? 256 : 128) { single[byte] = words.id([UInt8(byte)]) }
        self.single = single
        let fallsBack = try file.modelBool("byte_fallback")
        fallback = fallsBack ? (0..<256).map { table.id(Self.byteToken($0)) } : []
        unknownId = try Self.unknownId(file, table, isComplete: isByteLevel && !single.contains(-1))

        // Every piece is looked up as a whole first; that is right only for tokens that the merges would make of it too.
        if try file.modelBool("ignore_merges") {
            isWhole = [Bool](repeating: true, count: words.count)
        } else if isSplit {
            isWhole = wholeWords()
        }
    }

    /// Says which tokens text may not become unless it is trusted.
    mutating func protect(_ ids: [Int]) {
        specialIds = Set(ids.compactMap { Int32(exactly: $0) })
        isWholeProtected = isWhole
        for entry in isWhole.indices where specialIds.contains(words.ids[entry]) { isWholeProtected[entry] = false }
        protectedMerges = merges.filtered { !specialIds.contains(Int32(truncatingIfNeeded: $0)) }
    }

    /// For each entry of `words`, whether the merges turn its text into just that token.
    private func wholeWords() -> [Bool] {
        var scratch = BytePairScratch()
        return (0..<words.count).map { entry in
            let piece = TextMatch(start: words.starts[entry], end: words.starts[entry + 1])
            // Long tokens are rare as words and would make loading slow.
            guard piece.end > piece.start, piece.end - piece.start <= 64 else { return false }
            start(words.bytes, piece, &scratch, protects: false)
            scratch.merge(merges)
            return scratch.symbols.count == 1 && scratch.symbols[0] == words.ids[entry]
        }
    }

    /// The token that stands for a byte in byte fallback.
    static func byteToken(_ byte: Int) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return Array("<0x".utf8) + [digits[byte >> 4], digits[byte & 15]] + Array(">".utf8)
    }

    private static func unknownId(
        _ file: TokenizerFile, _ table: TokenTable, isComplete: Bool
    ) throws(HoneError) -> Int32 {
        guard let unknown = try file.optionalModelString("unk_token") else { return -1 }
        let id = table.id(Array(unknown.utf8))
        // With a token for every byte nothing is unknown, and many such files name a token that is not there.
        if id < 0, !isComplete {
            throw file.modelProblem("the unknown token of the model is not in its vocabulary")
        }
        return id
    }

    /// The tokens as the bytes that they stand for; a token with characters outside the alphabet never matches text.
    private static func byteWords(_ table: TokenTable) throws(HoneError) -> TokenTable {
        var words = TokenTable("model.vocab", capacity: table.count)
        var bytes: [UInt8] = []
        for entry in 0..<table.count {
            bytes.removeAll(keepingCapacity: true)
            guard ByteAlphabet.append(bytesOf: table.token(entry: entry), to: &bytes) else { continue }
            _ = try words.insert(bytes, 0, bytes.count, id: table.ids[entry])
        }
        return words
    }

    /// Reads the member `merges`: strings of two tokens with a blank between them, or arrays of two strings.
    private static func readMerges(
        _ file: TokenizerFile, _ table: TokenTable, prefixLength: Int
    ) throws(HoneError) -> PairTable {
        guard var cursor = file.modelCursor("merges") else { throw file.modelProblem("“merges” is missing") }
        var merges = PairTable("model.merges", capacity: table.count)
        var text: [UInt8] = []
        var rank = 0
        try cursor.readArray { (cursor) throws(HoneError) in
            text.removeAll(keepingCapacity: true)
            var split = 0
            if cursor.peek() == UInt8(ascii: "[") {
                var parts = 0
                try cursor.readArray { (cursor) throws(HoneError) in
                    parts += 1
                    if parts == 2 { split = text.count }
                    try cursor.readString(into: &text)
                }
                if parts != 2 { throw cursor.problem("merge \(rank + 1) should have two tokens, it has \(parts)") }
            } else {
                try cursor.readString(into: &text)
                if text.starts(with: "#version".utf8) { return }
                guard let blank = text.firstIndex(of: 0x20), text.lastIndex(of: 0x20) == blank else {
                    throw cursor.problem("merge \(rank + 1) should be two tokens with a blank between them")
                }
                text.remove(at: blank)
                split = blank
            }
            let first = table.id(text, 0, split)
            let second = table.id(text, split, text.count)
            guard first >= 0, second >= 0, text.count - split >= prefixLength else {
                throw cursor.problem("merge \(rank + 1) names a token that is not in the vocabulary")
            }
            text.removeSubrange(split..<(split + prefixLength))
            let result = table.id(text)
            guard result >= 0 else {
                throw cursor.problem("merge \(rank + 1) makes a token that is not in the vocabulary")
            }
            guard rank < Self.mergeLimit else { throw cursor.problem("there are more than \(mergeLimit) merges") }
            try merges.set(PairTable.key(first, second), UInt64(rank) << 32 | UInt64(UInt32(bitPattern: result)))
            rank += 1
        }
        return merges
    }

    private static let mergeLimit = 4_000_000

    /// Appends the tokens of one piece, which is not empty.
    func encode(_ bytes: [UInt8], _ piece: TextMatch, _ scratch: inout BytePairScratch, into sink: inout TokenSink) {
        if !isWhole.isEmpty, piece.end - piece.start <= words.longest {
            let hash = TokenTable.hash(bytes, piece.start, piece.end)
            let entry = words.entry(bytes, piece.start, piece.end, hash: hash)
            if entry >= 0, sink.protects ? isWholeProtected[entry] : isWhole[entry] {
                sink.append(Int(words.ids[entry]), piece.start, piece.end)
                return
            }
        }
        scratch.tracksLengths = sink.isTracked
        start(bytes, piece, &scratch, protects: sink.protects && !specialIds.isEmpty)
        if sink.protects, let protectedMerges { scratch.merge(protectedMerges) } else { scratch.merge(merges) }
        if !sink.isTracked {
            for symbol in scratch.symbols { sink.ids.append(Int(symbol)) }
            return
        }
        var place = piece.start
        for (symbol, length) in zip(scratch.symbols, scratch.lengths) {
            sink.append(Int(symbol), place, place + length)
            place += length
        }
    }

    /// Fills the scratch with the symbols of the single characters of a piece.
    private func start(_ bytes: [UInt8], _ piece: TextMatch, _ scratch: inout BytePairScratch, protects: Bool) {
        scratch.removeAll()
        // The length of an unknown character, or of several, that waits to be written; zero where none does.
        var unknownLength = 0
        var index = piece.start
        while index < piece.end {
            let first = bytes[index]
            let next = min(piece.end, isByteLevel ? index &+ 1 : index &+ scalarLength(first))
            var id =
                continuationPrefix.isEmpty && wordSuffix.isEmpty
                ? (next == index &+ 1 ? single[Int(first)] : words.id(bytes, index, next))
                : words.id(affixed(bytes, index, next, piece))
            if protects, id >= 0, specialIds.contains(id) { id = -1 }
            if id >= 0 {
                if unknownLength > 0 {
                    scratch.append(unknownId, length: unknownLength)
                    unknownLength = 0
                }
                scratch.append(id, length: next &- index)
            } else if !appendFallback(bytes, index, next, piece, &scratch), unknownId >= 0 {
                // As in the reference, bytes that fall back overtake an unknown token that waits to be joined.
                if unknownLength > 0, !fusesUnknown {
                    scratch.append(unknownId, length: unknownLength)
                    unknownLength = 0
                }
                unknownLength += next - index
            }
            index = next
        }
        if unknownLength > 0 { scratch.append(unknownId, length: unknownLength) }
    }

    /// Appends the byte tokens of a character; false where one of them does not exist.
    private func appendFallback(
        _ bytes: [UInt8], _ start: Int, _ end: Int, _ piece: TextMatch, _ scratch: inout BytePairScratch
    ) -> Bool {
        if fallback.isEmpty { return false }
        let character = affixed(bytes, start, end, piece)
        guard character.allSatisfy({ fallback[Int($0)] >= 0 }) else { return false }
        for byte in character { scratch.append(fallback[Int(byte)], length: 1) }
        return true
    }

    /// A character with the prefix of continuations and the suffix of word ends, where they apply.
    private func affixed(_ bytes: [UInt8], _ start: Int, _ end: Int, _ piece: TextMatch) -> [UInt8] {
        (start > piece.start ? continuationPrefix : []) + bytes[start..<end] + (end == piece.end ? wordSuffix : [])
    }
}
