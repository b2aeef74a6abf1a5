import HoneFormats
import HoneTorch

/// The one transformer: every model family is a configuration of it.
///
/// A value: weights are never written to, and attaching something gives another transformer that shares them. So a base
/// model stays what it was, whatever is trained on top, and taking an adapter off is using the base again.
///
///     let adapted = try base.attaching(attachments)
///     let states = try adapted.states(batch)          // [rows, length, width]
///     let logits = try adapted.logits(states)         // [rows, length, vocabularySize]
///
/// A model of an encoder and a decoder has both; `states` of a batch alone are the encoder's, and those of a batch with a
/// memory are the decoder's:
///
///     let memory = try model.memory(of: inputs)
///     let states = try model.states(outputs, memory: memory)
public struct Transformer {
    /// The switches.
    public let configuration: TransformerConfiguration
    /// The base weights by Hone's names.
    public let weights: [String: Tensor]
    /// What is attached.
    public let attachments: Attachments
    /// The encoder, or the only stack.
    let stack: TransformerStack
    let decoder: TransformerStack?

    /// A transformer of a configuration over weights in Hone's names.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the first weight that is missing or has another shape.
    public init(_ configuration: TransformerConfiguration, weights: [String: Tensor]) throws {
        for (name, shape) in configuration.weightShapes {
            guard let tensor = weights[name] else { throw HoneError(.mismatch, "the weight is missing", item: name) }
            guard tensor.shape == shape else {
                throw HoneError(.mismatch, "has shape \(tensor.shape), the model needs \(shape)", item: name)
            }
        }
        try self.init(configuration: configuration, weights: weights, attachments: Attachments())
    }

    /// The same transformer with attachments in place of those that it has.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a site or weight that this model does not have.
    public func attaching(_ attachments: Attachments) throws -> Transformer {
        try attachments.check(against: configuration)
        return try Transformer(configuration: configuration, weights: weights, attachments: attachments)
    }

    private init(configuration: TransformerConfiguration, weights: [String: Tensor], attachments: Attachments) throws {
        self.configuration = configuration
        self.weights = weights
        self.attachments = attachments
        func stack(_ configuration: TransformerConfiguration) throws -> TransformerStack {
            try TransformerStack(
                WeightResolver(configuration: configuration, weights: weights, attachments: attachments))
        }
        self.stack = try stack(configuration.encoderStack)
        decoder = try configuration.decoderStack.map(stack)
    }

    /// The encoder of an encoder-decoder as a model of its own, with the same weights and attachments; others as they are.
    public var encoder: Transformer {
        get throws {
            guard decoder != nil else { return self }
            let own = configuration.encoderStack
            let names = Set(own.weightShapes.map(\.name))
            var kept = Attachments()
            kept.add(attachments)
            kept.weights = attachments.weights.filter { names.contains($0.key) }
            kept.linear = attachments.linear.filter { !$0.key.hasPrefix("decoder.") }
            kept.states = attachments.states.filter { !$0.key.hasPrefix("decoder.") }
            kept.prefixes = attachments.prefixes.filter { !$0.key.hasPrefix("decoder.") }
            return try Transformer(
                configuration: own, weights: weights.filter { names.contains($0.key) }, attachments: kept)
        }
    }

    /// The type that activations are computed in: that of the base weights.
    public var dtype: DType { weights[configuration.inputWeight]?.dtype ?? .float32 }

    /// Where the weights are.
    public var device: Device { weights[configuration.inputWeight]?.device ?? .cpu }

    /// The same transformer with its base weights in another type or place.
    public func converted(to dtype: DType? = nil, on device: Device? = nil) throws -> Transformer {
        let converted = try weights.mapValues { try $0.to(dtype ?? $0.dtype).to(device ?? $0.device) }
        return try Transformer(configuration: configuration, weights: converted, attachments: attachments)
    }

    /// The states after the last layer, `[rows, length, width]`; what attached prompts add in front is cut off again.
    ///
    /// - Parameters:
    ///   - batch: the tokens; with a cache, only the new ones.
    ///   - memory: of an encoder-decoder, what its decoder looks at: the states are then the decoder's. A cache that holds a
    ///     memory needs none here. Without, the states are the encoder's.
    ///   - cache: holds what came before and takes what is computed now.
    public func states(_ batch: TokenBatch, memory: EncoderMemory? = nil, cache: KeyValueCache? = nil) throws -> Tensor
    {
        let memory = memory ?? cache?.memory
        guard let decoder, let memory else {
            precondition(memory == nil, "only a model with a decoder looks at a memory")
            let output = try stack(batch, memory: nil, cache: cache)
            let before = output.states.size(1) - batch.length
            return before > 0 ? try output.states.narrowed(1, from: before, length: batch.length) : output.states
        }
        return try decoder(batch, memory: memory, cache: cache).states
    }

