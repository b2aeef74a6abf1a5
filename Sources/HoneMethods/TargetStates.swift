import HoneModels
import HoneTorch

extension Transformer {
    /// The states that predict the targets of some rows, `[targets, width]`, and what they predict.
    ///
    /// A decoder alone predicts each completion's tokens from all that stands before them; an encoder-decoder reads the prompts
    /// in its encoder, and its decoder predicts them from its start token on.
    ///
    /// - Parameter padId: what fills shorter rows; no state depends on it.
    public func targetStates(_ rows: [EncodedExample], padId: Int) throws -> (states: Tensor, targets: TargetPositions)
    {
        let inputs = try TokenBatch(rows.map(\.ids), padId: padId, on: device)
        let states: Tensor
        let targets: TargetPositions
        if let decoder = configuration.decoder {
            let outputs = rows.map { [decoder.startId] + ($0.answer ?? []).dropLast() }
            let batch = try TokenBatch(outputs, padId: padId, on: device)
            states = try self.states(batch, memory: memory(of: inputs))
            targets = try TargetPositions(decoded: rows, length: batch.length, on: device)
        } else {
            states = try self.states(inputs)
            targets = try TargetPositions(rows, length: inputs.length, on: device)
        }
        return (try states.reshaped([-1, states.size(-1)]).selecting(targets.positions), targets)
    }
}

/// Where, in a right-padded batch, states predict target tokens: logits are formed there and nowhere else.
public struct TargetPositions {
    /// Positions of predicting states in the flattened batch, `[targets]`.
    public let positions: Tensor
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
        self.positions = try Tensor(positions, on: device)
        self.ids = try Tensor(ids, on: device)
        self.rows = rows
    }

    /// The targets of rows that a decoder writes from its start token on, padded to a length.
    init(decoded examples: [EncodedExample], length: Int, on device: Device) throws {
        let targets = examples.map { $0.answer ?? [] }
        positions = try Tensor(
            targets.enumerated().flatMap { row, ids in ids.indices.map { row * length + $0 } }, on: device)
        ids = try Tensor(targets.flatMap { $0 }, on: device)
        rows = targets.enumerated().flatMap { row, ids in ids.map { _ in row } }
    }
}
