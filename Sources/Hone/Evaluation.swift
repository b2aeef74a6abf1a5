import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// A specialist's answers on some examples, and the figures drawn from them.
public struct Evaluation: Sendable {
    /// Which rows: `validation`, `test`, or the name of a file.
    public var split: String
    /// The figures of a classifier.
    public var classification: ClassificationMetrics?
    /// What a classifier answered.
    public var outcomes: ClassificationOutcomes?
    /// The figures of a generator.
    public var generation: GenerationMetrics?
    /// What a generator wrote, one an example.
    public var outputs: [String] = []
    /// The loss of each example's target, in generation.
    public var tokenLosses: [TokenLoss] = []

    /// What the choice between methods goes by.
    public var scores: ValidationScores {
        if let outcomes { return .correctness(outcomes.correctness) }
        return .tokenLosses(tokenLosses)
    }

    /// The loss of each example, whatever the kind of task.
    var losses: ValidationScores {
        if let outcomes { return .losses(outcomes.losses) }
        return .tokenLosses(tokenLosses)
    }

    /// How many examples there were.
    public var count: Int { outcomes?.count ?? max(outputs.count, tokenLosses.count) }

    /// The figures under the names that scripts rely on: `accuracy`, `macro_f1`, `ece`, `loss`, `n`, or `exact_match`, `loss`,
    /// `perplexity`, `n`.
    public var json: JSON {
        var object = JSONObject()
        object["split"] = .string(split)
        if let classification {
            object["accuracy"] = classification.accuracy.json
            object["macro_f1"] = classification.macroF1.json
            object["ece"] = classification.calibration?.expectedCalibrationError.json
            object["loss"] = classification.logLoss?.json
            object["brier"] = classification.brierScore?.json
        }
        if let generation {
            object["exact_match"] = generation.exactMatch?.json
            object["loss"] = generation.loss?.json
            object["perplexity"] = generation.perplexity?.json
            object["tokens"] = .integer(generation.tokens)
        }
        object["n"] = .integer(count)
        return .object(object)
    }

    /// Measures a specialist.
    ///
    /// - Parameters:
    ///   - generates: whether a generator writes its answers, for exact match; scoring alone is much cheaper.
    ///   - seed: of the bootstrap.
    /// - Throws: `HoneError` where there are no examples, or one has no target.
    public static func measure(
        _ specialist: Specialist, on examples: [Example], split: String, generates: Bool = true, seed: UInt64 = 0
    ) throws -> Evaluation {
        guard !examples.isEmpty else { throw HoneError(.badData, "there are no rows to measure on", item: split) }
        let bootstrap = Bootstrap(seed: seed)
        var evaluation = Evaluation(split: split)
        switch specialist.adapter.task {
        case .classification(let classes):
            let labels = try examples.map { example in
                guard let label = example.label else {
                    throw HoneError(
                        .badData, "the row has no label of this task", file: example.file, line: example.line)
                }
                return label
            }
            let outcomes = try ClassificationOutcomes(
                labels: labels, probabilities: specialist.probabilities(examples), classCount: classes)
            evaluation.outcomes = outcomes
            evaluation.classification = ClassificationMetrics(outcomes, bootstrap: bootstrap)
        case .generation:
            let rows = try examples.map(specialist.encoder.encode)
            let losses = try specialist.targetLosses(rows)
            let encoding = specialist.adapter.encoding
            evaluation.tokenLosses = losses.map { TokenLoss(sum: $0.loss, tokens: $0.tokens) }
            if generates {
                let isMarked = encoding.marksCompletions || (encoding.usesChatTemplate && examples[0].messages != nil)
                var options = GenerationOptions()
                // No answer is longer than the longest that was asked for, end token and a little slack included.
                options.maximumNewTokens = min(256, (rows.map(\.targetCount).max() ?? 32) + 4)
                let texts = try specialist.generate(examples, options: options)
                evaluation.outputs = zip(texts, examples).map { text, example in
                    Evaluation.answer(text, like: example.completion ?? "", marked: isMarked)
                }
            }
            evaluation.generation = try GenerationMetrics(
                outputs: evaluation.outputs,
                references: evaluation.outputs.isEmpty ? [] : examples.map { [$0.completion ?? ""] },
                losses: evaluation.tokenLosses, bootstrap: bootstrap)
        }
        return evaluation
    }

    /// A model that was not taught an end token goes on after its answer: its text is cut at the first line break, unless
    /// the wanted answer has one itself.
    private static func answer(_ text: String, like wanted: String, marked: Bool) -> String {
        if marked || wanted.contains("\n") { return text }
        return text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
            ?? text
    }

    /// The mean loss over targets and the figure that is to be high, for the curve during training.
    var point: (score: Double, loss: Double) {
        if let outcomes {
            let losses = outcomes.losses
            return (scores.mean, losses.reduce(0, +) / Double(max(1, losses.count)))
        }
        return (-scores.mean, scores.mean)
    }
}
