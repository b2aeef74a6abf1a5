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
    /// CPU, without windows that are shorter than the rows, attached prompts, observed or changed states, or dropout.
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
        device == .cpu && decoder == nil && attachments.states.isEmpty && Packing.shares(configuration, attachments)
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

/// One stack of layers with its embeddings: an encoder, a decoder, or all that there is.
struct TransformerStack {
    /// Of this stack alone.
    let configuration: TransformerConfiguration
    let resolver: WeightResolver
    let embeddingNorm: NormMap?
    let layers: [TransformerLayer]
    let lastNorm: NormMap?

    init(_ resolver: WeightResolver) throws {
        self.resolver = resolver
        configuration = resolver.configuration
        let prefix = configuration.prefix
        embeddingNorm = configuration.normalisesEmbeddings ? try resolver.norm(prefix + "embeddings.norm") : nil
        layers = try (0..<configuration.layerCount).map { try TransformerLayer(index: $0, resolver) }
        lastNorm = configuration.normPlace == .before ? try resolver.norm(prefix + "norm") : nil
    }

    private var attachments: Attachments { resolver.attachments }
    private var dtype: DType { resolver.weights[configuration.inputWeight]?.dtype ?? .float32 }
    private var device: Device { resolver.weights[configuration.inputWeight]?.device ?? .cpu }

    /// A weight of this stack by its name without prefix.
    private func weight(_ name: String) throws -> Tensor { try resolver.tensor(configuration.prefix + name) }

    /// The states after the last layer, those of attached prompts in front of them, and which of them count.
    func callAsFunction(_ batch: TokenBatch, memory: EncoderMemory?, cache: KeyValueCache?) throws -> EncoderMemory {
        let (states, packing) = try run(batch, memory: memory, cache: cache)
        let promptLength = packing == nil ? states.size(1) - batch.length : 0
        return try EncoderMemory(
            states: packing?.unpacked(states) ?? states, valid: valid(batch, behind: promptLength))
    }

    /// Which positions count, those of prompts in front among them; absent where all do.
    private func valid(_ batch: TokenBatch, behind promptLength: Int) throws -> Tensor? {
        guard let given = try batch.valid?.to(device), promptLength > 0 else { return try batch.valid?.to(device) }
        let seen = try Tensor.full([batch.rowCount, promptLength], 1, on: device).to(.bool)
        return try Tensor.concatenated([seen, given], dimension: 1)
    }

    /// The states after the last layer: `[rows, length, width]` with those of attached prompts in front, or packed.
    ///
    /// - Parameter end: the layer before which to stop.
    func run(_ batch: TokenBatch, memory: EncoderMemory?, cache: KeyValueCache?, upTo end: Int? = nil) throws -> (
        states: Tensor, packing: Packing?
    ) {
        guard (configuration.patches == nil) == (batch.pixels == nil) else {
            throw HoneError(
                .mismatch,
                batch.pixels == nil ? "this model reads images, not text" : "this model reads text, not images")
        }
        let past = cache?.length ?? 0
        // Prompts stand before what is read, not before what is written.
        var prompts = past == 0 && memory == nil ? attachments.prompts : []
        prompts = try prompts.map { try $0.to(dtype).to(device) }
        let promptLength = prompts.reduce(0) { $0 + $1.size(0) }
        let queries = promptLength + batch.length
        let rowCounts = batch.lengths.map { promptLength + $0 }
        let reach = batch.side == .left ? largestSum(cache?.rowLengths ?? [], rowCounts) : past + queries
        // Only what is counted takes a position: before patches, prompts have none.
        guard reach <= configuration.maximumLength || configuration.positions != .learned || batch.pixels != nil else {
            throw HoneError(
                .badData,
                "\(reach) tokens are more than the model's \(configuration.maximumLength) positions; "
                    + "lower the maximum length")
        }
        let valid = try valid(batch, behind: promptLength)
        let positions = try positions(past: past, queries: queries, valid: valid, batch: batch, cache: cache)
        let packing =
            memory == nil
            ? try Packing(
                batch, configuration: configuration, attachments: attachments, cache: cache, dtype: dtype, on: device)
            : nil
        let places = try packing?.packed(positions) ?? positions
        let trunk = cache == nil && memory == nil && prompts.isEmpty ? batch.trunk : nil
        var state =
            try trunk.map { try entering($0, batch, packing) }
            ?? embed(packing?.batch ?? batch, prompts: prompts, positions: places)
        if packing != nil { state = try state.reshaped([1, -1, configuration.width]) }
        let allValid =
            try cache?.valid(followedBy: valid, new: queries, rows: batch.rowCount, on: device)
            ?? (cache == nil ? valid : nil)
        let bias = try configuration.relativeBias?.scores(
            weight("embeddings.relativePositions.weight"), queries: queries, past: past,
            isCausal: configuration.isCausal)
        func mask(window: Int?) throws -> AttentionMask {
            let bare = try AttentionMask(
                isCausal: configuration.isCausal, queries: queries, past: past, valid: allValid, window: window,
                paddedRight: batch.side == .right, device: device)
            return try bias.map(bare.biased(by:)) ?? bare
        }
        let whole =
            try packing.map { .rows($0.segments, isCausal: configuration.isCausal) } ?? mask(window: nil)
        let near = packing == nil ? try configuration.window.map { try mask(window: $0.size) } : nil
        var rotary: Rotary?
        if case .rotary(let settings) = configuration.positions {
            rotary = try Rotary(positions: places, settings, dtype: state.dtype)
        }
        let bound = try layers(for: packing?.layout ?? RowLayout(rowCount: batch.rowCount))
        for layer in bound[(trunk?.layer ?? 0)..<(end ?? bound.count)] {
            let isNear = configuration.window?.layers.contains(layer.index) ?? false
            state = try layer(
                state, mask: isNear ? near ?? whole : whole, rotary: rotary, memory: memory, cache: cache)
        }
        if end != nil { return (state, packing) }
        try cache?.advance(by: queries, rowCounts: rowCounts, valid: valid)
        if let lastNorm { state = try lastNorm(state) }
        state = try attachments.passing(configuration.prefix + "states", state)
        return (state, packing)
    }

