import Glibc
import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// A base model with an adapter attached: what a run leaves behind and what answers.
///
/// Results do not depend on how rows are batched: rows are sorted by length for the work, computed in `float32` unless
/// the base is not, and come back in their order.
public struct Specialist {
    /// The base model.
    public let base: BaseModel
    /// What was learned.
    public let adapter: Adapter
    /// The base with the adapter attached.
    public let transformer: Transformer
    /// Turns examples into what the model takes.
    public let encoder: ExampleEncoder

    /// Attaches an adapter.
    public init(base: BaseModel, adapter: Adapter) throws {
        self.base = base
        self.adapter = adapter
        transformer = try base.transformer.attaching(
            adapter.method.attachments(adapter.parameters, model: base.transformer, dropout: nil))
        let preamble = InContextExamples.preamble(
            adapter.demonstrations, classification: adapter.task != .generation)
        encoder = try ExampleEncoder(base, options: adapter.encoding, preamble: preamble)
    }

    /// Work of about this many tokens is done at once.
    private static let tokensPerBatch = 4096

    /// Groups of rows of similar length.
    static func batches(_ lengths: [Int], tokens: Int = tokensPerBatch) -> [[Int]] {
        let order = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
        var batches: [[Int]] = []
        var current: [Int] = []
        for index in order {
            // Rows come by rising length: the newest is the longest.
            if !current.isEmpty, (current.count + 1) * lengths[index] > tokens || current.count >= 128 {
                batches.append(current)
                current = []
            }
            current.append(index)
        }
        if !current.isEmpty { batches.append(current) }
        return batches
    }

    /// Pooled vectors of the model with the adapter, `[rows, width]`, `float32`.
    public func features(_ rows: [EncodedExample]) throws -> Tensor {
        try withoutGradients {
            var pieces: [Tensor] = []
            var back = [Int](repeating: 0, count: rows.count)
            var done = 0
            for indices in Specialist.batches(rows.map(\.length)) {
                let batch = try transformer.batch(indices.map { rows[$0] }, padId: base.padId)
                pieces.append(try base.pooled(transformer.states(batch), of: batch).to(.float32))
                for index in indices {
                    back[index] = done
                    done += 1
                }
            }
            return try Tensor.concatenated(pieces).selecting(Tensor(back, on: transformer.device))
        }
    }

    /// The probability of every class for every row, `rows x classes` in row-major order.
    public func probabilities(_ examples: [Example]) throws -> [Float] {
        guard case .classification(let classes) = adapter.task, !examples.isEmpty else { return [] }
        if adapter.parameters[ClassificationHead.weight] == nil { return try labelLikelihoods(examples) }
        let features = try features(try examples.map(encoder.encode))
        return try withoutGradients {
            let logits = try ClassificationHead.logits(features, adapter.parameters)
            precondition(logits.size(1) == classes)
            return try logits.softmax(-1).elements(Float.self)
        }
    }

    /// Probabilities from how likely a decoder finds each label's text after the input.
    private func labelLikelihoods(_ examples: [Example]) throws -> [Float] {
        var rows: [EncodedExample] = []
        for example in examples {
            let prompt = "Input: \(InContextExamples.inputText(example.input))\nLabel:"
            for label in adapter.labels {
                var row = example
                row.input = .prompt(prompt)
                row.target = .completion(" " + label)
                rows.append(try encoder.encode(row))
            }
        }
        let losses = try targetLosses(rows)
        var probabilities: [Float] = []
        for start in stride(from: 0, to: losses.count, by: adapter.labels.count) {
            // A label that was cut off entirely cannot be scored and gets no probability.
            let scores = losses[start..<start + adapter.labels.count].map {
                $0.tokens > 0 ? -$0.loss : -Double.infinity
            }
            let most = scores.max() ?? 0
            let weights = scores.map { most.isFinite ? exponential($0 - most) : 1 }
            let sum = weights.reduce(0, +)
            probabilities += weights.map { Float($0 / sum) }
        }
        return probabilities
    }

    /// The summed negative log-likelihood of each row's target tokens, and how many there are.
    public func targetLosses(_ rows: [EncodedExample]) throws -> [(loss: Double, tokens: Int)] {
        try transformer.targetScores(rows, padId: base.padId).map { (-$0.logLikelihood, $0.tokens) }
    }

    /// The tokens that end an answer: those that the model's folder names, and the one that ends a turn of a conversation.
    public var endIds: Set<Int> {
        get throws { try GenerationDefaults(base).endIds.union([encoder.turnEnd].compactMap { $0 }) }
    }

    /// What the specialist goes on with after each prompt.
    ///
    /// - Parameter options: with `stopIds` empty, the end tokens of the model's folder stop a row, and the token that ends a turn.
    public func generate(_ examples: [Example], options: GenerationOptions) throws -> [String] {
        var options = options
        if options.stopIds.isEmpty { options.stopIds = try endIds }
        // The answer takes the same positions as the prompt, unless it is written by another stack.
        let answer = base.configuration.decoder == nil ? options.maximumNewTokens : 0
        let room = base.configuration.maximumLength - transformer.attachments.addedPositions - answer
        let prompts = try examples.map { try encoder.prompt($0, room: room > 0 ? room : .max) }
        var texts = [String](repeating: "", count: examples.count)
        for indices in Specialist.batches(prompts.map(\.count), tokens: 2048) {
            let made = try transformer.generate(
                from: indices.map { prompts[$0] }, padId: base.padId, options: options, rowIds: indices)
            for (index, ids) in zip(indices, made) { texts[index] = try base.tokenizer.decode(ids) }
        }
        return texts
    }
}

private func exponential(_ value: Double) -> Double { Glibc.exp(value) }
