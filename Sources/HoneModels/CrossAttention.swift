import HoneTorch

/// What a decoder looks at: the states of an encoder over a batch of inputs.
public struct EncoderMemory {
    /// `[rows, length, width]`; the places of prompts put before the input are among them.
    public let states: Tensor
    /// `[rows, length]`, true where there is a token; absent where nothing is padded.
    public let valid: Tensor?

    /// The mask of attention to it, and to so many positions in front that every row sees.
    func mask(behind count: Int) throws -> AttentionMask {
        guard var valid else { return .none }
        if count > 0 {
            let seen = try Tensor.full([valid.size(0), count], 1, on: valid.device).to(.bool)
            valid = try .concatenated([seen, valid], dimension: 1)
        }
        return .allowed(try valid.unsqueezed(1).unsqueezed(1))
    }

    /// Some rows in the order given; a row may come more than once, for several decodings of one input.
    public func selecting(_ rows: RowSelection) throws -> EncoderMemory {
        EncoderMemory(states: try rows.applied(to: states), valid: try valid.map(rows.applied))
    }
}

/// The sublayer through which a decoder looks at its encoder's states: queries of its own, keys and values of theirs.
struct CrossAttention {
    let path: String
    let layer: Int
    let configuration: TransformerConfiguration
    let attachments: Attachments
    let query: LinearMap
    let key: LinearMap
    let value: LinearMap
    let output: LinearMap
    let norm: NormMap

    init(_ path: String, layer: Int, _ resolver: WeightResolver) throws {
        self.path = path
        self.layer = layer
        configuration = resolver.configuration
        attachments = resolver.attachments
        query = try resolver.linear(path + ".query")
        key = try resolver.linear(path + ".key")
        value = try resolver.linear(path + ".value")
        output = try resolver.linear(path + ".output")
        norm = try resolver.norm(path + ".norm")
    }

    /// The sublayer's output for states `[rows, length, width]`.
    func callAsFunction(_ state: Tensor, memory: EncoderMemory, cache: KeyValueCache?) throws -> Tensor {
        let (rows, length) = (state.size(0), state.size(1))
        let (count, width) = (configuration.headCount, configuration.headWidth)
        func heads(_ flat: Tensor) throws -> Tensor {
            try flat.reshaped([rows, flat.size(1), count, width]).transpose(1, 2)
        }
        let prefixes = attachments.prefixes[path] ?? []
        func form() throws -> (keys: Tensor, values: Tensor) {
            let own = (try heads(key(memory.states)), try heads(value(memory.states)))
            guard !prefixes.isEmpty else { return own }
            let before = try KeyValuePrefix.rows(rows, of: prefixes, own.0.dtype, on: own.0.device)
            return try (
                .concatenated([before.keys, own.0], dimension: 2), .concatenated([before.values, own.1], dimension: 2)
            )
        }
        let (keys, values) = try cache?.cross(layer: layer, form) ?? form()
        let mixed = try memory.mask(behind: prefixes.reduce(0) { $0 + $1.length }).attention(
            heads(query(state)), keys: keys, values: values, scale: configuration.attentionScale)
        let byHead = try attachments.passing(path + ".heads", mixed.transpose(1, 2))
        return try attachments.passing(path, output(byHead.reshaped([rows, length, count * width])))
    }
}
