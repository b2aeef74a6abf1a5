import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// How much an adaptation changes what the base model does on text that has nothing to do with the task.
///
/// Of an encoder: by how much the cosine similarity of a pair of the texts changes, as the mean size over all pairs; 0 where all
/// stayed as similar as they were. Of a decoder: by how much the loss per token of the texts rises.
struct Forgetting {
    private let model: BaseModel
    private let rows: [EncodedExample]
    private let before: [Double]

    /// Measures the base on some texts.
    ///
    /// - Throws: `HoneError` where there are too few texts.
    init(texts: [String], model: BaseModel, maximumLength: Int) throws {
        self.model = model
        let encoder = try ExampleEncoder(
            model, options: .init(maximumLength: min(maximumLength, model.maximumLength), marksCompletions: false))
        let generates = model.configuration.hasLanguageHead
        rows = try texts.enumerated().map { place, text in
            let input: Example.Input = generates ? .prompt("") : .text(text)
            let target: Example.Target = generates ? .completion(text) : .label(0)
            return try encoder.encode(
                Example(index: place, file: "", line: place + 1, input: input, target: target))
        }
        guard rows.count >= 3 else {
            throw HoneError(.badData, "at least three texts are needed to see what is forgotten", item: "--untouched")
        }
        let bare = try Adapter.bare(task: generates ? .generation : .classification(classes: 2))
        before = try Forgetting.behaviour(of: Specialist(base: model, adapter: bare), rows)
    }

    /// By how much an adapted model's behaviour differs from the base's.
    func measure(_ specialist: Specialist) throws -> Double {
        let after = try Forgetting.behaviour(of: specialist, rows)
        if model.configuration.hasLanguageHead { return (after.first ?? .nan) - (before.first ?? .nan) }
        return zip(before, after).reduce(0) { $0 + abs($1.0 - $1.1) } / Double(max(1, before.count))
    }

    /// The similarities of all pairs, or the loss per token.
    private static func behaviour(of specialist: Specialist, _ rows: [EncodedExample]) throws -> [Double] {
        if specialist.base.configuration.hasLanguageHead {
            let losses = try specialist.targetLosses(rows)
            let tokens = losses.reduce(0) { $0 + $1.tokens }
            return [losses.reduce(0) { $0 + $1.loss } / Double(max(1, tokens))]
        }
        let directions = try ClassificationHead.normalised(specialist.features(rows))
        let products = try directions.matmul(directions.transpose(0, 1)).elements(Double.self)
        return rows.indices.flatMap { first in
            (first + 1..<rows.count).map { products[first * rows.count + $0] }
        }
    }
}
