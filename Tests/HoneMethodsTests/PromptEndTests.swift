import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Attachments that act where prompts end: in padded, packed and shared rows, behind vectors put before rows, and in generation.
@Suite struct PromptEndTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private static let sites = ["layers.0.attention.heads", "layers.1", "states"]

    /// A change that every token and every layer would give another result for.
    private func changed(_ model: Transformer, prompts: Int = 0) throws -> Transformer {
        var attachments = Attachments()
        for site in Self.sites {
            attachments.states[site] = [PromptEndEdit { try $0 * 0.5 + 0.1 }]
        }
        if prompts > 0 {
            attachments.prompts = [try Tensor.full([prompts, model.configuration.tokenWidth], 0.3)]
        }
        return try model.attaching(attachments)
    }

    private func load(_ model: TinyModel, exact: Bool = false) throws -> Transformer {
        let loaded = try model.load(in: scratch)
        return exact ? try BaseModel(folder: loaded.folder, exact: true).transformer : loaded.transformer
    }

    private static let rows = [[5, 9, 11, 7], [5, 9, 11, 7, 12, 13], [5, 9, 8], [5, 9, 11, 7, 12, 6, 10], [4]]
    private static let ends: [Int?] = [3, 3, 2, 4, nil]

    private func states(_ model: Transformer, _ rows: [[Int]], _ ends: [Int?], side: TokenBatch.Side = .right) throws
        -> [[Float]]
    {
        try withoutGradients {
            let batch = try TokenBatch(rows, side: side).endingPrompts(at: ends)
            let states = try model.states(batch)
            return try rows.indices.map { row in
                let padding = side == .left ? batch.length - rows[row].count : 0
                return try states.at(row).narrowed(0, from: padding, length: rows[row].count).elements(Float.self)
            }
        }
    }

    private func distance(_ left: [[Float]], _ right: [[Float]]) -> Float {
        zip(left, right).map { zip($0, $1).map { abs($0 - $1) }.max() ?? 0 }.max() ?? 0
    }

    @Test(arguments: [TinyModel.llama, .gpt2, .qwen3, .neox, .opt])
    func `rows in one batch, padded on either side, packed or shared, are what each is alone`(kind: TinyModel) throws {
        let model = try changed(load(kind))
        let exact = try changed(load(kind, exact: true))
        let alone = try zip(Self.rows, Self.ends).map { try states(exact, [$0], [$1])[0] }
        for side in [TokenBatch.Side.right, .left] {
            #expect(try distance(states(model, Self.rows, Self.ends, side: side), alone) < 2e-5)
            #expect(try distance(states(exact, Self.rows, Self.ends, side: side), alone) < 2e-5)
        }
    }

    @Test func `rows that begin alike share a prompt's end only with rows whose prompts end there`() throws {
        let model = try changed(load(.llama))
        #expect(model.sharesPrefixes)
        let rows = [[5, 9, 11, 7, 12, 13, 10, 11], [5, 9, 11, 7, 12, 13, 10, 4], [5, 9, 11, 7, 12, 13, 6, 6]]
        let ends: [Int?] = [5, 5, 6]
        let found = try withoutGradients {
            let batch = try TokenBatch(rows).endingPrompts(at: ends)
            let places = rows.indices.flatMap { row in (0..<8).map { row * 8 + $0 } }
            let (states, indices) = try model.distinctStates(batch, at: places)
            // Five tokens stand in all three. The sixth is an end in two of them, and two tokens of two rows are not worth sharing;
            // without changes all three share it.
            #expect(states.size(0) == 24 - 2 * 5)
            #expect(try load(.llama).distinctStates(batch, at: places).states.size(0) == 24 - 2 * 6)
            return try states.selecting(Tensor(indices)).elements(Float.self)
        }
        let alone = try zip(rows, ends).flatMap { try states(model, [$0], [$1])[0] }
        #expect(distance([found], [alone]) < 2e-5)
    }

    @Test func `behind vectors put before the rows, the right token is changed`() throws {
        let exact = try changed(load(.llama, exact: true), prompts: 3)
        let model = try changed(load(.llama), prompts: 3)
        let alone = try zip(Self.rows, Self.ends).map { try states(exact, [$0], [$1])[0] }
        for side in [TokenBatch.Side.right, .left] {
            #expect(try distance(states(model, Self.rows, Self.ends, side: side), alone) < 2e-5)
        }
    }

    @Test func `tokens before a prompt's end stay as they are to the last bit`() throws {
        let base = try load(.llama, exact: true)
        let model = try changed(base)
        let (before, after) = (try states(base, [Self.rows[3]], [nil]), try states(model, [Self.rows[3]], [4]))
        let width = base.configuration.width
        #expect(before[0].prefix(4 * width) == after[0].prefix(4 * width))
        #expect(before[0][4 * width] != after[0][4 * width] && before[0].suffix(width) != after[0].suffix(width))
    }

    @Test func `a row whose prompt is not told ends with its last token, unless it goes on from a cache`() throws {
        let base = try load(.llama)
        let model = try changed(base)
        try withoutGradients {
            let batch = try TokenBatch([Self.rows[0]])
            #expect(try model.states(batch).elements(Float.self) == states(model, [Self.rows[0]], [3])[0])
            let cache = KeyValueCache(for: base.configuration)
            _ = try model.states(batch.endingPrompts(at: [nil]), cache: cache)
            let plain = KeyValueCache(for: base.configuration)
            _ = try base.states(batch, cache: plain)
            let next = try TokenBatch([[12]], side: .left)
            #expect(
                try model.states(next, cache: cache).elements(Float.self)
                    == base.states(next, cache: plain).elements(Float.self))
        }
    }

    @Test(arguments: [1, 4], [false, true])
    func `generation changes the prompt's last token once and writes what computing everything again gives`(
        beams: Int, isLong: Bool
    ) throws {
        let base = try load(.llama)
        let model = try changed(base)
        // Long prompts begin alike, and what they begin with is read once.
        let beginning = isLong ? Array(repeating: [5, 9, 11, 7], count: 3).flatMap { $0 } : []
        let prompts = [[5, 9, 11], [7, 12, 6, 10], [13]].map { beginning + $0 }
        var options = GenerationOptions()
        options.maximumNewTokens = 8
        options.beams = beams
        let written = try model.generate(from: prompts, padId: 0, options: options)
        let unchanged = try base.generate(from: prompts, padId: 0, options: options)
        #expect(written != unchanged)
        for (prompt, text) in zip(prompts, written) {
            #expect(try model.generate(from: [prompt], padId: 0, options: options) == [text])
        }
        guard beams == 1 else { return }
        for (prompt, text) in zip(prompts, written) {
            var row = prompt
            for token in text {
                let states = try withoutGradients {
                    try model.states(TokenBatch([row]).endingPrompts(at: [prompt.count - 1])).at(-1, dimension: 1)
                }
                #expect(try model.logits(states).argumentOfMax(-1).elements(Int.self) == [token])
                row.append(token)
            }
        }
    }

    @Test func `groups of rows with changes of their own are what each is alone`() throws {
        let base = try load(.llama)
        var first = Attachments()
        first.states["layers.0"] = [PromptEndEdit { try $0 * 0.5 }]
        var second = Attachments()
        second.states["layers.0.attention.heads"] = [PromptEndEdit { try $0 + 1 }]
        second.states["layers.0"] = [PromptEndEdit { try $0 - 1 }]
        let rows = Array(Self.rows.prefix(4))
        let ends = Array(Self.ends.prefix(4))
        let together = try base.attaching(.byRows([(1, first), (3, second)]))
        let found = try states(together, rows, ends)
        let alone = try zip(rows, ends).enumerated().map { place, row in
            try states(base.attaching(place < 1 ? first : second), [row.0], [row.1])[0]
        }
        #expect(distance(found, alone) < 2e-5)
    }

    @Test func `a recorder keeps one state a prompt, whether rows are shared or not`() throws {
        for exact in [false, true] {
            let base = try load(.llama, exact: exact)
            let recorder = PromptEndRecorder()
            var attachments = Attachments()
            attachments.states["layers.1.attention.heads"] = [recorder]
            let rows = [[5, 9, 11, 7], [5, 9, 11, 7], [5, 9, 11, 8, 6]]
            let model = try base.attaching(attachments)
            _ = try withoutGradients { try model.states(TokenBatch(rows)) }
            let state = try #require(recorder.states.first)
            #expect(recorder.states.count == 1 && state.shape == [3, 4, 4])
            #expect(try distance([state.at(0).elements()], [state.at(1).elements()]) < 1e-6)
            let all = StateRecorder()
            attachments.states["layers.1.attention.heads"] = [all]
            _ = try withoutGradients { try base.attaching(attachments).states(TokenBatch([rows[2]])) }
            let expected = try #require(all.states.first).at(0).at(4).elements(Float.self)
            #expect(try distance([state.at(2).elements(Float.self)], [expected]) < 1e-5)
        }
    }
}