    /// The states after the last layer at some places of a batch, and which of them each place has.
    ///
    /// Rows that begin alike have the same states there. Where that is exact they are computed once: in a causal model on the
    /// CPU, without windows that are shorter than the rows, attached prompts, observed states, or dropout.
    ///
    /// - Parameters:
    ///   - batch: the tokens, padded on the right.
    ///   - memory: as for `states`.
    ///   - places: `row · length + position` of tokens, padding not among them.
    /// - Returns: `[states, width]`, and for each place the index of its state.
    public func distinctStates(_ batch: TokenBatch, memory: EncoderMemory? = nil, at places: [Int]) throws -> (
        states: Tensor, indices: [Int]
    ) {
        let own = memory == nil ? stack : decoder ?? stack
        let (states, packing) = try own.run(batch, memory: memory, cache: nil)
        var wanted = places
        if let packing {
            wanted = packing.slots(of: places)
        } else if states.size(1) > batch.length {
            let (given, all) = (batch.length, states.size(1))
            wanted = places.map { $0 / given * all + all - given + $0 % given }
        }
        var known: [Int: Int] = [:]
        var distinct: [Int] = []
        let indices = wanted.map { place in
            if let index = known[place] { return index }
            known[place] = distinct.count
            distinct.append(place)
            return distinct.count - 1
        }
        return (
            try states.reshaped([-1, states.size(-1)]).selecting(Tensor(distinct, on: states.device)), indices
        )
    }

    /// The states after the last layer at some places of a batch, `[places, width]`: `distinctStates`, one for each place.
    public func states(_ batch: TokenBatch, memory: EncoderMemory? = nil, at places: [Int]) throws -> Tensor {
        let (states, indices) = try distinctStates(batch, memory: memory, at: places)
        return indices.count == states.size(0) ? states : try states.selecting(Tensor(indices, on: states.device))
    }

    /// Whether equal beginnings of rows are computed once where the batch allows it.
    public var sharesPrefixes: Bool {
        device == .cpu && decoder == nil && Packing.shares(configuration, attachments)
    }

    /// What the decoder of an encoder-decoder looks at: the encoder's states over a batch of inputs, with attached prompts.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a model without a decoder.
    public func memory(of batch: TokenBatch) throws -> EncoderMemory {
        guard decoder != nil else { throw HoneError(.mismatch, "this model has no decoder beside an encoder") }
        return try stack(batch, memory: nil, cache: nil)
    }

    /// Scores of every token of the vocabulary after states `[..., width]`: `[..., vocabularySize]`.
    public func logits(_ states: Tensor) throws -> Tensor {
        guard configuration.hasLanguageHead else {
            throw HoneError(.mismatch, "this model has no language-model head")
        }
        let scores = try LinearMap.product(headInput(states), headWeight, exact: configuration.computesExactly)
        return try configuration.hasHeadOffset ? scores + weight(TransformerConfiguration.headOffset).at(0) : scores
    }

    /// The summed cross-entropy of target tokens `[targets]` after states `[targets, width]`, formed without keeping the
    /// logits where that is possible.
    public func targetLoss(_ states: Tensor, targets: Tensor) throws -> Tensor {
        guard configuration.hasLanguageHead, !configuration.hasHeadOffset, !configuration.computesExactly,
            states.suitsFusedKernels
        else { return try logits(states).to(.float32).crossEntropySum(targets) }
        return try headInput(states).targetLoss(head: headWeight, targets: targets)
    }

    /// What the head multiplies.
    private func headInput(_ states: Tensor) throws -> Tensor {
        var input = try configuration.scalesHeadInput ? states / Double(configuration.width).squareRoot() : states
        if configuration.tokenWidth != configuration.width {
            input = try input.linear(weight("head.projection.weight"))
        }
        return input
    }

    private var headWeight: Tensor {
        get throws { try weight(configuration.tiesHead ? "embeddings.tokens.weight" : "head.weight") }
    }

    private func weight(_ name: String) throws -> Tensor {
        try WeightResolver(configuration: configuration, weights: weights, attachments: attachments).tensor(name)
    }
}
