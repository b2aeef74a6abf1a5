import HoneFormats

/// The third stage: encodes a piece of text as token ids.
enum TokenModel: Sendable {
    case wordPiece(WordPieceModel)
    case bytePair(BytePairModel)
    case unigram(UnigramModel)

    /// Reads the model of a tokenizer file.
    ///
    /// - Parameters:
    ///   - isByteLevel: whether pieces reach the model as bytes, not as characters of `ByteAlphabet`.
    ///   - isSplit: whether a pre-tokenizer splits the text into words.
    init(_ file: TokenizerFile, isByteLevel: Bool, isSplit: Bool) throws(HoneError) {
        switch try Self.type(file) {
        case "WordPiece": self = .wordPiece(try WordPieceModel(file))
        case "BPE": self = .bytePair(try BytePairModel(file, isByteLevel: isByteLevel, isSplit: isSplit))
        case "Unigram": self = .unigram(try UnigramModel(file))
        case let type:
            throw HoneError(
                .unsupported, "the model “\(type.prefix(80))” is not supported", file: file.path, item: "model")
        }
    }

    /// The kind of model; older files do not say it.
    static func type(_ file: TokenizerFile) throws(HoneError) -> String {
        if let type = try file.modelPart("type") {
            guard let name = type.string else {
                throw HoneError(
                    .badFile, "“type” should be a string, found \(type.kind)", file: file.path, item: "model")
            }
            return name
        }
        if file.modelCursor("merges") != nil { return "BPE" }
        if file.modelCursor("unk_id") != nil { return "Unigram" }
        return file.modelCursor("continuing_subword_prefix") == nil ? "WordLevel" : "WordPiece"
    }

    /// The tokens of the model.
    var vocabulary: Vocabulary {
        switch self {
        case .wordPiece(let model): model.vocabulary
        case .bytePair(let model): model.vocabulary
        case .unigram(let model): model.vocabulary
        }
    }

    /// The id of the token that stands for what has none, or -1.
    var unknownId: Int {
        switch self {
        case .wordPiece(let model): model.unknownId
        case .bytePair(let model): Int(model.unknownId)
        case .unigram(let model): model.unknownId
        }
    }

    /// This model with tokens that text may not become unless it is trusted.
    func protecting(_ ids: [Int]) -> TokenModel {
        switch self {
        case .wordPiece(var model):
            model.protect(ids)
            return .wordPiece(model)
        case .bytePair(var model):
            model.protect(ids)
            return .bytePair(model)
        case .unigram(var model):
            model.protect(ids)
            return .unigram(model)
        }
    }

    /// Appends the tokens of one piece, which is not empty.
    @inline(__always)
    func encode(_ bytes: [UInt8], _ piece: TextMatch, _ scratch: inout EncodingScratch) {
        switch self {
        case .wordPiece(let model): model.encode(bytes, piece, &scratch.hashes, into: &scratch.sink)
        case .bytePair(let model): model.encode(bytes, piece, &scratch.symbols, into: &scratch.sink)
        case .unigram(let model): model.encode(bytes, piece, &scratch.lattice, into: &scratch.sink)
        }
    }
}

/// Where a model puts the tokens of a text.
struct TokenSink {
    /// The ids so far.
    var ids: [Int] = []
    /// Where each token stands in the text that the model was given; only where `isTracked`.
    var places: [TextMatch] = []
    /// Whether places are wanted.
    var isTracked = false
    /// Whether text must not become special tokens.
    var protects = true

    /// Appends a token that stands at `start..<end`.
    @inline(__always)
    mutating func append(_ id: Int, _ start: Int, _ end: Int) {
        ids.append(id)
        if isTracked { places.append(TextMatch(start: start, end: end)) }
    }

    /// Takes back the tokens behind the first `count`.
    mutating func truncate(to count: Int) {
        // Places are handed over piece by piece, so there are fewer of them.
        if isTracked { places.removeLast(ids.count - count) }
        ids.removeSubrange(count...)
    }
}

/// The tokens of a model, each with its id, both ways.
struct Vocabulary: Sendable {
    /// From tokens to ids.
    let table: TokenTable
    /// The entry of each id, or -1; used where ids are dense.
    private let entries: [Int32]
    /// The entry of each id, where ids have large holes.
    private let sparseEntries: [Int32: Int32]
    /// The largest id, or -1.
    let largestId: Int

    /// Reads the member `vocab` of the model.
    init(_ file: TokenizerFile) throws(HoneError) {
        guard var cursor = file.modelCursor("vocab") else {
            throw HoneError(.badFile, "“vocab” is missing", file: file.path, item: "model")
        }
        // Six bytes are the least that a member takes: `"a":1,`.
        var table = TokenTable("model.vocab", capacity: min(file.bytes.count / 6, 65_536))
        var largest = -1
        try cursor.readObject { (cursor, name) throws(HoneError) in
            let id = try cursor.readInteger(below: Int(Int32.max), what: "the id of a token")
            largest = max(largest, id)
            if try !table.insert(name, 0, name.count, id: Int32(id)) {
                throw cursor.problem("a token stands twice (entry \(table.count + 1))")
            }
        }
        try self.init(table, largestId: largest, cursor)
    }

    /// The tokens of a table whose ids count up from zero; the cursor stands at their end, for messages.
    init(_ table: TokenTable, _ cursor: JSONCursor) throws(HoneError) {
        try self.init(table, largestId: table.count - 1, cursor)
    }

    private init(_ table: TokenTable, largestId largest: Int, _ cursor: JSONCursor) throws(HoneError) {
        if table.count == 0 { throw cursor.problem("the vocabulary is empty") }
        var dense: [Int32] = []
        var sparse: [Int32: Int32] = [:]
        let isDense = largest < table.count * 2 + 65_536
        if isDense { dense = [Int32](repeating: -1, count: largest + 1) }
        for (entry, id) in table.ids.enumerated() {
            let earlier = isDense ? dense[Int(id)] : sparse[id] ?? -1
            if earlier >= 0 { throw cursor.problem("two tokens have the id \(id)") }
            if isDense { dense[Int(id)] = Int32(entry) } else { sparse[id] = Int32(entry) }
        }
        self.table = table
        entries = dense
        sparseEntries = sparse
        largestId = largest
    }

    /// The bytes of the token of an id.
    func token(id: Int) -> ArraySlice<UInt8>? {
        guard let id = Int32(exactly: id), id >= 0 else { return nil }
        var entry: Int32 = -1
        if !entries.isEmpty {
            if Int(id) < entries.count { entry = entries[Int(id)] }
        } else {
            entry = sparseEntries[id] ?? -1
        }
        return entry < 0 ? nil : table.token(entry: Int(entry))
    }
}
