import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// What one model answers to rows that have a few possible answers: the classes of a head, or label words that a generator goes
/// on with.
public struct GraftMeasures {
    private let base: BaseModel
    private let head: ParameterSet
    private let labels: [String]
    private let encoding: ExampleEncoder.Options
    private let examples: [Example]

    /// Measures on some rows.
    ///
    /// - Parameters:
    ///   - head: a classifier's head; empty for a generator.
    ///   - labels: the classes, or the label words: completions of one token each, as the rows have them.
    /// - Throws: `HoneError` with code `.mismatch` for a label word that is not one token, or a row whose answer is none of them.
    public init(
        _ base: BaseModel, head: ParameterSet, labels: [String], encoding: ExampleEncoder.Options, examples: [Example]
    ) throws {
        self.base = base
        self.head = head
        self.labels = labels
        self.encoding = encoding
        self.examples = examples
        guard !examples.isEmpty else { throw HoneError(.badData, "there are no rows to measure on") }
        guard labels.count >= 2 else {
            throw HoneError(
                .badData, "a graft is measured by at least two classes or label words; there are \(labels.count)")
        }
        guard head.all.isEmpty else { return }
        let encoder = try ExampleEncoder(base, options: encoding)
        for label in labels {
            var row = examples[0]
            row.target = .completion(label)
            let count = try encoder.encode(row).targetCount
            guard count == 1 else {
                throw HoneError(
                    .mismatch, "is \(count) tokens of this model; a label word has to be one", item: "label `\(label)`")
            }
        }
    }

    /// The label words of a generation task: its different completions, in the order of their first rows.
    public static func labelWords(_ examples: [Example]) -> [String] {
        var seen: Set<String> = []
        return examples.compactMap(\.completion).filter { seen.insert($0).inserted }
    }

    private func right(_ example: Example) throws -> Int {
        if let label = example.label { return label }
        guard let completion = example.completion, let place = labels.firstIndex(of: completion) else {
            throw HoneError(
                .badData, "the row's answer is none of the labels", file: example.file, line: example.line)
        }
        return place
    }

    /// The answers of the base with some of its weights replaced.
    public func outcomes(_ weights: [String: Tensor]) throws -> ClassificationOutcomes {
        // Whole weights are attached as full fine-tuning attaches them; the head is that of the graft.
        var parameters = head
        for (name, tensor) in weights { parameters.set(name, tensor) }
        let isHeaded = !head.all.isEmpty
        let adapter = Adapter(
            method: FullFineTuning(try MethodSettings(FullFineTuning.card)),
            task: isHeaded ? .classification(classes: labels.count) : .generation, labels: labels,
            parameters: parameters, encoding: encoding)
        let specialist = try Specialist(base: base, adapter: adapter)
        let probabilities: [Float]
        if isHeaded {
            probabilities = try specialist.probabilities(examples)
        } else {
            let rows = try examples.flatMap { example in
                try labels.map { label in
                    var row = example
                    row.target = .completion(label)
                    return try specialist.encoder.encode(row)
                }
            }
            let losses = try specialist.targetLosses(rows).map { Float(-$0.loss) }
            probabilities = try withoutGradients {
                try Tensor(losses, shape: [examples.count, labels.count]).softmax(1).elements(Float.self)
            }
        }
        return try ClassificationOutcomes(
            labels: try examples.map(right), probabilities: probabilities, classCount: labels.count)
    }

    /// The figures of some answers: accuracy, macro F1, and the expected calibration error in percent over 15 equal bins.
    public static func figures(_ outcomes: ClassificationOutcomes) -> JSON {
        let right = outcomes.correctness.count { $0 }
        let bootstrap = Bootstrap(resamples: 100)
        let calibration = Calibration(
            confidences: outcomes.confidences, correctness: outcomes.correctness, bootstrap: bootstrap)
        var json = JSONObject()
        json["accuracy"] = .number(Double(right) / Double(max(1, outcomes.count)))
        json["macro_f1"] = .number(ClassificationMetrics(outcomes, bootstrap: bootstrap).macroF1.value)
        json["ece_percent"] = .number(calibration.expectedCalibrationError.value * 100)
        json["n"] = .integer(outcomes.count)
        return .object(json)
    }

    /// The share of rows to which two models give the same answer.
    public static func agreement(_ first: ClassificationOutcomes, _ second: ClassificationOutcomes) -> Double {
        let same = zip(first.predictions, second.predictions).count { $0 == $1 }
        return Double(same) / Double(max(1, first.count))
    }

    /// `(P_graft − P_base) / (P_tuned − P_base)` of the accuracies; `nil` where fine-tuning gained nothing.
    public static func relativeGain(
        base: ClassificationOutcomes, tuned: ClassificationOutcomes, graft: ClassificationOutcomes
    ) -> Double? {
        func accuracy(_ outcomes: ClassificationOutcomes) -> Double {
            Double(outcomes.correctness.count { $0 }) / Double(max(1, outcomes.count))
        }
        let gain = accuracy(tuned) - accuracy(base)
        return gain == 0 ? nil : (accuracy(graft) - accuracy(base)) / gain
    }
}
