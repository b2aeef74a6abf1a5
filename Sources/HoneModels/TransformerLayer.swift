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
            path: path, weight: try tensor(path + ".weight"), bias: bias, attachments: attachments.linear[path] ?? [])
    }

    func norm(_ path: String) throws -> NormMap {
        NormMap(
            kind: configuration.norm, weight: try tensor(path + ".weight"),
            bias: configuration.norm == .layer ? try tensor(path + ".bias") : nil, epsilon: configuration.normEpsilon)
    }
}

/// One layer: attention and a feed-forward sublayer, each with its norm and its residual connection.
struct TransformerLayer {
    let index: Int
    let configuration: TransformerConfiguration
    let attachments: Attachments
    /// Query, key, value; or one map of all three.
    let attentionInputs: [LinearMap]
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
        let inputs = configuration.fusesAttentionInput ? ["input"] : ["query", "key", "value"]
        attentionInputs = try inputs.map { try resolver.linear(prefix + "attention." + $0) }
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
        case .before:
            var middle = try state + attended(attentionNorm(state))
            if let cross = crossAttention, let memory {
                middle = try middle + cross(cross.norm(middle), memory: memory, cache: cache)
            }
            result = try middle + fed(feedForwardNorm(middle))
        case .after:
            var middle = try attentionNorm(state + attended(state))
            if let cross = crossAttention, let memory {
                middle = try cross.norm(middle + cross(middle, memory: memory, cache: cache))
            }
            result = try feedForwardNorm(middle + fed(middle))
        }
        return try attachments.passing(path, result)
    }

    private func attention(_ input: Tensor, mask: AttentionMask, rotary: Rotary?, cache: KeyValueCache?) throws
        -> Tensor
    {
        let rows = input.size(0)
        let length = input.size(1)
        let width = configuration.headWidth
        func heads(_ flat: Tensor) throws -> Tensor {
            try flat.reshaped([rows, length, flat.size(-1) / width, width]).transpose(1, 2)
        }
        var queries: Tensor
        var keys: Tensor
        var values: Tensor
        if attentionInputs.count == 1 {
            let all = try attentionInputs[0](input)
            let own = configuration.headCount * width
            let shared = configuration.keyValueHeadCount * width
            queries = try heads(all.narrowed(-1, from: 0, length: own))
            keys = try heads(all.narrowed(-1, from: own, length: shared))
            values = try heads(all.narrowed(-1, from: own + shared, length: shared))
        } else {
            queries = try heads(attentionInputs[0](input))
            keys = try heads(attentionInputs[1](input))
            values = try heads(attentionInputs[2](input))
        }
        if let rotary {
            queries = try rotary(queries)
            keys = try rotary(keys)
        }
        if let cache { (keys, values) = try cache.extend(layer: index, keys: keys, values: values) }
        let group = configuration.headCount / configuration.keyValueHeadCount
        if group > 1 {
            keys = try keys.repeatedInterleaved(group, dimension: 1)
            values = try values.repeatedInterleaved(group, dimension: 1)
        }
        let mixed = try mask.attention(
            queries, keys: keys, values: values, scale: configuration.attentionScale)
        let byHead = try attachments.passing(
            configuration.prefix + "layers.\(index).attention.heads", mixed.transpose(1, 2))
        return try attentionOutput(byHead.reshaped([rows, length, configuration.headCount * width]))
    }

    private func feedForward(_ input: Tensor) throws -> Tensor {
        if let gate { return try down(activated(gate(input)) * up(input)) }
        return try down(activated(up(input)))
    }

    private func activated(_ input: Tensor) throws -> Tensor {
        switch configuration.activation {
        case .gelu: try input.gelu()
        case .geluTanh: try input.gelu(approximate: true)
        case .silu: try input.silu()
        case .relu: try input.relu()
        }
    }
}
