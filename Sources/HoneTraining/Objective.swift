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
    func loss(_ rows: [EncodedExample], parameters: ParameterSet, dropout: DropoutSource?) throws -> Tensor {
        let attachments = try method.attachments(parameters, model: model.transformer, dropout: dropout)
        let transformer = try model.transformer.attaching(attachments)
        switch task {
        case .classification:
            let batch = try transformer.batch(rows, padId: model.padId)
            let states = try transformer.states(batch)
            let logits = try ClassificationHead.logits(model.pooled(states, of: batch), parameters)
            return try logits.crossEntropySum(Tensor(rows.map { $0.label ?? -100 }, on: transformer.device))
        case .generation:
            let (states, targets) = try transformer.targetStates(rows, padId: model.padId)
            return try transformer.targetLoss(states, targets: targets.ids)
        }
    }
}
