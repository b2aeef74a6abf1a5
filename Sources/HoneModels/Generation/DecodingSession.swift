import HoneFormats
import HoneTorch

/// A model in the middle of writing: what it has read is cached, and each step reads one token a row.
///
/// Strategies (drawing, beams) see nothing of the model but this: scores of the next token, and rows that can be dropped, repeated
/// and put in another order.
final class DecodingSession {
    private let transformer: Transformer
    private let cache: KeyValueCache
    private let padId: Int
    /// What each row's text is written behind: its prompt.
    let beginnings: [[Int]]
    /// How many tokens the model has room for in each row's text.
    let rooms: [Int]
    /// The token that every text of the model begins with, where it is made for one.
    private let firstId: Int?

    /// A session over requests; of an encoder-decoder, inputs are encoded at once, of others nothing is computed yet.
    ///
    /// - Parameters:
    ///   - padId: what fills shorter rows; no row sees it.
    ///   - newTokens: how many tokens are likely to come.
    /// - Throws: `HoneError` where the model does not write, or a prompt is empty or longer than the model's positions.
    init(_ transformer: Transformer, _ requests: [GenerationRequest], padId: Int, newTokens: Int) throws {
        let configuration = transformer.configuration
        guard configuration.isCausal || configuration.decoder != nil, configuration.hasLanguageHead else {
            throw HoneError(.mismatch, "this model reads and does not write: it has no language-model head")
        }
        let prompts = requests.map(\.prompt)
        let isPair = configuration.decoder != nil
        func room(after tokens: [Int], prompts: Int) -> Int {
            // Without positions, nothing ends.
            configuration.positions == .none ? 1 << 20 : configuration.maximumLength - prompts - tokens.count
        }
        let attached = transformer.attachments.promptLength
        for read in requests.map({ $0.input ?? $0.prompt }) where room(after: read, prompts: attached) < 0 {
            throw HoneError(
                .badData,
                "a prompt of \(read.count) tokens is longer than the model's \(configuration.maximumLength) positions")
        }
        beginnings = prompts
        // Attached prompts stand before what is read, not before what a decoder of its own writes.
        rooms = prompts.map { room(after: $0, prompts: isPair ? 0 : attached) }
        self.transformer = transformer

        self.padId = padId
        let longest = prompts.map(\.count).max() ?? 0
        firstId = configuration.decoder?.firstId
        cache = KeyValueCache(
            for: configuration,
            expectedLength: (isPair ? 0 : attached) + longest + min(newTokens, 512),
            memory: isPair
                ? try transformer.memory(
                    of: TokenBatch(requests.map { $0.input ?? [] }, padId: padId, on: transformer.device)) : nil)
    }

    /// Reads the prompts: scores of what comes next, `[rows, vocabularySize]`, `float32` or `float64`.
    func start() throws -> Tensor {
        let scores = try read(TokenBatch(beginnings, padId: padId, side: .left, on: transformer.device))
        guard let firstId else { return scores }
        let others = try Tensor.range(0, scores.size(1), on: scores.device).notEqual(Double(firstId))
        return try Tensor.zeros(scores.shape, scores.dtype, on: scores.device)
            .filled(where: others, with: -Double.infinity)
    }

    /// Reads one token for each row: scores of what comes next, `[rows, vocabularySize]`.
    func next(_ tokens: [Int]) throws -> Tensor {
        try read(TokenBatch(tokens.map { [$0] }, padId: padId, side: .left, on: transformer.device))
    }

    /// Goes on with these rows: dropped, repeated or in another order.
    func select(rows: [Int]) throws { try cache.select(rows: rows) }

    private func read(_ batch: TokenBatch) throws -> Tensor {
        let last = try transformer.states(batch, cache: cache).at(-1, dimension: 1)
        let logits = try transformer.logits(last)
        return logits.dtype == .float64 ? logits : try logits.to(.float32)
    }
}
