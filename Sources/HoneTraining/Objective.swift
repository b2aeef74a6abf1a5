import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch

/// What training minimises: the summed cross-entropy of target tokens, or of classes.
struct Objective {
    let model: BaseModel
    let task: TaskShape
    let method: any Method

    /// The summed loss of some rows, over what is attached for this step.
    ///
    /// - Parameter trunk: the states with which the rows enter a layer, where they are known.
    func loss(
        _ rows: [EncodedExample], parameters: ParameterSet, dropout: DropoutSource?, trunk: TrunkStates? = nil
    ) throws -> Tensor {
        let attachments = try method.attachments(
            parameters, model: model.transformer, dropout: dropout, rows: rows)
        return try losses(rows, attachments, heads: [parameters], trunk: trunk)[0]
    }

    /// The states with which rows enter a layer.
    func trunk(_ rows: [EncodedExample], _ transformer: Transformer, below layer: Int) throws -> TrunkStates {
        switch task {
        case .classification: try transformer.trunk(of: transformer.batch(rows, padId: model.padId), below: layer)
        case .generation: try transformer.targetTrunk(rows, padId: model.padId, below: layer)
        }
    }

    /// The summed losses of the same rows under several sets of parameters, in one forward pass.
    ///
    /// - Parameter dropout: one source a set, or none.
    /// - Throws: `HoneError` with code `.unsupported` where the method's attachments cannot differ from row to row.
    func losses(_ rows: [EncodedExample], parameters: [ParameterSet], dropout: [DropoutSource]) throws -> [Tensor] {
        let groups = try parameters.enumerated().map { place, own in
            let source = dropout.indices.contains(place) ? dropout[place] : nil
            return try (
                rows.count, method.attachments(own, model: model.transformer, dropout: source, rows: rows)
            )
        }
        let repeated = Array(repeating: rows, count: parameters.count).flatMap { $0 }
        return try losses(repeated, .byRows(groups), heads: parameters)
    }

    /// The summed losses of equal groups of rows, each with the head that its parameters hold.
    private func losses(
        _ rows: [EncodedExample], _ attachments: Attachments, heads: [ParameterSet], trunk: TrunkStates? = nil
    ) throws -> [Tensor] {
        let transformer = try model.transformer.attaching(attachments)
        // A method that has come to act on lower layers cannot go on from what was there before.
        let known = trunk.flatMap { $0.layer <= transformer.untouchedLayers ? $0 : nil }
        func part(_ tensor: Tensor, _ group: Int) throws -> Tensor {
            let own = tensor.size(0) / heads.count
            return heads.count == 1 ? tensor : try tensor.narrowed(0, from: group * own, length: own)
        }
        switch task {
        case .classification:
            let batch = try transformer.batch(rows, padId: model.padId).entering(known)
            let states = try transformer.states(batch)
            let pooled = try model.pooled(states, of: batch)
            let labels = try Tensor(rows.map { $0.label ?? -100 }, on: transformer.device)
            return try heads.enumerated().map { group, parameters in
                try ClassificationHead.logits(part(pooled, group), parameters).crossEntropySum(part(labels, group))
            }
        case .generation:
            let (states, targets) = try transformer.targetStates(rows, padId: model.padId, trunk: known)
            return try heads.indices.map {
                try transformer.targetLoss(part(states, $0), targets: part(targets.ids, $0))
            }
        }
    }
}
