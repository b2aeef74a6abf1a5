import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Several adapters in one batch, one a row or a group of rows.
@Suite struct RowGroupsTests {
    /// Doubles what passes, and adds one.
    private struct Shift: StateAttachment {
        let factor: Double
        func state(_ state: Tensor) throws -> Tensor { try state * factor + 1 }
    }

    private let texts = ["we see the plum", "red", "one old file and a big saw and", "the grey drill has"]

    private func attachments(_ model: BaseModel, rank: Int, seed: UInt64, dropped: Bool = false) throws -> Attachments {
        var random = RandomStream(seed: seed, name: "parameters")
        let lora = try Methods.make(
            "lora", typed: ["rank": "\(rank)", "targets": seed % 2 == 0 ? "all" : "query,down"])
        let parameters = try lora.initialParameters(for: model, random: &random)
        for parameter in parameters.all {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.2))
        }
        return try lora.attachments(parameters, model: model.transformer, dropout: nil)
    }

    private func largestDifference(_ model: BaseModel, _ groups: [(rowCount: Int, attachments: Attachments)]) throws
        -> (alone: Double, spread: Double)
    {
        try withoutGradients {
            let rows = try texts.map { try model.tokenizer.encode($0, addSpecialTokens: false) }
            let together = try model.transformer.attaching(.byRows(groups)).states(TokenBatch(rows, padId: model.padId))
            let owners = groups.flatMap { group in Array(repeating: group.attachments, count: group.rowCount) }
            var (difference, spread) = (0.0, 0.0)
            for (place, ids) in rows.enumerated() {
                let own = try together.narrowed(0, from: place, length: 1).narrowed(1, from: 0, length: ids.count)
                let alone = try model.transformer.attaching(owners[place]).states(TokenBatch([ids]))
                let plain = try model.transformer.states(TokenBatch([ids]))
                difference = max(difference, try (own - alone).abs().max().item())
                spread = max(spread, try (own - plain).abs().max().item())
            }
            return (difference, spread)
        }
    }

    @Test(arguments: [TinyModel.bert, .llama, .gpt2, .neox, .qwen3, .opt])
    func `a row gives what it gives alone`(kind: TinyModel) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        let first = try attachments(model, rank: 2, seed: 2)
        let second = try attachments(model, rank: 4, seed: kind == .gpt2 || kind == .neox ? 4 : 3)
        let (difference, spread) = try largestDifference(
            model, [(1, first), (0, second), (2, second), (1, Attachments())])
        #expect(difference < 1e-5 && spread > 1e-2, "\(difference) \(spread)")
        var shifted = first
        shifted.states["layers.0"] = [Shift(factor: 2)]
        var onlyState = Attachments()
        onlyState.states = shifted.states
        #expect(try Attachments.byRows([(1, onlyState), (1, Attachments())]).looksAtRows)
        let (mixed, moved) = try largestDifference(model, [(2, shifted), (1, second), (1, Attachments())])
        #expect(mixed < 1e-5 && moved > 1e-2, "\(mixed) \(moved)")
    }

    @Test func `what cannot differ from row to row is refused, and so is another number of rows`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        var weights = Attachments()
        weights.weights["layers.0.mlp.up.bias"] = model.transformer.weights["layers.0.mlp.up.bias"]
        let refusal = #expect(throws: HoneError.self) { try Attachments.byRows([(1, weights), (1, Attachments())]) }
        #expect(refusal?.code == .unsupported)
        let grouped = try Attachments.byRows([(1, attachments(model, rank: 2, seed: 2)), (1, Attachments())])
        let mismatch = #expect(throws: HoneError.self) {
            try model.transformer.attaching(grouped).states(TokenBatch([[1, 2], [3], [4]]))
        }
        #expect(mismatch?.message.contains("2 rows") == true, "\(String(describing: mismatch))")
    }
}
