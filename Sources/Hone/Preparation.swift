import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// A task and a model that fit each other, ready for work: what `fit` and `train` begin with.
public struct Preparation {
    /// The rows with their split.
    public let task: TaskData
    /// The base model.
    public let model: BaseModel
    /// What methods need to know about the task.
    public let shape: TaskShape
    /// How examples become tokens.
    public let encoding: ExampleEncoder.Options
    /// The training rows as tokens.
    public let train: [EncodedExample]
    /// What a person should know about data and model.
    public let warnings: [String]

    /// Encodes the training rows.
    ///
    /// - Throws: `HoneError` where the model cannot do the task, or there is nothing to learn from.
    public init(task: TaskData, model: BaseModel, encoding: ExampleEncoder.Options) throws {
        self.task = task
        self.model = model
        self.encoding = encoding
        switch task.kind {
        case .classification:
            shape = .classification(classes: task.labels.count)
            guard task.labels.count >= 2 else {
                throw HoneError(
                    .badData, "there is only one label; a classifier needs at least two", file: task.files.first?.path)
            }
        case .generation:
            shape = .generation
            guard model.configuration.hasLanguageHead else {
                throw HoneError(
                    .mismatch,
                    "the task is to generate text, and this model is an encoder; name a decoder with --model",
                    file: model.folder)
            }
        }
        guard !task.split.train.isEmpty else {
            throw HoneError(.badData, "there are no rows to train on", file: task.files.first?.path)
        }
        let encoder = ExampleEncoder(model, options: encoding)
        train = task.split.train.map(encoder.encode)
        var warnings = task.warnings
        let cut = train.count { $0.isTruncated }
        if cut > 0 {
            warnings.append(
                "\(cut) of \(train.count) training rows are longer than \(encoding.maximumLength) tokens and were cut")
        }
        let lost = train.count { $0.targetCount == 0 }
        if lost > 0 { warnings.append("\(lost) training rows have no target left after cutting and teach nothing") }
        self.warnings = warnings
    }

    /// A length that holds nearly every row: the 99th percentile of a sample, rounded up, within the model's positions.
    public static func suggestedLength(_ task: TaskData, _ model: BaseModel) -> Int {
        let encoder = ExampleEncoder(
            model, options: .init(maximumLength: model.maximumLength, marksCompletions: true))
        let sample = stride(from: 0, to: task.split.train.count, by: max(1, task.split.train.count / 512))
        let lengths = sample.map { place in
            let row = encoder.encode(task.split.train[place])
            return max(row.ids.count, row.targets?.count ?? 0)
        }.sorted()
        guard let last = lengths.last else { return 128 }
        let wanted = max(32, min(last, lengths[lengths.count * 99 / 100]) + 8)
        return min(model.maximumLength, (wanted + 15) / 16 * 16, 512)
    }
}
