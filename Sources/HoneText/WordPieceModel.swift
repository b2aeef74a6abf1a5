import HoneFormats

/// WordPiece (Schuster and Nakajima 2012; Wu et al. 2016, section 4.1): the longest token that a word starts with, then the
/// longest continuation, and so on; a word that cannot be covered is unknown.
struct WordPieceModel: Sendable {
    let vocabulary: Vocabulary
    /// The tokens that continue a word, without their prefix.
    private let continuations: TokenTable
    let unknownId: Int
    private let longestWord: Int
    /// The ids of tokens that text may not become unless it is trusted.
    private var specialIds: Set<Int32> = []

    /// Reads the model of a tokenizer file.
    init(_ file: TokenizerFile) throws(HoneError) {
        vocabulary = try Vocabulary(file)
        let unknown = try file.modelString("unk_token")
        let prefix = Array(try file.modelString("continuing_subword_prefix").utf8)
        guard let longest = try file.modelPart("max_input_chars_per_word")?.integer, longest >= 0 else {
            throw file.modelProblem("“max_input_chars_per_word” should be a whole number that is not negative")
        }
        longestWord = longest
        let id = vocabulary.table.id(Array(unknown.utf8))
        if id < 0 { throw file.modelProblem("the unknown token of the model is not in its vocabulary") }
        unknownId = Int(id)

        let table = vocabulary.table
        var continuations = TokenTable("model.vocab", capacity: table.count / 4)
        for entry in 0..<table.count {
            let start = table.starts[entry]
            let end = table.starts[entry + 1]
            guard table.bytes[start..<end].starts(with: prefix) else { continue }
            // Keys without their common prefix are as different as with it.
            _ = try continuations.insert(table.bytes, start + prefix.count, end, id: table.ids[entry])
        }
        self.continuations = continuations
    }

    /// Says which tokens text may not become unless it is trusted.
    mutating func protect(_ ids: [Int]) { specialIds = Set(ids.compactMap { Int32(exactly: $0) }) }

    /// Appends the tokens of one word.
    func encode(_ bytes: [UInt8], _ piece: TextMatch, _ hashes: inout [UInt64], into sink: inout TokenSink) {
        if piece.end - piece.start > longestWord {
            var characters = 0
            for index in piece.start..<piece.end where bytes[index] & 0xC0 != 0x80 { characters += 1 }
            if characters > longestWord {
                sink.append(unknownId, piece.start, piece.end)
                return
            }
        }
        let before = sink.ids.count
        var start = piece.start
        while start < piece.end {
            let (id, end) =
                start == piece.start
                ? longestMatch(vocabulary.table, bytes, start, piece.end, &hashes, protects: sink.protects)
                : longestMatch(continuations, bytes, start, piece.end, &hashes, protects: sink.protects)
            if id < 0 {
                sink.truncate(to: before)
                sink.append(unknownId, piece.start, piece.end)
                return
            }
            sink.append(Int(id), start, end)
            start = end
        }
    }

    /// The id of the longest token that starts at `start`, and where it ends; -1 where there is none.
    @inline(__always)
    private func longestMatch(
        _ table: TokenTable, _ bytes: [UInt8], _ start: Int, _ wordEnd: Int, _ hashes: inout [UInt64], protects: Bool
    ) -> (id: Int32, end: Int) {
        // First the whole rest, which is the usual case, then prefixes from long to short.
        if wordEnd - start <= table.longest {
            let entry = table.entry(bytes, start, wordEnd, hash: TokenTable.hash(bytes, start, wordEnd))
            if entry >= 0, !(protects && specialIds.contains(table.ids[entry])) { return (table.ids[entry], wordEnd) }
        }
        return longestPrefix(table, bytes, start, min(wordEnd - 1, start + table.longest), &hashes, protects: protects)
    }

    private func longestPrefix(
        _ table: TokenTable, _ bytes: [UInt8], _ start: Int, _ limit: Int, _ hashes: inout [UInt64], protects: Bool
    ) -> (id: Int32, end: Int) {
        hashes.removeAll(keepingCapacity: true)
        var hash = TokenTable.emptyHash
        for index in start..<limit {
            hash = TokenTable.mix(hash, bytes[index])
            hashes.append(hash)
        }
        var end = limit
        while end > start {
            // Tokens are valid text, so one can only end where a character does.
            if bytes[end] & 0xC0 != 0x80 {
                let entry = table.entry(bytes, start, end, hash: hashes[end - start - 1])
                if entry >= 0, !(protects && specialIds.contains(table.ids[entry])) { return (table.ids[entry], end) }
            }
            end -= 1
        }
        return (-1, start)
    }
}

extension TokenizerFile {
    /// A string member of the model.
    func modelString(_ name: String) throws(HoneError) -> String {
        guard let value = try modelPart(name)?.string else { throw modelProblem("“\(name)” should be a string") }
        return value
    }

    /// A string member of the model that may be absent or `null`.
    func optionalModelString(_ name: String) throws(HoneError) -> String? {
        guard let value = try modelPart(name) else { return nil }
        guard let text = value.string else { throw modelProblem("“\(name)” should be a string, found \(value.kind)") }
        return text
    }

    /// A truth value of the model; false where it is absent.
    func modelBool(_ name: String) throws(HoneError) -> Bool {
        guard let value = try modelPart(name) else { return false }
        guard let truth = value.bool else {
            throw modelProblem("“\(name)” should be true or false, found \(value.kind)")
        }
        return truth
    }

    func modelProblem(_ message: String) -> HoneError { HoneError(.badFile, message, file: path, item: "model") }
}
