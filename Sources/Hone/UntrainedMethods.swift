import HoneMethods
import HoneModels
import HoneTraining

extension Preparation {
    /// What a method that takes no steps makes of the training rows: it chooses worked examples, or reads tensors from the model.
    ///
    /// - Throws: `CancellationError` where `shouldStop` said so; `HoneError` where the rows do not suit the method.
    func untrained(
        _ initial: Adapter, plan: TrainingPlan, validate: ((ParameterSet, _ step: Int) throws -> ValidationPoint)?,
        shouldStop: () -> Bool, report: (TrainingEvent) throws -> Void
    ) throws -> Adapter {
        var adapter = initial
        if let chooser = adapter.method as? InContextExamples {
            adapter.demonstrations = chooser.choose(from: task.split.train, labels: task.labels)
        }
        if adapter.method.hasStages {
            let reader = try Trainer(
                model: model, adapter: initial, examples: train, source: task.split.train, plan: plan,
                validate: validate)
            adapter.parameters = try reader.readParameters(shouldStop: shouldStop, report: report)
        }
        return adapter
    }
}
