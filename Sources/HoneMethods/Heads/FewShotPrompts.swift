import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// Prompts with worked examples, drawn from the training rows: what task embeddings, function vectors and task vectors are read from.
struct FewShotPrompts {
    /// One prompt.
    struct Prompt {
        /// Its tokens, up to where the answer would begin.
        var tokens: [Int]
        /// The first token of the answer, which the prompt does not show.
        var answer: Int
    }

    private let context: TrainingContext
    private let method: String
    private let rows: [Example]

    /// Prompts from the rows of a run.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where there are no rows with prompts and answers, or fewer than a prompt needs.
    init(_ context: TrainingContext, shots: Int, for method: String) throws {
        self.context = context
        self.method = method
        rows = context.examples.filter { $0.completion != nil }
        guard rows.count > shots else {
            throw HoneError(
                .mismatch,
                "\(shots) examples and a question need \(shots + 1) rows with prompt and answer, and there are \(rows.count)",
                item: method)
        }
    }

    /// Draws prompts of some examples and a question, all of different rows.
    ///
    /// - Parameters:
    ///   - purpose: what is drawn depends on it and the run's seed.
    ///   - shuffled: whether the examples' answers are exchanged among them, so that the task cannot be read.
    /// - Throws: `HoneError` where a prompt is longer than the model's positions, or an answer has no tokens.
    func draw(_ count: Int, shots: Int, purpose: String, shuffled: Bool = false) throws -> [Prompt] {
        try (0..<count).map { number in
            var random = SeededGenerator(seed: context.seed, stream: "\(method) \(purpose) \(number)")
            var order = Array(rows.indices)
            random.shuffle(&order)
            let chosen = order.prefix(shots + 1).map { rows[$0] }
            var targets = chosen.dropLast().map { $0.completion ?? "" }
            if shuffled { random.shuffle(&targets) }
            let shown = zip(chosen, targets).map {
                Demonstration(input: InContextExamples.inputText($0.input), target: $1)
            }
            return try prompt(behind: shown, asking: chosen[chosen.count - 1])
        }
    }

    private func prompt(behind shown: [Demonstration], asking row: Example) throws -> Prompt {
        let model = context.model
        let encoder = try ExampleEncoder(
            model, options: context.encoding, preamble: InContextExamples.preamble(shown, classification: false))
        var bare = row
        bare.target = .unknown
        let tokens = try encoder.encode(bare).ids
        guard tokens.count <= model.maximumLength else {
            throw HoneError(
                .mismatch,
                "a prompt of \(shown.count) examples has \(tokens.count) tokens, and the model has \(model.maximumLength) "
                    + "positions; lower `shots`", item: method)
        }
        let whole = try encoder.encode(row)
        guard let first = whole.targets.first, whole.ids.indices.contains(first.lowerBound) else {
            throw HoneError(
                .mismatch, "the answer of line \(row.line) has no tokens", file: row.file.isEmpty ? nil : row.file,
                item: method)
        }
        return Prompt(tokens: tokens, answer: whole.ids[first.lowerBound])
    }

    /// Prompts of similar length that are computed together.
    static func batches(_ prompts: [Prompt]) -> [[Prompt]] {
        Specialist.batches(prompts.map(\.tokens.count)).map { $0.map { prompts[$0] } }
    }
}

extension Transformer {
    /// The mean states of the last tokens of some prompts at some sites: `[heads, width]` or `[width]`, `float32`, by site.
    func meanPromptEnds(_ prompts: [FewShotPrompts.Prompt], at sites: [String], padId: Int) throws -> [String: Tensor] {
        try withoutGradients {
            var sums: [String: Tensor] = [:]
            for batch in FewShotPrompts.batches(prompts) {
                let recorders = sites.map { _ in PromptEndRecorder() }
                var attachments = attachments
                for (site, recorder) in zip(sites, recorders) { attachments.states[site, default: []] += [recorder] }
                let rows = try TokenBatch(batch.map(\.tokens), padId: padId, on: device)
                _ = try attaching(attachments).states(rows)
                for (site, recorder) in zip(sites, recorders) {
                    for state in recorder.states {
                        let sum = try state.to(.float32).sum([0])
                        sums[site] = try sums[site].map { try $0 + sum } ?? sum
                    }
                }
            }
            return try sums.mapValues { try $0 / Double(prompts.count) }
        }
    }

    /// The mean probability of prompts' answers with something attached besides.
    func meanAnswerProbability(_ prompts: [FewShotPrompts.Prompt], padId: Int) throws -> Double {
        try withoutGradients {
            var sum = 0.0
            for batch in FewShotPrompts.batches(prompts) {
                let rows = try TokenBatch(batch.map(\.tokens), padId: padId, on: device)
                let last = batch.enumerated().map { $0.offset * rows.length + $0.element.tokens.count - 1 }
                let answers = try Tensor(batch.map(\.answer), shape: [batch.count, 1], on: device)
                let shares = try logits(states(rows, at: last)).to(.float32).softmax(-1)
                sum += try shares.gathered(answers, dimension: 1).sum().item()
            }
            return sum / Double(prompts.count)
        }
    }
}

/// What methods that act on the last token of a prompt need of model and task.
func checkPromptEnds(_ model: TransformerConfiguration, _ task: TaskShape, method: String) throws {
    guard model.hasLanguageHead else {
        throw HoneError(.mismatch, "needs a decoder: this model does not write", item: method)
    }
    guard model.decoder == nil else {
        throw HoneError(
            .mismatch, "needs a decoder that reads the prompt itself; this model reads it in an encoder", item: method)
    }
    guard task == .generation else {
        throw HoneError(
            .mismatch,
            "learns from prompts and answers, and these rows have labels; write the label's text as the answer",
            item: method)
    }
}
