import HoneModels
import HoneTorch

/// How likely a model finds the targets of a row.
public struct TargetScore: Hashable, Sendable {
    /// The sum over the targets, in nats.
    public var logLikelihood = 0.0
    /// How many targets there are.
    public var tokens = 0
    /// Whether each target is the likeliest token at its place.
    public var isGreedy = true

    /// A score of no targets.
    public init() {}
}

extension Transformer {
    /// How likely the targets of rows are, in the order of the rows.
    ///
    /// What rows have in common from their beginning (an instruction, shots, the prompt of several choices) is computed once
    /// among those that are computed together, and rows are put together by what they begin with; see `distinctStates`. States
    /// that predict several rows' targets get their logits once, so that choices of one token cost one pass over the prompt.
    ///
    /// - Parameters:
    ///   - padId: what fills shorter rows; no state depends on it.
    ///   - tokens: about how many different tokens are computed together.
    public func targetScores(_ rows: [EncodedExample], padId: Int, tokensAtOnce tokens: Int = 4096) throws
        -> [TargetScore]
    {
        try withoutGradients {
            var scores = rows.map { _ in TargetScore() }
            let batches =
                sharesPrefixes
                ? PrefixBatches.batches(rows.map(\.predictors), tokens: tokens)
                : Specialist.batches(rows.map(\.length), tokens: tokens)
            for indices in batches {
                let found = try targetScores(inOneBatch: indices.map { rows[$0] }, padId: padId)
                for (index, score) in zip(indices, found) { scores[index] = score }
            }
            return scores
        }
    }

    /// The same of rows that are computed together, in this order.
    func targetScores(inOneBatch rows: [EncodedExample], padId: Int) throws -> [TargetScore] {
        try withoutGradients {
            var scores = rows.map { _ in TargetScore() }
            guard rows.contains(where: { $0.targetCount > 0 }) else { return scores }
            let (states, places, targets) = try distinctTargetStates(rows, padId: padId)
            let found = try logLikelihoods(states, places: places, targets: targets.ids.elements(Int.self))
            for (row, (logLikelihood, isBest)) in zip(targets.rows, found) {
                scores[row].logLikelihood += logLikelihood
                scores[row].tokens += 1
                scores[row].isGreedy = scores[row].isGreedy && isBest
            }
            return scores
        }
    }

    /// The log-likelihood of each target token at its state, and whether none is likelier.
    private func logLikelihoods(_ states: Tensor, places: [Int], targets: [Int]) throws -> [(Double, Bool)] {
        /// Logits are formed for so many states at a time.
        let chunk = 128
        var found = targets.map { _ in (0.0, false) }
        var byChunk: [Int: [Int]] = [:]
        for (target, place) in places.enumerated() { byChunk[place / chunk, default: []].append(target) }
        for (number, own) in byChunk {
            let start = number * chunk
            let logits = try logits(
                states.narrowed(0, from: start, length: min(chunk, states.size(0) - start))
            ).to(.float32)
            let classes = logits.size(1)
            let masses = try logits.logSumExp(1).elements(Double.self)
            let most = try logits.max(1).elements(Double.self)
            let chosen = try logits.reshaped([-1])
                .selecting(Tensor(own.map { (places[$0] - start) * classes + targets[$0] }, on: device))
                .elements(Double.self)
            for (target, logit) in zip(own, chosen) {
                let row = places[target] - start
                found[target] = (logit - masses[row], logit >= most[row])
            }
        }
        return found
    }
}

/// Rows put together by what they begin with.
enum PrefixBatches {
    /// Groups of rows with at most so many different tokens each, unless a single row has more; rows that begin alike stand
    /// together.
    static func batches(_ rows: [[Int]], tokens: Int) -> [[Int]] {
        let order = rows.indices.sorted { first, second in
            rows[first] == rows[second] ? first < second : rows[first].lexicographicallyPrecedes(rows[second])
        }
        var batches: [[Int]] = []
        var current: [Int] = []
        var held = 0
        for row in order {
            let common = current.last.map { zip(rows[$0], rows[row]).prefix { $0 == $1 }.count } ?? 0
            if !current.isEmpty, held + rows[row].count - common > tokens {
                batches.append(current)
                current = []
                held = rows[row].count
            } else {
                held += rows[row].count - common
            }
            current.append(row)
        }
        if !current.isEmpty { batches.append(current) }
        return batches
    }
}
