import HoneModels
import HoneTorch

extension Transformer {
    /// The states that predict the targets of some rows, `[targets, width]`, and what they predict.
    ///
    /// A decoder alone predicts each completion's tokens from all that stands before them; an encoder-decoder reads the prompts
    /// in its encoder, and its decoder predicts them from its start token on. What rows have in common from their beginning is
    /// computed once where that is exact, and its gradient is the sum over the rows.
    ///
    /// - Parameters:
    ///   - padId: what fills shorter rows; no state depends on it.
    ///   - trunk: the states of `targetTrunk` for these rows, where they are known.
    public func targetStates(_ rows: [EncodedExample], padId: Int, trunk: TrunkStates? = nil) throws -> (
        states: Tensor, targets: TargetPositions
    ) {
        let (states, indices, targets) = try distinctTargetStates(rows, padId: padId, trunk: trunk)
        let all = indices.count == states.size(0) ? states : try states.selecting(Tensor(indices, on: device))
        return (all, targets)
    }

    /// The states that predict targets, each once, and the index of each target's.
    func distinctTargetStates(_ rows: [EncodedExample], padId: Int, trunk: TrunkStates? = nil) throws -> (
        states: Tensor, indices: [Int], targets: TargetPositions
    ) {
        guard let decoder = configuration.decoder else {
            let batch = try TokenBatch(rows.map(\.predictors), padId: padId, on: device).entering(trunk)
                .endingPrompts(at: rows.map(\.promptEnd))
            let targets = try TargetPositions(rows, length: batch.length, on: device)
            let (states, indices) = try distinctStates(batch, at: targets.positions)
            return (states, indices, targets)
        }
        let batch = try TokenBatch(
            rows.map { [decoder.startId] + ($0.answer ?? []).dropLast() }, padId: padId, on: device)
        let targets = try TargetPositions(decoded: rows, length: batch.length, on: device)
        // Several answers to one input, as in scoring, need its memory once.
        var known: [[Int]: Int] = [:]
        var inputs: [[Int]] = []
        let own = rows.map { row in
            if let index = known[row.ids], !attachments.looksAtRows { return index }
            known[row.ids] = inputs.count
            inputs.append(row.ids)
            return inputs.count - 1
        }
        var memory = try self.memory(of: TokenBatch(inputs, padId: padId, on: device))
        if inputs.count < rows.count { memory = try memory.selecting(RowSelection(own)) }
        let (states, indices) = try distinctStates(batch, memory: memory, at: targets.positions)
        return (states, indices, targets)
    }
}

extension Transformer {
    /// The states with which rows enter a layer, of the tokens that predict their targets.
    public func targetTrunk(_ rows: [EncodedExample], padId: Int, below layer: Int) throws -> TrunkStates {
        try trunk(
            of: TokenBatch(rows.map(\.predictors), padId: padId, on: device).endingPrompts(at: rows.map(\.promptEnd)),
            below: layer)
    }
}

extension EncodedExample {
    /// Which of the predictors is the last token of the prompt: what stands before the first target, or the last where there is
    /// none.
    var promptEnd: Int { max(1, min(targets.first?.lowerBound ?? ids.count, predictors.count)) - 1 }

    /// The tokens that a target's prediction depends on: what stands before the last target. At least one, since a row needs some.
    var predictors: [Int] { Array(ids.prefix(max(1, (targets.last?.upperBound ?? 1) - 1))) }
}

/// Where, in a right-padded batch, states predict target tokens: logits are formed there and nowhere else.
public struct TargetPositions {
    /// Positions of predicting states in the flattened batch, one a target.
    public let positions: [Int]
    /// The tokens to be predicted, `[targets]`.
    public let ids: Tensor
    /// Which row each target belongs to.
    public let rows: [Int]
    /// How many targets there are.
    public var count: Int { rows.count }

    /// The targets of rows padded to a length.
    public init(_ examples: [EncodedExample], length: Int, on device: Device) throws {
        var positions: [Int] = []
        var ids: [Int] = []
        var rows: [Int] = []
        for (row, example) in examples.enumerated() {
            for place in example.targets.joined() {
                positions.append(row * length + place - 1)
                ids.append(example.ids[place])
                rows.append(row)
            }
        }
        self.positions = positions
        self.ids = try Tensor(ids, on: device)
        self.rows = rows
    }

    /// The targets of rows that a decoder writes from its start token on, padded to a length.
    init(decoded examples: [EncodedExample], length: Int, on device: Device) throws {
        let targets = examples.map { $0.answer ?? [] }
        positions = targets.enumerated().flatMap { row, ids in ids.indices.map { row * length + $0 } }
        ids = try Tensor(targets.flatMap { $0 }, on: device)
        rows = targets.enumerated().flatMap { row, ids in ids.map { _ in row } }
    }
}
