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
    /// The base with the adapter attached, for each task that the adapter tells apart.
    private let transformers: [Transformer]
    /// Turns examples into what the model takes.
    public let encoder: ExampleEncoder

    /// Attaches an adapter.
    public init(base: BaseModel, adapter: Adapter) throws {
        self.base = base
        self.adapter = adapter
        transformers = try (0..<adapter.taskCount).map { task in
            let own = try adapter.narrowed(to: task)
            return try base.transformer.attaching(
                own.method.attachments(own.parameters, model: base.transformer, dropout: nil))
        }
        let preamble = InContextExamples.preamble(
            adapter.demonstrations, classification: adapter.task != .generation)
        encoder = try ExampleEncoder(base, options: adapter.encoding, preamble: preamble)
    }

    /// The base with the adapter attached.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where the adapter tells several tasks apart: see `Adapter.narrowed(toTask:)`.
    public var transformer: Transformer {
        get throws {
            if transformers.count > 1, let routing = adapter.method as? any TaskRoutingMethod {
                try routing.checkIsOneTask()
            }
            return transformers[0]
        }
    }

    /// The base with what a row has attached: what its task wants.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where the row does not say which of several tasks it belongs to.
    public func transformer(for row: EncodedExample) throws -> Transformer {
        guard transformers.count > 1, let routing = adapter.method as? any TaskRoutingMethod else {
            return transformers[0]
        }
        return transformers[try routing.task(of: row)]
    }

    /// Rows by what computes them: their task's transformer.
    private func byTask(_ rows: [EncodedExample]) throws -> [(transformer: Transformer, rows: [Int])] {
        guard transformers.count > 1, let routing = adapter.method as? any TaskRoutingMethod else {
            return [(transformers[0], Array(rows.indices))]
        }
        var groups: [[Int]] = Array(repeating: [], count: transformers.count)
        for (place, row) in rows.enumerated() { groups[try routing.task(of: row)].append(place) }
        return zip(transformers, groups).filter { !$1.isEmpty }
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
            for (transformer, places) in try byTask(rows) {
                for indices in Specialist.batches(places.map { rows[$0].length }) {
                    let own = indices.map { places[$0] }
                    let batch = try transformer.batch(own.map { rows[$0] }, padId: base.padId)
                    pieces.append(try base.pooled(transformer.states(batch), of: batch).to(.float32))
                    for index in own {
                        back[index] = done
                        done += 1
                    }
                }
            }
            return try Tensor.concatenated(pieces).selecting(Tensor(back, on: base.transformer.device))
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
        var losses = rows.map { _ in (loss: 0.0, tokens: 0) }
        for (transformer, places) in try byTask(rows) {
            let scores = try transformer.targetScores(places.map { rows[$0] }, padId: base.padId)
            for (place, score) in zip(places, scores) { losses[place] = (-score.logLikelihood, score.tokens) }
        }
        return losses
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
        let room = base.configuration.maximumLength - transformers[0].attachments.addedPositions - answer
        let prompts = try examples.map { try encoder.promptRow($0, room: room > 0 ? room : .max) }
        var texts = [String](repeating: "", count: examples.count)
        for (transformer, places) in try byTask(prompts) {
            for indices in Specialist.batches(places.map { prompts[$0].ids.count }, tokens: 2048) {
                let own = indices.map { places[$0] }
                let made = try transformer.generate(
                    from: own.map { prompts[$0].ids }, padId: base.padId, options: options, rowIds: own)
                for (index, ids) in zip(own, made) { texts[index] = try base.tokenizer.decode(ids) }
            }
        }
        return texts
    }
}

private func exponential(_ value: Double) -> Double { Glibc.exp(value) }
