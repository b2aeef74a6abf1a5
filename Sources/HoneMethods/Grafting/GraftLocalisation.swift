import HoneFormats
import HoneTorch

/// The search for a mask: starts from the largest movement and learns scores by plain gradient steps (Panigrahi et al. 2023,
/// section 2 and appendix A).
///
/// What a model with certain weights loses and scores is asked of the caller, so that the search knows neither the task nor
/// the model.
public struct GraftLocalisation {
    /// θ_pre, `[count]`, `float32`.
    public let before: Tensor
    /// θ_ft.
    public let after: Tensor
    /// The most ones.
    public let count: Int
    /// η.
    public var rate = 1e7
    /// b; it belongs together with η, which has to make up for `σ'(−b)`.
    public var offset = 10.0
    /// How often scores are changed.
    public var rounds = 10
    /// What the scores are drawn from.
    public var seed: UInt64 = 0

    /// A search between two vectors of weights.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where nothing moved.
    public init(before: Tensor, after: Tensor, keeping count: Int) throws {
        self.before = before
        self.after = after
        self.count = count
        guard try withoutGradients({ try (after - before).abs().max().item() }) > 0 else {
            throw HoneError(.mismatch, "the two models have the same layers: there is nothing to graft")
        }
    }

    /// What a search found.
    public struct Result {
        /// The mask, `bool`.
        public var mask: Tensor
        /// The score of every hard mask: that of the starting mask first, then one a round.
        public var scores: [Double]
        /// Which of them was taken: 0 for the starting mask.
        public var chosen: Int
        /// How many entries differ from the starting mask.
        public var flips: Int
    }

    /// The starting mask without any search.
    public func start() throws -> Tensor {
        try GraftMask.largestMovement(withoutGradients { try after - before }, keeping: count)
    }

    /// Searches; of equal scores the earliest mask stays, so that the result is never worse than the starting mask.
    ///
    /// - Parameters:
    ///   - gradient: the mean gradient of the training loss for a vector of weights, in evaluation mode.
    ///   - score: what is to be high for a vector of weights, on training and validation rows.
    public func run(gradient: (Tensor) throws -> Tensor, score: (Tensor) throws -> Double) throws -> Result {
        try withoutGradients {
            let difference = try after - before
            let first = try start()
            let asNumbers = try first.to(.float32)
            var random = RandomStream(seed: seed, name: "mask scores")
            var scores = try random.uniform(before.shape, low: 0, high: 1).to(before.device)
            var best = first
            var found = [try score(GraftMask.grafted(first, before: before, after: after))]
            var chosen = 0
            for round in 0..<max(0, rounds) {
                let soft = try before + GraftMask.soft(scores, start: asNumbers, offset: offset) * difference
                let slope = try GraftMask.gradient(
                    scores, start: asNumbers, offset: offset, difference: difference, gradient: gradient(soft))
                scores = try scores - slope * rate
                let hard = try GraftMask.rounded(scores, start: asNumbers, offset: offset, atMost: count)
                found.append(try score(GraftMask.grafted(hard, before: before, after: after)))
                if found[round + 1] > found[chosen] {
                    chosen = round + 1
                    best = hard
                }
            }
            let flips = try GraftMask.count(first.select(best.logicalNot(), best))
            return Result(mask: best, scores: found, chosen: chosen, flips: flips)
        }
    }
}
