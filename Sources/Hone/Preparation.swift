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
    /// How examples become what the model takes.
    public let encoding: ExampleEncoder.Options
    /// The training rows as tokens, or as images.
    public let train: [EncodedExample]
    /// What a person should know about data and model.
    public let warnings: [String]

    /// Encodes the training rows.
    ///
    /// - Throws: `HoneError` where the model cannot do the task, or there is nothing to learn from.
    public init(task: TaskData, model: BaseModel, encoding: ExampleEncoder.Options) throws {
        self.task = task
        self.model = model
        let hasImages = task.definition.columns.image != nil
        guard hasImages == model.readsImages else {
            throw ExampleEncoder.misfit(readsImages: model.readsImages).inFile(model.folder)
        }
        let chats = try Preparation.hasChatTemplate(task, model)
        var encoding = encoding
        encoding.usesChatTemplate = chats == true
        encoding.tasks = task.tasks
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
        let encoder = try ExampleEncoder(model, options: encoding)
        train = try task.split.train.map(encoder.encode)
        var warnings = task.warnings
        if chats == false {
            warnings.append(
                "the model's folder has no chat template: conversations are written as plain lines, “role: content”"
                    + (task.definition.columns.tools == nil ? "" : ", and their tools are left out"))
        }
        let cut = train.count { $0.isTruncated }
        if cut > 0 {
            warnings.append(
                "\(cut) of \(train.count) training rows are longer than \(encoding.maximumLength) tokens and were cut")
        }
        let lost = train.count { $0.targetCount == 0 }
        if lost > 0 { warnings.append("\(lost) training rows have no target left after cutting and teach nothing") }
        self.warnings = warnings
    }

    /// Whether the model has a chat template for the conversations of a task; `nil` where the task has none.
    private static func hasChatTemplate(_ task: TaskData, _ model: BaseModel) throws -> Bool? {
        guard task.split.train.contains(where: { $0.messages != nil }) else { return nil }
        return try model.chatFormat() != nil
    }

    /// A length that holds nearly every row: the 99th percentile of a sample, rounded up, within the model's positions.
    public static func suggestedLength(_ task: TaskData, _ model: BaseModel) throws -> Int {
        if model.readsImages { return model.maximumLength }
        let encoder = try ExampleEncoder(
            model,
            options: .init(
                maximumLength: model.maximumLength, marksCompletions: true,
                usesChatTemplate: try hasChatTemplate(task, model) == true))
        let sample = stride(from: 0, to: task.split.train.count, by: max(1, task.split.train.count / 512))
        let lengths = try sample.map { place in
            let row = try encoder.encode(task.split.train[place])
            return max(row.ids.count, row.answer?.count ?? 0)
        }.sorted()
        guard let last = lengths.last else { return 128 }
        let wanted = max(32, min(last, lengths[lengths.count * 99 / 100]) + 8)
        return min(model.maximumLength, (wanted + 15) / 16 * 16, 512)
    }
}
