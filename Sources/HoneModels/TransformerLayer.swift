import HoneTorch

/// Finds the weights that a transformer computes with: what is attached first, the base's otherwise.
struct WeightResolver {
    let configuration: TransformerConfiguration
    let weights: [String: Tensor]
    let attachments: Attachments

    func tensor(_ name: String) throws -> Tensor {
        guard let base = weights[name] else { preconditionFailure("weights are checked when a transformer is made") }
        guard let attached = attachments.weights[name] else { return base }
        return try attached.to(base.dtype).to(base.device)
    }

    func linear(_ path: String) throws -> LinearMap {
        let bias = weights[path + ".bias"] == nil ? nil : try tensor(path + ".bias")
        return LinearMap(
            path: path, weight: try tensor(path + ".weight"), bias: bias, attachments: attachments.linear[path] ?? [],
            computesExactly: configuration.computesExactly)
    }

    func headNorm(_ path: String) throws -> NormMap {
        NormMap(
            kind: .rootMeanSquare, weight: try tensor(path + ".weight"), bias: nil,
            epsilon: configuration.normEpsilon, computesExactly: configuration.computesExactly)
    }

    func norm(_ path: String) throws -> NormMap {
        NormMap(
            kind: configuration.norm, weight: try tensor(path + ".weight"),
            bias: configuration.norm == .layer ? try tensor(path + ".bias") : nil, epsilon: configuration.normEpsilon,
            computesExactly: configuration.computesExactly)
    }
}

/// One layer: attention and a feed-forward sublayer, each with its norm and its residual connection.
struct TransformerLayer {
    let index: Int
    let configuration: TransformerConfiguration
    let attachments: Attachments
    /// Query, key, value; or one map of all three.
    let attentionInputs: [LinearMap]
    /// Of queries and keys, head by head.
    let headNorms: (query: NormMap, key: NormMap)?
    let attentionOutput: LinearMap
    let attentionNorm: NormMap
    let crossAttention: CrossAttention?
    let gate: LinearMap?
    let up: LinearMap
    let down: LinearMap
    let feedForwardNorm: NormMap

    init(index: Int, _ resolver: WeightResolver) throws {
        self.index = index
        configuration = resolver.configuration
        attachments = resolver.attachments
        let prefix = configuration.prefix + "layers.\(index)."
        let inputs = configuration.attentionInput == .separate ? ["query", "key", "value"] : ["input"]
        attentionInputs = try inputs.map { try resolver.linear(prefix + "attention." + $0) }
        headNorms =
            configuration.normalisesHeads
            ? try (
                resolver.headNorm(prefix + "attention.query.norm"), resolver.headNorm(prefix + "attention.key.norm")
            ) : nil
        attentionOutput = try resolver.linear(prefix + "attention.output")
        attentionNorm = try resolver.norm(prefix + "attention.norm")
        crossAttention =
            configuration.hasCrossAttention
            ? try CrossAttention(prefix + "crossAttention", layer: index, resolver) : nil
        gate = configuration.isGated ? try resolver.linear(prefix + "mlp.gate") : nil
        up = try resolver.linear(prefix + "mlp.up")
        down = try resolver.linear(prefix + "mlp.down")
        feedForwardNorm = try resolver.norm(prefix + "mlp.norm")
    }

    /// The layer's output for states `[rows, length, width]`.
    func callAsFunction(
        _ state: Tensor, mask: AttentionMask, rotary: Rotary?, memory: EncoderMemory?, cache: KeyValueCache?
    ) throws -> Tensor {
        let path = configuration.prefix + "layers.\(index)"
        func attended(_ input: Tensor) throws -> Tensor {
            try attachments.passing(
                path + ".attention", attention(input, mask: mask, rotary: rotary, cache: cache))
        }
        func fed(_ input: Tensor) throws -> Tensor {
            try attachments.passing(path + ".mlp", feedForward(input))
        }
        let result: Tensor
        switch configuration.normPlace {
        case .before where configuration.isParallel:
            result = try state + attended(attentionNorm(state)) + fed(feedForwardNorm(state))
        case .before:
            let change = try attended(attentionNorm(state))
            if let cross = crossAttention, let memory {
                let (asking, own) = try cross.norm(state, adding: change)
                let (normed, middle) = try feedForwardNorm(own, adding: cross(asking, memory: memory, cache: cache))
                result = try middle + fed(normed)
            } else {
                let (normed, middle) = try feedForwardNorm(state, adding: change)
                result = try middle + fed(normed)
            }
        case .after:
            var middle = try attentionNorm(state, adding: attended(state)).normed
            if let cross = crossAttention, let memory {
                middle = try cross.norm(middle, adding: cross(middle, memory: memory, cache: cache)).normed
            }
            result = try feedForwardNorm(middle, adding: fed(middle)).normed
        }
        return try attachments.passing(path, result)
    }

