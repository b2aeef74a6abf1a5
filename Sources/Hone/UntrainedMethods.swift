import HoneMethods
import HoneModels
import HoneTasks
import HoneTraining

extension Adapter {
    /// What a method that takes no steps makes of training rows: it chooses worked examples, or reads tensors from the model.
    ///
    /// - Parameters:
    ///   - examples: the rows as tokens; `source` are the same as they were read.
    ///   - validate: measures parameters, for methods that choose among some.
    /// - Throws: `CancellationError` where `shouldStop` said so; `HoneError` where the rows do not suit the method.
    func untrained(
        on model: BaseModel, examples: [EncodedExample], source: [Example], plan: TrainingPlan,
        validate: ((ParameterSet, _ step: Int) throws -> ValidationPoint)?, shouldStop: () -> Bool = { false },
        report: (TrainingEvent) throws -> Void = { _ in }
    ) throws -> Adapter {
        var adapter = self
        if let chooser = method as? InContextExamples {
            adapter.demonstrations = chooser.choose(from: source, labels: labels)
        }
        if method.hasStages {
            let reader = try Trainer(
                model: model, adapter: self, examples: examples, source: source, plan: plan, validate: validate)
            adapter.parameters = try reader.readParameters(shouldStop: shouldStop, report: report)
        }
        return adapter
    }

    /// What validation rows say of this adapter with other parameters; `nil` without rows.
    func validation(on model: BaseModel, rows: [Example], seed: UInt64) -> (
        (ParameterSet, _ step: Int) throws -> ValidationPoint
    )? {
        guard !rows.isEmpty else { return nil }
        return { parameters, step in
            var candidate = self
            candidate.parameters = parameters
            let point = try Evaluation.measure(
                Specialist(base: model, adapter: candidate), on: rows, split: "validation", generates: false, seed: seed
            ).point
            return ValidationPoint(step: step, score: point.score, loss: point.loss)
        }
    }
}
