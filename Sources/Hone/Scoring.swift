import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneText
import HoneTorch

/// How likely a model finds continuations after contexts: the choices of questions, or completions.
///
/// The tokens of a continuation are those by which the text of both together is longer than the context's own, and spaces at the
/// context's end count as the continuation's: the rule of EleutherAI's lm-evaluation-harness. A specialist of a run takes prompt and
/// completion as it was trained on them. What contexts have in common from their beginning is computed once.
public struct Scoring: Sendable {
    /// What can be chosen.
    public struct Options: Hashable, Sendable {
        /// Text before every context, such as worked examples.
        public var preamble = ""
        /// Text between a context and what follows it.
        public var delimiter = ""
        /// The seed of the bootstrap.
        public var seed: UInt64 = 0

        /// Nothing before, nothing between.
        public init() {}
    }

    /// The rows.
    public let rows: [ScoringRow]
    /// The score of each row's continuations, in their order.
    public let scores: [[TargetScore]]
    /// The figures of the rows with choices and a known answer.
    public let choices: ChoiceMetrics?
    /// The figures of the rows with a completion.
    public let completions: LogLikelihoodMetrics?
    /// How many contexts lost their beginning because they were too long.
    public let truncated: Int

    /// Scores rows.
    ///
    /// - Throws: `HoneError` for a model that does not generate, or a row whose continuation is longer than the model reaches.
    public init(of rows: [ScoringRow], by named: NamedModel, options: Options = Options()) throws {
        let reader = try ScoringReader(named, options: options)
        let (examples, truncated) = try reader.examples(rows)
        let found = try named.transformer.targetScores(examples, padId: named.base.padId)
        var next = 0
        let scores = rows.map { row in
            defer { next += row.continuations.count }
            return Array(found[next..<next + row.continuations.count])
        }
        let bootstrap = Bootstrap(seed: options.seed)
        self.rows = rows
        self.scores = scores
        self.truncated = truncated
        choices = try ChoiceMetrics(zip(rows, scores).compactMap(Scoring.question), bootstrap: bootstrap)
        let completed = zip(rows, scores).filter { !$0.0.isChoice }
        completions =
            completed.isEmpty
            ? nil
            : try LogLikelihoodMetrics(
                logLikelihoods: completed.map { $0.1[0].logLikelihood }, tokens: completed.map { $0.1[0].tokens },
                bytes: completed.map { $0.0.continuations[0].utf8.count }, bootstrap: bootstrap)
    }

    private static func question(_ row: ScoringRow, _ scores: [TargetScore]) -> ScoredChoices? {
        guard row.isChoice else { return nil }
        return ScoredChoices(
            logLikelihoods: scores.map(\.logLikelihood), lengths: row.continuations.map(\.unicodeScalars.count),
            answer: row.answer)
    }

    /// The figures: `accuracy`, `accuracy_by_length`, `log_likelihood` of right choices; `log_likelihood_per_token`, `bits_per_byte`
    /// of completions; `n`.
    public var figures: JSON {
        var object = JSONObject()
        if let choices {
            object["accuracy"] = choices.accuracy.json
            object["accuracy_by_length"] = choices.accuracyByLength.json
            object["log_likelihood"] = choices.logLikelihood.json
        }
        if let completions {
            object["log_likelihood_per_token"] = completions.perToken.json
            object["bits_per_byte"] = completions.bitsPerByte?.json
        }
        object["n"] = .integer(rows.count)
        return .object(object)
    }

    /// The figures, and for each row under `rows` the log-likelihood, the number of tokens and whether it is what the model would
    /// say, of every continuation.
    public var json: JSON {
        var object = figures.object ?? JSONObject()
        object["rows"] = .array(
            zip(rows, scores).map { row, scores in
                var item = JSONObject()
                item["scores"] = .array(
                    scores.map {
                        [
                            "log_likelihood": .number($0.logLikelihood), "tokens": .integer($0.tokens),
                            "greedy": .bool($0.isGreedy),
                        ]
                    })
                if let question = Scoring.question(row, scores) {
                    item["predicted"] = .integer(question.predicted)
                    item["predicted_by_length"] = .integer(question.predictedByLength)
                    item["answer"] = row.answer.map { .integer($0) }
                }
                return .object(item)
            })
        return .object(object)
    }
}

