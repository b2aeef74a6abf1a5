import HoneFormats
import HoneTorch

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
        let rows = try packing?.unpacked(states) ?? states
        return try EncoderMemory(states: rows, valid: valid(batch, behind: rows.size(1) - batch.length))
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
    func run(_ batch: TokenBatch, memory: EncoderMemory?, cache given: KeyValueCache?, upTo end: Int? = nil) throws -> (
        states: Tensor, packing: Packing?
    ) {
        guard (configuration.patches == nil) == (batch.pixels == nil) else {
            throw HoneError(
                .mismatch,
                batch.pixels == nil ? "this model reads images, not text" : "this model reads text, not images")
        }
        // Prompts stand before what is read, not before what is written.
        let isFirst = (given?.length ?? 0) == 0
        var prompts = isFirst && memory == nil ? attachments.prompts : []
        prompts = try prompts.map { try $0.to(dtype).to(device) }
        let promptLength = prompts.reduce(0) { $0 + $1.size(0) }
        let prefixLength = isFirst ? attachments.prefixLength(of: configuration.prefix) : 0
        let packing =
            memory == nil
            ? try Packing(
                batch, configuration: configuration, attachments: attachments, promptLength: promptLength,
                prefixLength: prefixLength, cache: given, dtype: dtype, on: device)
            : nil
        var cache = given
        if packing == nil, prefixLength > 0 {
            let begun = given ?? .passing(for: configuration)
            try begun.begin(with: attachments, in: configuration, rows: batch.rowCount, dtype, on: device)
            cache = begun
        }
        let past = packing == nil ? cache?.length ?? 0 : prefixLength
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
        let places = try packing?.packed(positions) ?? positions
        let trunk = cache == nil && memory == nil && prompts.isEmpty ? batch.trunk : nil
        let (attachments, layers) = try bound(
            to: packing?.layout ?? layout(of: batch, behind: promptLength, past: given?.length ?? 0))
        var state: Tensor
        if let trunk {
            state = try entering(trunk, batch, packing)
        } else {
            state = try embed(
                packing?.batch ?? batch, prompts: prompts, positions: prompts.isEmpty ? places : positions,
                added: addedByPlace(
                    past: past, queries: queries, valid: valid, batch: batch, cache: cache,
                    packing: prompts.isEmpty ? packing : nil, isRead: memory == nil))
            if let packing { state = try packing.entering(state) }
            state = try attachments.passing(configuration.prefix + "embeddings", state)
        }
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
        for layer in layers[(trunk?.layer ?? 0)..<(end ?? layers.count)] {
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
    private func bound(to layout: @autoclosure () -> RowLayout) throws -> (Attachments, [TransformerLayer]) {
        guard attachments.looksAtRows || attachments.looksAtPromptEnds else { return (attachments, layers) }
        let bound = WeightResolver(
            configuration: configuration, weights: resolver.weights, attachments: try attachments.bound(to: layout()))
        return (bound.attachments, try layers.indices.map { try TransformerLayer(index: $0, bound) })
    }

    /// Where padded rows stand, behind so many positions of prompts.
    private func layout(of batch: TokenBatch, behind promptLength: Int, past: Int) -> RowLayout {
        let length = promptLength + batch.length
        let ends = batch.promptEnds(behindOthers: past > 0).enumerated().map { row, end in
            end.map { end in
                let padding = batch.side == .left ? batch.length - batch.lengths[row] : 0
                return row * length + promptLength + padding + end
            }
        }
        return RowLayout(rowCount: batch.rowCount, promptEnds: ends)
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
            return try ((ones.cumulativeSum(1) + Double(past)) * ones - 1).to(.int64)
        }
        return try counted(past: past, queries: queries, valid: valid, batch: batch, cache: cache)
    }

    /// Places in the row, prompts and prefixes among them: `[length]`, or `[rows, length]` where padding stands before tokens.
    private func counted(past: Int, queries: Int, valid: Tensor?, batch: TokenBatch, cache: KeyValueCache?) throws
        -> Tensor
    {
        guard batch.side == .left, valid != nil || cache?.isPadded == true else {
            return try Tensor.range(past, past + queries, on: device)
        }
        let new = try valid?.to(.int64).cumulativeSum(1) ?? Tensor.range(1, queries + 1, on: device)
        guard let cache, past > 0 else { return try (new - 1).clamped(min: 0).to(.int64) }
        let before = try Tensor(cache.rowLengths.map { $0 - 1 }, shape: [cache.rowCount, 1], on: device)
        return try (new + before).clamped(min: 0).to(.int64)
    }

    /// What is added to the tokens' vectors by their places in their rows; absent where nothing is.
    private func addedByPlace(
        past: Int, queries: Int, valid: Tensor?, batch: TokenBatch, cache: KeyValueCache?, packing: Packing?,
        isRead: Bool
    ) throws -> Tensor? {
        guard isRead, !attachments.placeVectors.isEmpty else { return nil }
        let all = try counted(past: past, queries: queries, valid: valid, batch: batch, cache: cache)
        let before = attachments.promptLength + attachments.prefixLength(of: configuration.prefix)
        let own = try all.narrowed(-1, from: queries - batch.length, length: batch.length) - Double(before)
        let places = try (packing?.packed(own) ?? own).clamped(min: 0).to(.int64)
        let added = try attachments.placeVectors.map { vectors in
            let last = vectors.size(0)
            let table = try Tensor.concatenated([
                vectors.to(dtype).to(device), .zeros([1, vectors.size(1)], dtype, on: device),
            ])
            return try table.embedding(places.clamped(max: Double(last)).to(.int64))
        }
        return try added.dropFirst().reduce(added[0]) { try $0 + $1 }
    }

    /// Vectors `[rows, length, tokenWidth]` with prompts in front of every row.
    private func leading(_ prompts: [Tensor], _ vectors: Tensor) throws -> Tensor {
        if prompts.isEmpty { return vectors }
        let front = try Tensor.concatenated(prompts).unsqueezed(0)
        let repeated = try front.expanded([vectors.size(0), front.size(1), front.size(2)])
        return try Tensor.concatenated([repeated, vectors], dimension: 1)
    }

    private func embed(_ batch: TokenBatch, prompts: [Tensor], positions: Tensor, added: Tensor?) throws -> Tensor {
        if let patches = configuration.patches, let pixels = batch.pixels {
            var vectors = try patches.vectors(of: pixels.to(dtype).to(device), weight: weight)
            if let added { vectors = try vectors + added.reshaped([-1, batch.length, added.size(-1)]) }
            return try leading(prompts, vectors)
        }
        let table = try resolver.tensor(configuration.inputWeight)
        var state = try table.embedding(batch.ids.to(device))
        if configuration.scalesEmbeddings { state = try state * Double(configuration.width).squareRoot() }
        if let added { state = try state + added }
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
        return try embeddingNorm.map { try $0(state) } ?? state
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
