import HoneTorch

/// The states with which rows enter a layer: what everything below it makes of their tokens.
///
/// Where nothing below a layer is trained or changed, they are the same in every epoch and need not be computed again.
public struct TrunkStates {
    /// The layer that they enter.
    public let layer: Int
    /// One a row, `[length, width]`.
    public let rows: [Tensor]

    /// States of rows.
    public init(layer: Int, rows: [Tensor]) {
        self.layer = layer
        self.rows = rows
    }
}

extension Transformer {
    /// The states with which the rows of a batch enter a layer.
    ///
    /// - Parameter layer: at most `untouchedLayers`.
    public func trunk(of batch: TokenBatch, below layer: Int) throws -> TrunkStates {
        precondition(layer <= untouchedLayers, "something is attached below the layer")
        return try withoutGradients {
            let (states, packing) = try stack.run(batch, memory: nil, cache: nil, upTo: layer)
            let flat = try states.reshaped([-1, states.size(-1)])
            let rows = try batch.lengths.enumerated().map { row, count in
                let places = (0..<count).map { row * batch.length + $0 }
                return try flat.selecting(Tensor(packing?.slots(of: places) ?? places, on: states.device))
            }
            return TrunkStates(layer: layer, rows: rows)
        }
    }

    /// How many layers, counted from the first, have nothing attached to them, to what is below them, or to a single row of
    /// a batch.
    public var untouchedLayers: Int {
        guard configuration.decoder == nil, !attachments.standsBeforeRows, !attachments.looksAtRows else { return 0 }
        let names = [Array(attachments.weights.keys), Array(attachments.linear.keys), Array(attachments.states.keys)]
        let layers = names.joined().map { name -> Int in
            let parts = name.split(separator: ".")
            if parts.first == "layers", parts.count > 1, let index = Int(parts[1]) { return index }
            return ["norm", "states", "head"].contains(parts.first) ? configuration.layerCount : 0
        }
        return layers.min() ?? configuration.layerCount
    }
}

extension Packing {
    /// Known states of rows as those of the packed tokens, `[1, tokens, width]`.
    func packed(_ rows: [Tensor]) throws -> Tensor {
        let all = try Tensor.concatenated(rows)
        return try (origins.map { try all.selecting(Tensor($0, on: all.device)) } ?? all).unsqueezed(0)
    }
}