    private func attention(_ input: Tensor, mask: AttentionMask, rotary: Rotary?, cache: KeyValueCache?) throws
        -> Tensor
    {
        let rows = input.size(0)
        let length = input.size(1)
        func output(_ byHead: Tensor) throws -> Tensor {
            let passed = try attachments.passing(
                configuration.prefix + "layers.\(index).attention.heads", byHead)
            return try attentionOutput(
                passed.reshaped([rows, length, configuration.headCount * configuration.headWidth]))
        }
        if case .rows(let segments, let isCausal) = mask {
            return try output(packedHeads(input, segments: segments, isCausal: isCausal, rotary: rotary))
        }
        var (queries, keys, values) = try heads(input)
        if let headNorms {
            queries = try headNorms.query(queries)
            keys = try headNorms.key(keys)
        }
        if let rotary {
            queries = try rotary(queries)
            keys = try rotary(keys)
        }
        if let cache { (keys, values) = try cache.extend(layer: index, keys: keys, values: values) }
        let group = configuration.headCount / configuration.keyValueHeadCount
        // A single query a head: the heads that share keys stand in for several queries of one head, and nothing is repeated.
        let sharesKeys = group > 1 && length == 1
        if sharesKeys {
            queries = try queries.reshaped([rows, configuration.keyValueHeadCount, group, configuration.headWidth])
        }
        if group > 1, !sharesKeys {
            keys = try keys.repeatedInterleaved(group, dimension: 1)
            values = try values.repeatedInterleaved(group, dimension: 1)
        }
        var mixed = try mask.attention(queries, keys: keys, values: values, scale: scale)
        if sharesKeys { mixed = try mixed.reshaped([rows, configuration.headCount, 1, configuration.headWidth]) }
        return try output(mixed.transpose(1, 2))
    }

    /// What scores are multiplied by; absent for one over the square root of the heads' width.
    var scale: Double? {
        guard configuration.scalesByLayer else { return configuration.attentionScale }
        let whole = configuration.attentionScale ?? 1 / Double(configuration.headWidth).squareRoot()
        return whole / Double(index + 1)
    }

    /// Queries, keys and values of states `[rows, length, width]`, each `[rows, heads, length, headWidth]`.
    private func heads(_ input: Tensor) throws -> (queries: Tensor, keys: Tensor, values: Tensor) {
        let width = configuration.headWidth
        func split(_ flat: Tensor) throws -> Tensor {
            try flat.reshaped([flat.size(0), flat.size(1), flat.size(-1) / width, width]).transpose(1, 2)
        }
        switch configuration.attentionInput {
        case .separate:
            let parts = try LinearMap.outputs(of: attentionInputs, input)
            return try (split(parts[0]), split(parts[1]), split(parts[2]))
        case .joined:
            let all = try attentionInputs[0](input)
            let own = configuration.headCount * width
            let shared = configuration.keyValueHeadCount * width
            return try (
                split(all.narrowed(-1, from: 0, length: own)), split(all.narrowed(-1, from: own, length: shared)),
                split(all.narrowed(-1, from: own + shared, length: shared))
            )
        case .joinedByHead:
            let all = try attentionInputs[0](input)
            let byHead = try all.reshaped([all.size(0), all.size(1), configuration.headCount, 3 * width])
                .transpose(1, 2)
            return try (
                byHead.narrowed(-1, from: 0, length: width), byHead.narrowed(-1, from: width, length: width),
                byHead.narrowed(-1, from: 2 * width, length: width)
            )
        }
    }

    private func feedForward(_ input: Tensor) throws -> Tensor {
        if let gate {
            let parts = try LinearMap.outputs(of: [gate, up], input)
            let activation = configuration.activation
            if activation == .silu || activation == .geluTanh, !configuration.computesExactly,
                parts[0].suitsFusedKernels
            {
                return try down(parts[0].gating(parts[1], tanh: activation == .geluTanh))
            }
            return try down(activation(parts[0]) * parts[1])
        }
        return try down(configuration.activation(up(input)))
    }
}
