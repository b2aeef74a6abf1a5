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
    /// The figures of each task, where the examples are of several.
    public var tasks: [TaskFigures] = []

    /// What was measured on the examples of one task.
    public struct TaskFigures: Hashable, Sendable {
        /// The task's name.
        public var task: String
        /// How many examples it has.
        public var count: Int
        /// The share of them that a classifier got right.
        public var accuracy: Double?
        /// The mean loss over targets: of tokens, in generation.
        public var loss: Double
    }

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
        if !tasks.isEmpty {
            var all = JSONObject()
            for figures in tasks {
                var own = JSONObject()
                own["accuracy"] = figures.accuracy.map { .number($0) }
                own["loss"] = .number(figures.loss)
                own["n"] = .integer(figures.count)
                all[figures.task] = .object(own)
            }
            object["tasks"] = .object(all)
        }
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
        evaluation.tasks = evaluation.figures(byTask: examples)
        return evaluation
    }

    private func figures(byTask examples: [Example]) -> [TaskFigures] {
        var rows: [String: [Int]] = [:]
        for (place, example) in examples.enumerated() { rows[example.task ?? "", default: []].append(place) }
        guard rows.count > 1 else { return [] }
        let exampleLosses = outcomes?.losses
        return rows.keys.sorted().map { task in
            let own = rows[task] ?? []
            let correct = outcomes.map { outcomes in own.count { outcomes.correctness[$0] } }
            let sum = own.reduce(0) { $0 + (exampleLosses?[$1] ?? tokenLosses[$1].sum) }
            let targets = exampleLosses != nil ? own.count : own.reduce(0) { $0 + tokenLosses[$1].tokens }
            return TaskFigures(
                task: task, count: own.count, accuracy: correct.map { Double($0) / Double(own.count) },
                loss: sum / Double(max(1, targets)))
        }
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
