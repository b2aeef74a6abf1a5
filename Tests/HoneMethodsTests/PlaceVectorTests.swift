import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Vectors added to embeddings by a token's place in its row, in every way that rows are computed: adding what turns one word into
/// another must give the states of the other.
@Suite struct PlaceVectorTests {
    private let scratch: TemporaryFolder
    /// Where the word is changed.
    private let place = 2

    init() throws { scratch = try TemporaryFolder() }

    private func rows(_ model: BaseModel) throws -> [[Int]] {
        try ["we see the old plum and one big", "red file and saw", "we see the drill"].map {
            try model.tokenizer.encode($0, addSpecialTokens: false)
        }
    }

    /// The attachment that turns each word at the place into another in a model, for rows that have the same word there.
    private func turning(_ word: Int, into other: Int, in model: BaseModel, places: Int = 4) throws -> Tensor {
        let table = try #require(model.transformer.weights["embeddings.tokens.weight"])
        var change = try table.at(other) - table.at(word)
        if model.configuration.scalesEmbeddings { change = try change * Double(model.configuration.width).squareRoot() }
        let all = try Tensor.zeros([places, model.configuration.tokenWidth])
        try all.at(place).copyInPlace(change)
        return all
    }

    private func same(_ rows: [[Int]], _ word: Int) -> [[Int]] {
        rows.map { row in
            var row = row
            row[place] = word
            return row
        }
    }

    @Test(arguments: [TinyModel.bert, .roberta, .llama, .gpt2, .neox, .opt, .qwen3, .bart], [0, 3])
    func `a vector reaches the token at its place, prompts not counted`(kind: TinyModel, prompts: Int) throws {
        let model = try kind.load(in: scratch)
        let rows = try rows(model)
        var random = RandomStream(seed: 1, name: "prompt")
        var attachments = Attachments()
        if prompts > 0 {
            attachments.prompts = [try random.normal([prompts, model.configuration.tokenWidth])]
        }
        let expected = try model.transformer.attaching(attachments)
        attachments.placeVectors = [try turning(20, into: 30, in: model)]
        let found = try model.transformer.attaching(attachments)
        try withoutGradients {
            let batch = { (word: Int) in try TokenBatch(self.same(rows, word), padId: model.padId) }
            let (one, other) = (try expected.states(batch(30)), try found.states(batch(20)))
            for (row, ids) in rows.enumerated() {
                let own = { (states: Tensor) in
                    try states.narrowed(0, from: row, length: 1).narrowed(1, from: 0, length: ids.count)
                }
                #expect(try (own(one) - own(other)).abs().max().item() < 1e-5, "row \(row)")
            }
            #expect(try (one - expected.states(batch(20))).abs().max().item() > 1e-2)
        }
    }

    @Test(arguments: [TinyModel.llama, .gpt2])
    func `it reaches the same token with padding before it, from a cache, and where a beginning is shared`(
        kind: TinyModel
    )
        throws
    {
        let model = try kind.load(in: scratch)
        let rows = try rows(model)
        var attachments = Attachments()
        attachments.placeVectors = [try turning(20, into: 30, in: model)]
        let found = try model.transformer.attaching(attachments)
        try withoutGradients {
            // Padded on the left, the first two tokens at once and then one at a time.
            let cache = KeyValueCache(for: model.configuration)
            let expectedCache = KeyValueCache(for: model.configuration)
            let (given, wanted) = (same(rows, 20).map { $0.prefix(4) }, same(rows, 30).map { $0.prefix(4) })
            for (start, end) in [(0, 2), (2, 3), (3, 4)] {
                func read(_ rows: [ArraySlice<Int>], _ transformer: Transformer, _ cache: KeyValueCache) throws
                    -> Tensor
                {
                    // One row is a token behind the others from the beginning on.
                    let pieces = rows.enumerated().map { row, ids -> [Int] in
                        let shift = row == 1 ? 1 : 0
                        return Array(ids[max(0, start - shift)..<end - shift])
                    }
                    return try transformer.states(
                        TokenBatch(pieces, padId: model.padId, side: .left), cache: cache
                    ).at(-1, dimension: 1)
                }
                let (one, other) = (try read(wanted, model.transformer, expectedCache), try read(given, found, cache))
                #expect(try (one - other).abs().max().item() < 1e-5, "up to \(end)")
            }
            // A tree of rows with a common beginning that holds the place.
            let instruction = Array(3...22)
            let alike = [[30, 31, 32], [33], [34, 35]].map { instruction + $0 }
            #expect(found.sharesPrefixes)
            let one = try model.transformer.states(TokenBatch(same(alike, 30)))
            let other = try found.states(TokenBatch(same(alike, 20)))
            #expect(try (one - other).at(0).abs().max().item() < 1e-5)
            #expect(try (one - other).at(2).narrowed(0, from: 0, length: 22).abs().max().item() < 1e-5)
        }
    }

    @Test func `tokens behind the last place are left as they are`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        var attachments = Attachments()
        var random = RandomStream(seed: 2, name: "vectors")
        attachments.placeVectors = [try random.normal([2, model.configuration.tokenWidth])]
        let whole = try Tensor.concatenated([
            attachments.placeVectors[0], .zeros([30, model.configuration.tokenWidth]),
        ])
        var longer = Attachments()
        longer.placeVectors = [whole]
        let rows = try rows(model)
        try withoutGradients {
            let one = try model.transformer.attaching(attachments).states(TokenBatch(rows))
            let other = try model.transformer.attaching(longer).states(TokenBatch(rows))
            #expect(try (one - other).abs().max().item() == 0)
        }
    }

    @Test func `vectors of another width are refused`() throws {
        let model = try TinyModel.gpt2.load(in: scratch)
        var attachments = Attachments()
        attachments.placeVectors = [try Tensor.zeros([4, 5])]
        let error = #expect(throws: HoneError.self) { try model.transformer.attaching(attachments) }
        #expect(error?.code == .mismatch)
    }
}
