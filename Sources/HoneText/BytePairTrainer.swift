import HoneFormats

/// Learns a byte-level byte-pair tokenizer from text (Sennrich et al. 2016, section 3.2; Radford et al. 2019, section 2.2).
///
///     var trainer = try BytePairTrainer(.init(vocabularySize: 8000, specialTokens: ["<|end|>"]))
///     for text in texts { try trainer.add(text) }
///     try trainer.train().write(to: "tokenizer.json")
///
/// Words are counted first; then, from single bytes on, the most frequent pair of neighbours becomes a token, again and
/// again, until the vocabulary is full. Of equally frequent pairs the one with the lower ids comes first, as in Hugging
/// Face's `tokenizers`, so the same text gives the same merges.
public struct BytePairTrainer: Sendable {
    /// What can be chosen.
    public struct Options: Sendable {
        /// How many tokens to stop at, special tokens and the 256 bytes included.
        public var vocabularySize: Int
        /// Pairs that occur less often are not joined.
        public var minimumFrequency: Int
        /// Tokens that text never contains; they get the first ids.
        public var specialTokens: [String]
        /// The longest token, in bytes; `nil` for no limit. (As in the reference, a pair is still joined where it reaches this
        /// length first of all, from single bytes.)
        public var maximumTokenLength: Int?
        /// The regular expression whose matches are the words; `nil` for GPT-2's.
        public var pattern: String?
        /// Whether text gets a blank before it, so that its first word is like any other.
        public var addsPrefixSpace: Bool
        /// Whether text is brought into the composed form NFC first.
        public var composes: Bool

        /// Options with the reference's values where they are left out.
        public init(
            vocabularySize: Int = 30_000, minimumFrequency: Int = 0, specialTokens: [String] = [],
            maximumTokenLength: Int? = nil, pattern: String? = nil, addsPrefixSpace: Bool = false,
            composes: Bool = false
        ) {
            self.vocabularySize = vocabularySize
            self.minimumFrequency = minimumFrequency
            self.specialTokens = specialTokens
            self.maximumTokenLength = maximumTokenLength
            self.pattern = pattern
            self.addsPrefixSpace = addsPrefixSpace
            self.composes = composes
        }
    }

    /// The choices.
    public let options: Options
    private let preTokenizer: PreTokenizer
    private var pieces = Pieces()
    private var words = TokenTable("words", limit: Int(Int32.max) - 1)
    private var counts: [Int] = []

    /// The most tokens that a vocabulary may have.
    private static let sizeLimit = TokenTable.limit

    /// A trainer that has seen no text.
    ///
    /// - Throws: `HoneError` (`.usage`) where the options make no sense.
    public init(_ options: Options = Options()) throws {
        self.options = options
        let least = 256 + Set(options.specialTokens).count
        guard (least...Self.sizeLimit).contains(options.vocabularySize) else {
            throw HoneError(
                .usage, "a vocabulary has from \(least) (bytes and special tokens) to \(Self.sizeLimit) tokens",
                item: "vocabularySize")
        }
        guard !options.specialTokens.contains("") else {
            throw HoneError(.usage, "a special token may not be empty", item: "specialTokens")
        }
        let bytes = PreTokenizer.byteLevel(addsPrefixSpace: options.addsPrefixSpace, splits: options.pattern == nil)
        if let pattern = options.pattern {
            let component = Component(
                ["pattern": ["Regex": .string(pattern)]], file: "", place: "pattern")
            preTokenizer = .sequence([.split(try TextPattern(component), .isolated, inverted: false), bytes])
        } else {
            preTokenizer = bytes
        }
    }

    /// Takes in a text.
    ///
    /// - Throws: `HoneError` where there are more different words than can be counted, about two thousand million.
    public mutating func add(_ text: String) throws {
        var aligned = AlignedText(Array(text.utf8), tracks: false)
        if options.composes { UnicodeForm.composed.apply(to: &aligned) }
        pieces.reset(to: aligned, isAtStart: true)
        preTokenizer.apply(to: &pieces, keepsBytes: true)
        for piece in pieces.ranges {
            let hash = TokenTable.hash(pieces.bytes, piece.start, piece.end)
            let entry = words.entry(pieces.bytes, piece.start, piece.end, hash: hash)
            if entry >= 0 {
                counts[entry] += 1
            } else {
                let id = Int32(truncatingIfNeeded: counts.count)
                _ = try words.insert(pieces.bytes, piece.start, piece.end, id: id)
                counts.append(1)
            }
        }
    }

    /// How many different words there are in the texts so far.
    public var wordCount: Int { counts.count }

    /// Learns the merges.
    public func train() throws -> TrainedBytePairs {
        var tokens = TokenTable("tokens", capacity: options.vocabularySize)
        func insert(_ token: [UInt8]) throws {
            _ = try tokens.insert(token, 0, token.count, id: Int32(truncatingIfNeeded: tokens.count))
        }
        for token in options.specialTokens { try insert(Array(token.utf8)) }
        // In the order of the characters, which is not that of the bytes.
        let order = (0..<256).sorted { ByteAlphabet.scalarOfByte[$0] < ByteAlphabet.scalarOfByte[$1] }
        for byte in order { try insert(ByteAlphabet.utf8(of: UInt8(byte))) }
        let single = (0..<256).map { tokens.id(ByteAlphabet.utf8(of: UInt8($0))) }
        var learning = BytePairLearning(words: words, counts: counts, single: single)
        let merges = try learning.run(
            &tokens, size: options.vocabularySize, minimumFrequency: options.minimumFrequency,
            maximumLength: options.maximumTokenLength ?? .max)
        return TrainedBytePairs(options: options, tokens: tokens, merges: merges)
    }
}
