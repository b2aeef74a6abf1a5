import HoneFormats
import HoneTorch

/// What is done to the scores of the next token before one is chosen: each step as in transformers, in its order.
public struct LogitsProcessing {
    private let options: GenerationOptions

    /// The steps that some options ask for.
    public init(_ options: GenerationOptions) { self.options = options }

    /// What every strategy does: the repetition penalty, then end tokens ruled out while the text is too short.
    ///
    /// - Parameters:
    ///   - scores: `[rows, vocabularySize]`, logits, or log-probabilities in a beam search.
    ///   - history: the tokens of each row so far, prompt included.
    ///   - newTokens: how many of them were made, for each row.
    public func penalised(_ scores: Tensor, history: [[Int]], newTokens: [Int]) throws -> Tensor {
        var scores = scores
        if options.repetitionPenalty != 1 { scores = try repetitionPenalised(scores, history) }
        if !options.stopIds.isEmpty, newTokens.contains(where: { $0 < options.minimumNewTokens }) {
            let vocabulary = scores.size(1)
            let ids = options.stopIds.filter { (0..<vocabulary).contains($0) }
            var isBanned = [Bool](repeating: false, count: newTokens.count * vocabulary)
            for (row, count) in newTokens.enumerated() where count < options.minimumNewTokens {
                for id in ids { isBanned[row * vocabulary + id] = true }
            }
            let mask = try Tensor(isBanned, shape: [newTokens.count, vocabulary], on: scores.device)
            scores = try scores.filled(where: mask, with: -Double.infinity)
        }
        return scores
    }

    /// What drawing does besides: temperature, top-k, top-p, min-p.
    ///
    /// - Parameter logits: `[rows, vocabularySize]`
    /// - Returns: the same shape, minus infinity for what cannot be drawn.
    public func warped(_ logits: Tensor) throws -> Tensor {
        var scores = options.temperature == 1 ? logits : try logits / options.temperature
        if options.topK > 0 { scores = try keepingLargest(scores, options.topK) }
        if options.topP < 1 { scores = try keepingMass(scores, options.topP) }
        if options.minP > 0 { scores = try keepingShare(scores, options.minP) }
        return scores
    }

    private func repetitionPenalised(_ scores: Tensor, _ history: [[Int]]) throws -> Tensor {
        let vocabulary = scores.size(1)
        let seen = history.map { Array(Set($0)).filter { (0..<vocabulary).contains($0) } }
        let length = seen.map(\.count).max() ?? 0
        guard length > 0 else { return scores }
        // Shorter rows repeat one of their ids, which writes the same number again; an empty row gets its own score back.
        var ids: [Int] = []
        var factors: [Float] = []
        for row in seen {
            ids += row + repeatElement(row.first ?? 0, count: length - row.count)
            factors.append(row.isEmpty ? 1 : Float(options.repetitionPenalty))
        }
        let places = try Tensor(ids, shape: [seen.count, length], on: scores.device)
        let factor = try Tensor(factors, shape: [seen.count, 1], on: scores.device).to(scores.dtype)
        let old = try scores.gathered(places, dimension: 1)
        let changed = try old.less(0).select(old * factor, old / factor)
        return try scores.scattering(changed, at: places, dimension: 1)
    }

    /// Ties with the last that is kept are kept as well.
    private func keepingLargest(_ scores: Tensor, _ count: Int) throws -> Tensor {
        guard count < scores.size(-1) else { return scores }
        let least = try scores.largest(count).values.narrowed(-1, from: count - 1, length: 1)
        return try scores.filled(where: scores.less(least), with: -Double.infinity)
    }

    private func keepingMass(_ scores: Tensor, _ mass: Double) throws -> Tensor {
        // From the least likely up: dropped is what together has no more than the rest of the mass.
        let (values, indices) = try scores.sorted(-1)
        let rest = try Tensor.full([1], 1 - mass, scores.dtype, on: scores.device)
        let dropped = try values.softmax(-1).cumulativeSum(-1).lessOrEqual(rest)
        try dropped.narrowed(-1, from: scores.size(-1) - 1, length: 1).fillInPlace(0)
        let mask = try Tensor.zeros(scores.shape, .bool, on: scores.device).scattering(
            dropped, at: indices, dimension: -1)
        return try scores.filled(where: mask, with: -Double.infinity)
    }

    private func keepingShare(_ scores: Tensor, _ share: Double) throws -> Tensor {
        let probabilities = try scores.softmax(-1)
        let least = try probabilities.max(-1, keepDimensions: true) * share
        return try scores.filled(where: probabilities.less(least), with: -Double.infinity)
    }

    /// The likeliest token of each row of scores `[rows, vocabularySize]`; the first of equals.
    static func likeliest(_ scores: Tensor) throws -> [Int] {
        let best = try scores.argumentOfMax(-1)
        try checkFinite(scores.gathered(best.unsqueezed(-1), dimension: -1))
        return try best.elements(Int.self)
    }

    /// One token a row from processed scores `[rows, vocabularySize]`.
    ///
    /// The token is the first, by id, at which the summed probabilities pass the row's draw: small differences in scores then change
    /// it only where the draw lies within them.
    ///
    /// - Parameter draws: a number from 0 up to 1 for each row.
    static func drawn(_ scores: Tensor, _ draws: [Double]) throws -> [Int] {
        let sums = try scores.to(.float64).softmax(-1).cumulativeSum(-1)
        let total = try sums.narrowed(-1, from: scores.size(-1) - 1, length: 1)
        try checkFinite(total)
        let wanted = try Tensor(draws, shape: [draws.count, 1], on: scores.device) * total
        return try sums.lessOrEqual(wanted).to(.int64).sum([-1]).elements(Int.self).map { min($0, scores.size(-1) - 1) }
    }

    private static func checkFinite(_ numbers: Tensor) throws {
        guard try numbers.elements(Double.self).allSatisfy(\.isFinite) else {
            throw HoneError(.notFinite, "the model's scores of the next token are not finite numbers")
        }
    }
}