/// Turns contexts and continuations into tokens.
private struct ScoringReader {
    let named: NamedModel
    let options: Scoring.Options
    /// The token that stands in for an empty context.
    private let startId: Int?

    init(_ named: NamedModel, options: Scoring.Options) throws {
        if let run = named.run, run.specialist.adapter.task != .generation {
            throw HoneError(.mismatch, "this run classifies; `hone eval` measures it", file: named.path)
        }
        guard named.transformer.configuration.hasLanguageHead else {
            throw HoneError(
                .mismatch, "this model is an encoder: it gives texts no likelihood; name a decoder", file: named.path)
        }
        self.named = named
        self.options = options
        let tokenizer = try named.base.tokenizer
        startId = tokenizer.bosId ?? tokenizer.eosId
    }

    /// One example a continuation, and how many contexts were cut at their beginning.
    func examples(_ rows: [ScoringRow]) throws -> ([EncodedExample], truncated: Int) {
        if let run = named.run { return (try rows.flatMap { try trained($0, run.specialist.encoder) }, 0) }
        // All at once, so that they are tokenised in parallel.
        let pairs = rows.map { row in parts(row) }
        let tokenizer = try named.base.tokenizer
        let contexts = tokenizer.encode(pairs.map(\.context))
        let separates = named.base.configuration.decoder != nil
        let texts = pairs.flatMap { pair in
            pair.continuations.map { separates || pair.context.isEmpty ? $0 : pair.context + $0 }
        }
        let whole = tokenizer.encode(texts, addSpecialTokens: !separates)
        var (examples, next, truncated): ([EncodedExample], Int, Int) = ([], 0, 0)
        for ((row, pair), context) in zip(zip(rows, pairs), contexts) {
            for continuation in pair.continuations {
                defer { next += 1 }
                var before = context
                var after = whole[next]
                if !separates, !pair.context.isEmpty {
                    after = Array(after.dropFirst(before.count))
                    if after.isEmpty { after = tokenizer.encode(continuation, addSpecialTokens: false) }
                } else if pair.context.isEmpty {
                    after = tokenizer.encode(continuation, addSpecialTokens: false)
                    guard let startId else {
                        throw problem("the context is empty, and the tokenizer has no start token", row)
                    }
                    before = [startId]
                }
                guard !after.isEmpty else { throw problem("a continuation has no tokens", row) }
                // The last token is predicted and not read.
                let room = named.base.maximumLength + 1 - (separates ? 1 : after.count)
                guard room >= 1, after.count <= named.base.maximumLength else {
                    throw problem(
                        "a continuation has \(after.count) tokens, the model \(named.base.maximumLength) positions", row
                    )
                }
                if before.count > room {
                    truncated += 1
                    before = Array(before.suffix(room))
                }
                examples.append(.completing(before, with: after, separates: separates))
            }
        }
        return (examples, truncated)
    }

    /// The context with what stands before it, and what follows; spaces at its end belong to what follows.
    private func parts(_ row: ScoringRow) -> (context: String, continuations: [String]) {
        var context = Substring(options.preamble + row.context)
        while context.last?.isWhitespace == true { context.removeLast() }
        let spaces = (options.preamble + row.context).dropFirst(context.count)
        // White space alone is no context that tokens could be counted of.
        let moved = spaces + options.delimiter
        return (String(context), row.continuations.map { moved + $0 })
    }

    private func trained(_ row: ScoringRow, _ encoder: ExampleEncoder) throws -> [EncodedExample] {
        try row.continuations.map { continuation in
            let example = try encoder.encode(
                Example(
                    index: 0, file: row.file, line: row.line, input: .prompt(options.preamble + row.context),
                    target: .completion(options.delimiter + continuation)))
            guard !example.isTruncated, example.targetCount > 0 else {
                throw problem(
                    "has more than the \(encoder.options.maximumLength) tokens that the run was trained with", row)
            }
            return example
        }
    }

    private func problem(_ message: String, _ row: ScoringRow) -> HoneError {
        HoneError(.badData, message, file: row.file.isEmpty ? nil : row.file, line: row.line > 0 ? row.line : nil)
    }
}
