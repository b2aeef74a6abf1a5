import Glibc
import HoneTorch

extension LinearMap {
    /// The map with constants added to its input, which change its bias.
    fileprivate func adding(_ offsets: [Tensor]) throws -> LinearMap {
        guard let first = offsets.first else { return self }
        let sum = try offsets.dropFirst().reduce(first) { try $0 + $1 }.detached().to(.float32)
        let change = try sum.reshaped([1, -1]).linear(weight.to(.float32)).reshaped([-1])
        let moved = try (bias.map { try $0.to(.float32) + change } ?? change).to(weight.dtype)
        return LinearMap(
            path: path, weight: weight, bias: moved, attachments: attachments, computesExactly: computesExactly)
    }
}

extension Transformer {
    /// The model in the form in which it writes fastest; `nil` where it has, or something attached to it needs, what only the general
    /// forward pass computes.
    ///
    /// - Parameter quantises: whether linear maps and head are read as int8 numbers.
    func decoder(quantises: Bool = false) throws -> Decoder? {
        guard writesByDecoder, let activation = decoderActivation, let lastNorm = stack.lastNorm else { return nil }
        var layers: [Decoder.Layer] = []
        for layer in stack.layers {
            let attended = try layer.attentionOutput.adding(offsets(layer.index))
            let maps = try [attended, layer.gate, layer.up, layer.down].map { try $0.map(decoderMap) }
            guard let output = maps[0], let up = maps[2], let down = maps[3] else { return nil }
            layers.append(
                Decoder.Layer(
                    inputs: try layer.attentionInputs.map(decoderMap), output: output, gate: maps[1], up: up,
                    down: down, attentionNorm: (layer.attentionNorm.weight, layer.attentionNorm.bias),
                    feedForwardNorm: (layer.feedForwardNorm.weight, layer.feedForwardNorm.bias),
                    headNorms: layer.headNorms.map { ($0.query.weight, $0.key.weight) },
                    window: configuration.window.flatMap { $0.layers.contains(layer.index) ? $0.size : nil },
                    scale: layer.scale ?? 1 / Double(configuration.headWidth).squareRoot()))
        }
        let resolver = WeightResolver(configuration: configuration, weights: weights, attachments: attachments)
        var rotary: RotaryPositions?
        if case .rotary(let settings) = configuration.positions { rotary = settings }
        let prompts = try attachments.prompts.map { try $0.detached().to(dtype) }
        let shape = try Decoder.Shape(
            tokens: resolver.tensor("embeddings.tokens.weight"),
            positions: configuration.positions == .learned
                ? (decoderPositions(resolver.tensor("embeddings.positions.weight")), configuration.positionOffset)
                : nil,
            prefix: prompts.isEmpty ? nil : Tensor.concatenated(prompts),
            head: resolver.tensor(configuration.tiesHead ? "embeddings.tokens.weight" : "head.weight"),
            lastNorm: (lastNorm.weight, lastNorm.bias), innerWidth: configuration.innerWidth,
            headCount: configuration.headCount, keyValueHeadCount: configuration.keyValueHeadCount,
            headWidth: configuration.headWidth, joining: joining, centres: configuration.norm == .layer,
            isParallel: configuration.isParallel, activation: activation, epsilon: configuration.normEpsilon,
            frequencies: rotary?.frequencies(power: { (base: Float, exponent: Float) in Glibc.pow(base, exponent) })
                ?? [],
            amplitude: rotary?.amplitude ?? 1)
        return try Decoder(shape, layers: layers, quantises: quantises)
    }

    /// Whether the switches and attachments are such that a decoder has them.
    private var writesByDecoder: Bool {
        device == .cpu && (dtype == .float32 || dtype == .bfloat16) && !configuration.computesExactly
            && configuration.isCausal && configuration.hasLanguageHead && configuration.decoder == nil
            && configuration.tokenWidth == configuration.width && configuration.tokenTypeCount == 0
            && configuration.relativeBias == nil && configuration.positionlessToken == nil
            && !configuration.normalisesEmbeddings && !configuration.scalesEmbeddings && !configuration.scalesHeadInput
            && !configuration.hasHeadOffset && configuration.normPlace == .before
            && attachments.prefixes.isEmpty
            && (attachments.placeVectors.isEmpty || configuration.positions == .learned)
            && attachments.states.allSatisfy { path, own in
                // What is added to heads before a bare output projection is a bias behind it.
                path.hasSuffix(".attention.heads") && own.allSatisfy { $0.offset != nil }
                    && (attachments.linear[path.dropLast(5) + "output"] ?? []).isEmpty
            }
            && attachments.linear.values.allSatisfy {
                $0.allSatisfy(\.isFoldable) || ($0.count == 1 && $0[0].lowRankUpdate != nil)
            }
    }

    /// The table of positions with what is added to tokens at places in their row: each has a position of its own.
    private func decoderPositions(_ table: Tensor) throws -> Tensor {
        try attachments.placeVectors.reduce(table) { table, vectors in
            let first = configuration.positionOffset + attachments.promptLength
            let count = min(vectors.size(0), table.size(0) - first)
            guard count > 0 else { return table }
            let places = try Tensor.range(first, first + count, on: table.device)
            let own = try vectors.detached().narrowed(0, from: 0, length: count).to(.float32).to(table.device)
            return try table.to(.float32).adding(own, at: places).to(table.dtype)
        }
    }

    private var decoderActivation: Decoder.Activation? {
        switch configuration.activation {
        case .silu: .silu
        case .geluTanh: .geluTanh
        case .gelu: .gelu
        case .relu: .relu
        case .geluSigmoid: .geluSigmoid
        default: nil
        }
    }

    private var joining: Decoder.Joining {
        switch configuration.attentionInput {
        case .separate: .separate
        case .joined: .joined
        case .joinedByHead: .joinedByHead
        }
    }

    /// What is added to the heads of a layer, before the output projection.
    private func offsets(_ layer: Int) -> [Tensor] {
        (attachments.states["layers.\(layer).attention.heads"] ?? []).compactMap(\.offset)
    }

    private func decoderMap(_ map: LinearMap) throws -> Decoder.Map {
        let map = try map.folded()
        let update = map.attachments.first?.lowRankUpdate
        return Decoder.Map(
            weight: map.weight, bias: map.bias,
            update: try update.map {
                (try $0.down.detached().contiguous(), try $0.up.detached().contiguous(), $0.scale)
            })
    }
}
