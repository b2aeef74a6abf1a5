import HoneFormats

/// The third stage: encodes a piece of text as token ids.
enum TokenModel: Sendable {
    case wordPiece(WordPieceModel)
    case bytePair(BytePairModel)

    /// Reads the model of a tokenizer file.
    ///
    /// - Parameters:
    ///   - isByteLevel: whether pieces reach the model as bytes, not as characters of `ByteAlphabet`.
    ///   - isSplit: whether a pre-tokenizer splits the text into words.
    init(_ file: TokenizerFile, isByteLevel: Bool, isSplit: Bool) throws(HoneError) {
        switch try Self.type(file) {
        case "WordPiece": self = .wordPiece(try WordPieceModel(file))
        case "BPE": self = .bytePair(try BytePairModel(file, isByteLevel: isByteLevel, isSplit: isSplit))
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
        return file.modelCursor("continuing_subword_prefix") == nil ? "WordLevel" : "WordPiece"
    }

    /// The tokens of the model.
    var vocabulary: Vocabulary {
        switch self {
        case .wordPiece(let model): model.vocabulary
        case .bytePair(let model): model.vocabulary
        }
    }

    /// Appends the ids of one piece, which is not empty.
    @inline(__always)
    func encode(_ bytes: [UInt8], _ piece: TextMatch, _ scratch: inout EncodingScratch, into ids: inout [Int]) {
        switch self {
        case .wordPiece(let model): model.encode(bytes, piece, &scratch.hashes, into: &ids)
        case .bytePair(let model): model.encode(bytes, piece, &scratch.symbols, into: &ids)
        }
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
