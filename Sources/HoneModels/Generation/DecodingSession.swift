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
    private let prompts: [[Int]]
    /// What each row's text is written behind: its prompt.
    let beginnings: [[Int]]
    /// How many tokens the model has room for in each row's text.
    let rooms: [Int]

    /// A session over prompts; nothing is computed yet.
    ///
    /// - Parameters:
    ///   - padId: what fills shorter rows; no row sees it.
    ///   - newTokens: how many tokens are likely to come.
    /// - Throws: `HoneError` where the model does not write, or a prompt is empty or longer than the model's positions.
    init(_ transformer: Transformer, prompts: [[Int]], padId: Int, newTokens: Int) throws {
        let configuration = transformer.configuration
        guard configuration.isCausal, configuration.hasLanguageHead else {
            throw HoneError(.mismatch, "this model reads and does not write: it has no language-model head")
        }
        rooms = prompts.map { configuration.maximumLength - transformer.attachments.promptLength - $0.count }
        beginnings = prompts
        if let place = rooms.firstIndex(where: { $0 < 0 }) {
            throw HoneError(
                .badData,
                "a prompt of \(prompts[place].count) tokens is longer than the model's "
                    + "\(configuration.maximumLength) positions")
        }
        self.transformer = transformer
        self.prompts = prompts
        self.padId = padId
        let longest = prompts.map(\.count).max() ?? 0
        cache = KeyValueCache(
            for: configuration,
            expectedLength: transformer.attachments.promptLength + longest + min(newTokens, 512))
    }

    /// Reads the prompts: scores of what comes next, `[rows, vocabularySize]`, `float32` or `float64`.
    func start() throws -> Tensor { try read(TokenBatch(prompts, padId: padId, side: .left, on: transformer.device)) }

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
