import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// A fine-tuned model beside its base: what a graft is made of.
public struct GraftSource {
    /// The base.
    public let base: BaseModel
    /// The fine-tuned weights that differ, by name.
    public let weights: [String: Tensor]
    /// The head of a classifier; empty where there is none.
    public let head: ParameterSet
    /// The names of the classes.
    public let labels: [String]
    /// How examples are turned into tokens.
    public let encoding: ExampleEncoder.Options
    /// How rows are read, where the fine-tuned model says so.
    public let definition: TaskDefinition
    /// What a person should know.
    public let warnings: [String]

    /// Opens both.
    ///
    /// - Parameters:
    ///   - base: the base model's folder or name; of a run, its own base where it is left out.
    ///   - finetuned: a run folder, of any method that can be folded into weights, or a model folder.
    /// - Throws: `HoneError` with code `.mismatch` where the two are different models.
    public init(base: String?, finetuned: String, maximumLength: Int, hub: HubClient? = nil) throws {
        var warnings: [String] = []
        if FileStatus.exists(finetuned + "/run.json") || OpenedAdapter.isAdapter(finetuned) {
            let run = try SavedRun(path: finetuned, model: base, hub: hub)
            let adapter = run.specialist.adapter
            self.base = run.specialist.base
            guard
                let merged = try adapter.method.mergedWeights(
                    adapter.parameters, model: run.specialist.base.transformer)
            else {
                throw HoneError(
                    .mismatch, "what this method learns cannot be folded into weights, so there is nothing to graft",
                    file: finetuned, item: adapter.method.name)
            }
            weights = merged
            var head = ParameterSet()
            for parameter in adapter.parameters.all where parameter.group == .head {
                head.set(parameter.name, parameter.tensor, group: .head)
            }
            self.head = head
            labels = adapter.labels
            encoding = adapter.encoding
            definition = run.definition
        } else {
            guard let base else {
                throw HoneError(.usage, "is needed beside a fine-tuned model folder", item: "--base")
            }
            self.base = try BaseModel(DefaultModel.location(base, hub: hub))
            let tuned = try BaseModel(DefaultModel.location(finetuned, hub: hub))
            guard tuned.configuration == self.base.configuration else {
                throw HoneError(
                    .mismatch,
                    "the fine-tuned model and the base are different models (\(tuned.family) and "
                        + "\(self.base.family), or other sizes)", file: finetuned)
            }
            weights = tuned.transformer.weights
            (head, labels) = try ExportedHead.read(finetuned)
            encoding = .init(maximumLength: maximumLength)
            definition = TaskDefinition(labels: labels.isEmpty ? nil : labels)
        }
        let space = Set(GraftSpace(self.base.configuration).entries.map(\.name))
        var others: [String] = []
        for (name, tensor) in weights where !space.contains(name) {
            guard let own = self.base.transformer.weights[name] else { continue }
            let isSame = try withoutGradients {
                try tensor.shape == own.shape && tensor.to(.float32).equal(own.to(.float32)).all().item() == 1
            }
            if !isSame { others.append(name) }
        }
        if let first = others.min() {
            warnings.append(
                "fine-tuning has also changed \(others.count) weights outside the layers (\(first), …); the graft leaves "
                    + "them as the base has them")
        }
        self.warnings = warnings
    }

    /// The fine-tuned layers as one vector.
    public func after(_ space: GraftSpace) throws -> Tensor {
        try space.joined { name in
            guard let weight = weights[name] ?? base.transformer.weights[name] else {
                throw HoneError(.mismatch, "the base model has no such weight", item: name)
            }
            return weight
        }
    }
}
