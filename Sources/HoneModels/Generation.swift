import HoneFormats
import HoneTorch

/// How tokens are chosen in generation.
public struct GenerationOptions: Sendable {
    /// The most tokens that are added to a prompt.
    public var maximumNewTokens = 64
    /// 0 takes the likeliest token; above it, logits are divided by it before drawing.
    public var temperature = 0.0
    /// Draw among so many likeliest tokens; 0 for all.
    public var topK = 0
    /// Draw among the likeliest tokens that together reach this probability.
    public var topP = 1.0
    /// Tokens that end a row; they are not part of the result.
    public var stopIds: Set<Int> = []
    /// The seed of the draws.
    public var seed: UInt64 = 0

    /// Greedy generation of at most 64 tokens.
    public init() {}
}

extension Transformer {
    /// Goes on from prompts, each position computed once.
    ///
    /// - Parameters:
    ///   - prompts: token numbers; rows may differ in length and do not influence one another.
    ///   - padId: what fills shorter rows.
    ///   - rowIds: what a row's draws depend on besides the seed, so that they are the same in any batch; the row's place
    ///     where left out.
    /// - Returns: the new tokens of each row.
    public func generate(from prompts: [[Int]], padId: Int, options: GenerationOptions, rowIds: [Int]? = nil) throws
        -> [[Int]]
    {
        guard !prompts.isEmpty, options.maximumNewTokens > 0 else { return prompts.map { _ in [] } }
        let longest = prompts.map(\.count).max() ?? 0
        // An encoder-decoder reads the prompts in its encoder; the decoder's positions are all for the answer.
        let left = configuration.maximumLength - attachments.promptLength - longest
        let room = configuration.decoder == nil ? left : configuration.maximumLength
        guard left >= 0 || (configuration.decoder != nil && configuration.positions != .learned) else {
            throw HoneError(
                .badData,
                "a prompt of \(longest) tokens is longer than the model's \(configuration.maximumLength) positions")
        }
        return try withoutGradients {
            var random = prompts.indices.map { row in
                SeededGenerator(seed: options.seed, stream: "sampling \(rowIds.map { $0[row] } ?? row)")
            }
            let memory =
                configuration.decoder == nil
                ? nil : try memory(of: TokenBatch(prompts, padId: padId, side: .right, on: device))
            let cache = KeyValueCache(for: configuration, memory: memory)
            var results = prompts.map { _ in [Int]() }
            var active = Array(prompts.indices)
            let starts = configuration.decoder.map { decoder in prompts.map { _ in [decoder.startId] } } ?? prompts
            var batch = try TokenBatch(starts, padId: padId, side: .left, on: device)
            for step in 0..<min(options.maximumNewTokens, room) {
                let last = try states(batch, cache: cache).at(-1, dimension: 1)
                let draws = active.map { random[$0].uniform() }
                var chosen = try choose(logits(last).to(.float32), options: options, draws: draws)
                if step == 0, let first = configuration.decoder?.firstId { chosen = active.map { _ in first } }
                var kept: [Int] = []
                var next: [[Int]] = []
                for (place, row) in active.enumerated() where !options.stopIds.contains(chosen[place]) {
                    results[row].append(chosen[place])
                    kept.append(place)
                    next.append([chosen[place]])
                }
                guard !kept.isEmpty, step + 1 < options.maximumNewTokens else { break }
                if kept.count < active.count {
                    try cache.keep(rows: Tensor(kept, on: device))
                    active = kept.map { active[$0] }
                }
                batch = try TokenBatch(next, padId: padId, side: .left, on: device)
            }
            return results
        }
    }

    /// One token a row from logits `[rows, vocabularySize]`.
    ///
    /// - Parameter draws: a number from 0 to 1 for each row.
    private func choose(_ logits: Tensor, options: GenerationOptions, draws: [Double]) throws -> [Int] {
        guard options.temperature > 0 else { return try logits.argumentOfMax(-1).elements(Int.self) }
        var scaled = try logits / options.temperature
        if options.topK > 0, options.topK < logits.size(-1) {
            let least = try scaled.largest(options.topK).values.narrowed(-1, from: options.topK - 1, length: 1)
            scaled = try scaled.filled(where: scaled.less(least), with: -Double.infinity)
        }
        if options.topP < 1 {
            let (values, indices) = try scaled.sorted(-1, descending: true)
            let probabilities = try values.softmax(-1)
            // A token is dropped when those before it already reach the mass; the first always stays.
            let before = try probabilities.cumulativeSum(-1) - probabilities
            let kept = try values.filled(where: before.greater(options.topP), with: -Double.infinity)
            let places = try drawn(kept, draws)
            return try indices.gathered(places, dimension: -1).elements(Int.self)
        }
        return try drawn(scaled, draws).elements(Int.self)
    }

    /// For each row the first place at which the summed probabilities pass the draw, `[rows, 1]`.
    private func drawn(_ logits: Tensor, _ draws: [Double]) throws -> Tensor {
        let sums = try logits.to(.float64).softmax(-1).cumulativeSum(-1)
        let wanted =
            try Tensor(draws, shape: [draws.count, 1], on: logits.device)
            * sums.narrowed(
                -1, from: logits.size(-1) - 1, length: 1)
        return try sums.lessOrEqual(wanted).to(.int64).sum([-1], keepDimensions: true)
    }
}