    /// Known states as those of a padded or packed batch.
    private func entering(_ trunk: TrunkStates, _ batch: TokenBatch, _ packing: Packing?) throws -> Tensor {
        if let packing { return try packing.packed(trunk.rows) }
        let rows = try trunk.rows.map { row in
            let missing = batch.length - row.size(0)
            guard missing > 0 else { return row }
            return try Tensor.concatenated([row, .zeros([missing, row.size(1)], row.dtype, on: row.device)])
        }
        return try Tensor.concatenated(rows.map { try $0.unsqueezed(0) })
    }

    /// The layers, with what is attached knowing where the rows are.
    private func layers(for layout: RowLayout) throws -> [TransformerLayer] {
        guard attachments.looksAtRows else { return layers }
        let bound = WeightResolver(
            configuration: configuration, weights: resolver.weights, attachments: try attachments.bound(to: layout))
        return try layers.indices.map { try TransformerLayer(index: $0, bound) }
    }

    /// `[length]`, or `[rows, length]` where padding before the tokens shifts them, or tokens take no place.
    private func positions(past: Int, queries: Int, valid: Tensor?, batch: TokenBatch, cache: KeyValueCache?) throws
        -> Tensor
    {
        // With vectors in front of the tokens the reference counts straight on.
        if let token = configuration.positionlessToken, attachments.prompts.isEmpty {
            var counted = try batch.ids.to(device).notEqual(Double(token))
            if let valid { counted = try counted.logicalAnd(valid) }
            let ones = try counted.to(.int64)
            return try (ones.cumulativeSum(1) * ones - 1).to(.int64)
        }
        guard batch.side == .left, valid != nil || cache?.isPadded == true else {
            return try Tensor.range(past, past + queries, on: device)
        }
        let new = try valid?.to(.int64).cumulativeSum(1) ?? Tensor.range(1, queries + 1, on: device)
        guard let cache, past > 0 else { return try (new - 1).clamped(min: 0).to(.int64) }
        let before = try Tensor(cache.rowLengths.map { $0 - 1 }, shape: [cache.rowCount, 1], on: device)
        return try (new + before).clamped(min: 0).to(.int64)
    }

    /// Vectors `[rows, length, tokenWidth]` with prompts in front of every row.
    private func leading(_ prompts: [Tensor], _ vectors: Tensor) throws -> Tensor {
        if prompts.isEmpty { return vectors }
        let front = try Tensor.concatenated(prompts).unsqueezed(0)
        let repeated = try front.expanded([vectors.size(0), front.size(1), front.size(2)])
        return try Tensor.concatenated([repeated, vectors], dimension: 1)
    }

    private func embed(_ batch: TokenBatch, prompts: [Tensor], positions: Tensor) throws -> Tensor {
        if let patches = configuration.patches, let pixels = batch.pixels {
            let vectors = try patches.vectors(of: pixels.to(dtype).to(device), weight: weight)
            return try attachments.passing(configuration.prefix + "embeddings", leading(prompts, vectors))
        }
        let table = try resolver.tensor(configuration.inputWeight)
        var state = try table.embedding(batch.ids.to(device))
        if configuration.scalesEmbeddings { state = try state * Double(configuration.width).squareRoot() }
        state = try leading(prompts, state)
        if configuration.tokenWidth != configuration.width {
            state = try state.linear(weight("embeddings.projection.weight"))
        }
        if configuration.positions == .learned {
            let places =
                configuration.positionOffset > 0 ? try positions + Double(configuration.positionOffset) : positions
            state = try state + weight("embeddings.positions.weight").embedding(places.to(.int64))
        }
        if configuration.tokenTypeCount > 0 {
            let types = try weight("embeddings.types.weight")
            if let given = batch.typeIds {
                var ids = try given.to(device)
                if !prompts.isEmpty {
                    let front = try Tensor.zeros([batch.rowCount, state.size(1) - ids.size(1)], .int64, on: device)
                    ids = try Tensor.concatenated([front, ids], dimension: 1)
                }
                state = try state + types.embedding(ids)
            } else {
                state = try state + types.at(0)
            }
        }
        if let embeddingNorm { state = try embeddingNorm(state) }
        return try attachments.passing(configuration.prefix + "embeddings", state)
    }
}

/// The largest sum of two lists' elements side by side; an empty list counts as zeros.
private func largestSum(_ first: [Int], _ second: [Int]) -> Int {
    first.isEmpty ? second.max() ?? 0 : zip(first, second).map { $0 + $1 }.max() ?? 0
}

extension Attachments {
    /// A state on its way through a site.
    func passing(_ path: @autoclosure () -> String, _ state: Tensor) throws -> Tensor {
        if states.isEmpty { return state }
        return try (states[path()] ?? []).reduce(state) { try $1.state($0) }
    }
}
