import HoneFormats

/// The unigram language model (Kudo 2018, section 3): of all ways to cut a text into tokens, the one with the highest sum of
/// log-probabilities, found by the Viterbi algorithm.
///
/// A character that no token covers counts as unknown, at ten below the least of all scores; neighbouring unknown
/// characters become one unknown token, or, with byte fallback, tokens such as `<0x0A>` for their bytes.
struct UnigramModel: Sendable {
    let vocabulary: Vocabulary
    private let trie: ByteTrie
    /// The score of each token, by id.
    private let scores: [Double]
    private let unknownScore: Double
    let unknownId: Int
    /// The ids of `<0x00>` to `<0xFF>`; empty without byte fallback, or where one of them does not exist.
    private let fallback: [Int32]
    /// Whether a token is special, by id; empty where none is.
    private var isSpecial: [Bool] = []

    /// Reads the model of a tokenizer file.
    init(_ file: TokenizerFile) throws(HoneError) {
        guard var cursor = file.modelCursor("vocab") else { throw file.modelProblem("“vocab” is missing") }
        var table = TokenTable("model.vocab", capacity: min(file.bytes.count / 16, 65_536))
        var scores: [Double] = []
        var text: [UInt8] = []
        try cursor.readArray { (cursor) throws(HoneError) in
            text.removeAll(keepingCapacity: true)
            try cursor.expect("[")
            try cursor.readString(into: &text)
            try cursor.expect(",")
            let score = try cursor.readNumber(what: "the score of a token")
            try cursor.expect("]")
            if try !table.insert(text, 0, text.count, id: Int32(truncatingIfNeeded: scores.count)) {
                throw cursor.problem("a token stands twice (entry \(scores.count + 1))")
            }
            scores.append(score)
        }
        vocabulary = try Vocabulary(table, cursor)
        guard let unknown = try file.modelPart("unk_id")?.integer, scores.indices.contains(unknown) else {
            throw file.modelProblem("“unk_id” should be the id of a token of the vocabulary")
        }
        unknownId = unknown
        unknownScore = (scores.min() ?? 0) - 10
        self.scores = scores
        trie = ByteTrie(bytes: table.bytes, starts: table.starts)
        let bytes = try file.modelBool("byte_fallback") ? (0..<256).map { table.id(BytePairModel.byteToken($0)) } : []
        fallback = bytes.contains(-1) ? [] : bytes
    }

    /// Says which tokens text may not become unless it is trusted.
    mutating func protect(_ ids: [Int]) {
        for id in ids where scores.indices.contains(id) {
            if isSpecial.isEmpty { isSpecial = [Bool](repeating: false, count: scores.count) }
            isSpecial[id] = true
        }
    }

    /// Appends the tokens of one piece.
    func encode(_ bytes: [UInt8], _ piece: TextMatch, _ lattice: inout UnigramLattice, into sink: inout TokenSink) {
        if findPath(bytes, piece, &lattice, protects: sink.protects && !isSpecial.isEmpty) {
            appendPath(bytes, piece, &lattice, into: &sink)
        }
    }

    /// Finds the best path that ends at each character.
    private func findPath(
        _ bytes: [UInt8], _ piece: TextMatch, _ lattice: inout UnigramLattice, protects: Bool
    ) -> Bool {
        let count = piece.end - piece.start
        lattice.reset(count)
        return lattice.nodes.withUnsafeMutableBufferPointer { nodes in
            var start = 0
            while start < count {
                let score = nodes[start].score
                let length = min(count - start, scalarLength(bytes[piece.start &+ start]))
                var hasSingle = false
                var node = 0
                var end = start
                while end < count {
                    node = trie.child(node, bytes[piece.start &+ end])
                    if node < 0 { break }
                    end &+= 1
                    let id = trie.value(node)
                    if id < 0 || (protects && isSpecial[id]) { continue }
                    let candidate = scores[id] + score
                    if nodes[end].start < 0 || candidate > nodes[end].score {
                        nodes[end] = .init(score: candidate, start: Int32(truncatingIfNeeded: start), id: Int32(id))
                    }
                    if end &- start == length { hasSingle = true }
                }
                if !hasSingle {
                    let candidate = unknownScore + score
                    let end = start + length
                    if nodes[end].start < 0 || candidate > nodes[end].score {
                        nodes[end] = .init(
                            score: candidate, start: Int32(truncatingIfNeeded: start),
                            id: Int32(truncatingIfNeeded: unknownId))
                    }
                }
                start += length
            }
            return count > 0 && nodes[count].start >= 0
        }
    }

    private func appendPath(
        _ bytes: [UInt8], _ piece: TextMatch, _ lattice: inout UnigramLattice, into sink: inout TokenSink
    ) {
        lattice.path.removeAll(keepingCapacity: true)
        var end = piece.end - piece.start
        while end > 0 {
            let node = lattice.nodes[end]
            let start = Int(node.start)
            // Neighbouring unknown tokens become one.
            if node.id == unknownId, let last = lattice.path.last, last.id == unknownId {
                lattice.path[lattice.path.count - 1].start = piece.start + start
            } else {
                lattice.path.append((Int(node.id), piece.start + start, piece.start + end))
            }
            end = start
        }
        for (id, start, end) in lattice.path.reversed() {
            if id != unknownId {
                sink.append(id, start, end)
                continue
            }
            // Unknown characters joined may be a token after all.
            let known = vocabulary.table.id(bytes, start, end)
            if known >= 0, !(sink.protects && !isSpecial.isEmpty && isSpecial[Int(known)]) {
                sink.append(Int(known), start, end)
            } else if fallback.isEmpty {
                sink.append(unknownId, start, end)
            } else {
                for index in start..<end { sink.append(Int(fallback[Int(bytes[index])]), start, end) }
            }
        }
    }
}

/// The working memory of the Viterbi algorithm, kept between pieces.
struct UnigramLattice {
    /// The best way to reach the end of a character.
    struct Node {
        var score: Double
        /// Where its last token starts; -1 where there is no way yet.
        var start: Int32
        var id: Int32
    }

    var nodes: [Node] = []
    /// The tokens of the best path, from the last to the first.
    var path: [(id: Int, start: Int, end: Int)] = []

    mutating func reset(_ count: Int) {
        nodes.removeAll(keepingCapacity: true)
        nodes.append(contentsOf: repeatElement(Node(score: 0, start: -1, id: 0), count: count + 1))
    }
}
