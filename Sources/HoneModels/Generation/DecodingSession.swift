import HoneFormats
import HoneTorch

/// A model in the middle of writing: what it has read is cached, and each step reads one token a row.
///
/// Strategies (drawing, beams) see nothing of the model but this: scores of the next token, and rows that can be dropped, repeated
/// and put in another order. Where the model has the form for it, a `Decoder` reads; otherwise the general forward pass does.
final class DecodingSession {
    private let transformer: Transformer
    private let decoding: Decoding?
    /// The negative tokens that attached prompts are to the decoder.
    private let prefix: [Int]
    private let cache: KeyValueCache
    private let padId: Int
    /// What all prompts begin with: it is read once, and the rows part behind it.
    private let common: [Int]
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
    ///   - decoder: the model in the form in which it writes fastest, where it has one.
    /// - Throws: `HoneError` where the model does not write, or a prompt is empty or longer than the model's positions.
    init(
        _ transformer: Transformer, _ requests: [GenerationRequest], padId: Int, newTokens: Int, decoder: Decoder? = nil
    ) throws {
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
        let attached = transformer.attachments.addedPositions
        let before = transformer.attachments.prefixLength(of: "decoder.")
        for read in requests.map({ $0.input ?? $0.prompt }) where room(after: read, prompts: attached) < 0 {
            throw HoneError(
                .badData,
                "a prompt of \(read.count) tokens is longer than the model's \(configuration.maximumLength) positions")
        }
        if decoder != nil, prompts.contains(where: \.isEmpty) { throw HoneError(.badData, "a row has no tokens") }
        prefix = (0..<(decoder?.prefixCount ?? 0)).map { -1 - $0 }
        let shares = !isPair && !configuration.computesExactly
        common = shares ? DecodingSession.commonBeginning(prompts, behind: prefix.count) : []
        decoding = try decoder.map { try Decoding($0, rows: requests.count) }
        beginnings = prompts
        // Attached prompts stand before what is read, not before what a decoder of its own writes.
        rooms = prompts.map { room(after: $0, prompts: isPair ? before : attached) }
        self.transformer = transformer

        self.padId = padId
        let longest = prompts.map(\.count).max() ?? 0
        firstId = configuration.decoder?.firstId
        cache = KeyValueCache(
            for: configuration,
            expectedLength: (isPair ? before : attached) + longest + min(newTokens, 512),
            memory: isPair
                ? try transformer.memory(
                    of: TokenBatch(requests.map { $0.input ?? [] }, padId: padId, on: transformer.device)) : nil)
    }

    /// The tokens that all of several prompts begin with, where reading them once is worth it; each prompt has one more.
    private static func commonBeginning(_ prompts: [[Int]], behind prefix: Int) -> [Int] {
        guard prompts.count > 1, let first = prompts.first else { return [] }
        let count = prompts.dropFirst().reduce(max(0, first.count - 1)) { count, prompt in
            zip(first.prefix(count), prompt.dropLast()).prefix { $0 == $1 }.count
        }
        return prefix + count >= 8 ? Array(first.prefix(count)) : []
    }

    /// Reads what all prompts begin with, and gives what is left of each to be read.
    private func readCommon() throws -> [[Int]] {
        let rest = beginnings.map { Array($0.dropFirst(common.count)) }
        guard !common.isEmpty else { return rest.map { prefix + $0 } }
        let copies = beginnings.map { _ in 0 }
        if let decoding {
            try decoding.select(rows: [0])
            _ = try decoding.scores(after: [prefix + common])
            try decoding.select(rows: copies)
        } else {
            let batch = try TokenBatch([common], padId: padId, side: .left, on: transformer.device)
            _ = try transformer.states(batch.endingPrompts(at: [nil]), cache: cache)
            try cache.select(rows: copies)
        }
        return rest
    }

    /// Reads the prompts: scores of what comes next, `[rows, vocabularySize]`, `float32` or `float64`.
    func start() throws -> Tensor {
        let rest = try readCommon()
        if let decoding { return try decoding.scores(after: rest) }
        let batch = try TokenBatch(rest, padId: padId, side: .left, on: transformer.device)
        let scores = try read(batch.endingPrompts(at: rest.map { $0.count - 1 }))
        guard let firstId else { return scores }
        let others = try Tensor.range(0, scores.size(1), on: scores.device).notEqual(Double(firstId))
        return try Tensor.zeros(scores.shape, scores.dtype, on: scores.device)
            .filled(where: others, with: -Double.infinity)
    }

    /// Reads one token for each row: scores of what comes next, `[rows, vocabularySize]`.
    func next(_ tokens: [Int]) throws -> Tensor {
        if let decoding { return try decoding.scores(after: tokens.map { [$0] }) }
        return try read(TokenBatch(tokens.map { [$0] }, padId: padId, side: .left, on: transformer.device))
    }

    /// Reads the prompts: the likeliest token of each row.
    func startLikeliest() throws -> [Int] {
        if let decoding { return try decoding.likeliest(after: readCommon()) }
        return try LogitsProcessing.likeliest(start())
    }

    /// Reads one token for each row: the likeliest of each to follow.
    func nextLikeliest(_ tokens: [Int]) throws -> [Int] {
        if let decoding { return try decoding.likeliest(after: tokens.map { [$0] }) }
        return try LogitsProcessing.likeliest(next(tokens))
    }

    /// Whether several tokens of a row can be read at once and taken back.
    var canGuess: Bool { decoding != nil }

    /// Reads a token of the only row and guesses of what follows it, and gives the tokens that follow indeed: as many as reading one
    /// by one would have given for as long as guesses were right, and one more.
    ///
    /// - Parameter length: how many tokens of the row have been read, its prompt among them.
    func nextLikeliest(_ token: Int, guesses: [Int], length: Int) throws -> [Int] {
        guard let decoding else { return try nextLikeliest([token]) }
        let found = try decoding.likeliestAfterEach(of: [[token] + guesses])
        let right = zip(found, guesses).prefix { $0 == $1 }.count
        try decoding.shorten(row: 0, to: prefix.count + length + 1 + right)
        return Array(found[...right])
    }

    /// Goes on with these rows: dropped, repeated or in another order.
    func select(rows: [Int]) throws {
        guard let decoding else { return try cache.select(rows: rows) }
        if rows != Array(0..<decoding.rowCount) { try decoding.select(rows: rows) }
    }

    private func read(_ batch: TokenBatch) throws -> Tensor {
        let last = try transformer.states(batch, cache: cache).at(-1, dimension: 1)
        let logits = try transformer.logits(last)
        return logits.dtype == .float64 ? logits : try logits.to(.float32)
    }
}
