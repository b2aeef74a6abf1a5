import HoneTorch

/// The keys and values of positions already seen, so that generation computes each position once.
///
/// The one piece of mutable state of a forward pass; it belongs to one generation and is not shared.
public final class KeyValueCache {
    /// How many positions are held, prompts and padding included.
    public private(set) var length = 0
    /// `[rows, length]`, true where a position counts; absent where all do.
    private(set) var valid: Tensor?
    private var layers: [(keys: Tensor, values: Tensor)?]
    private let growth = 64
    /// What the decoder of an encoder-decoder looks at.
    public private(set) var memory: EncoderMemory?
    /// The keys and values that a decoder's layers form of the memory, once.
    private var crossLayers: [(keys: Tensor, values: Tensor)?]

    /// An empty cache for a model.
    ///
    /// - Parameter memory: of an encoder-decoder: `Transformer.memory(of:)` over the input. What is decoded with the cache
    ///   looks at it.
    public init(for configuration: TransformerConfiguration, memory: EncoderMemory? = nil) {
        layers = Array(repeating: nil, count: (configuration.decoderStack ?? configuration).layerCount)
        crossLayers = layers
        self.memory = memory
    }

    /// A layer's keys and values of the memory, formed at the first call.
    func cross(layer: Int, _ form: () throws -> (keys: Tensor, values: Tensor)) throws -> (keys: Tensor, values: Tensor)
    {
        if let held = crossLayers[layer] { return held }
        let formed = try form()
        crossLayers[layer] = formed
        return formed
    }

    /// Puts a layer's new keys and values `[rows, heads, new, width]` behind those held; gives all of them.
    func extend(layer: Int, keys: Tensor, values: Tensor) throws -> (keys: Tensor, values: Tensor) {
        let new = keys.size(2)
        let total = length + new
        if layers[layer].map({ $0.keys.size(2) < total }) ?? true {
            var shape = keys.shape
            shape[2] = total + growth
            let grown = try (
                Tensor.empty(shape, keys.dtype, on: keys.device), Tensor.empty(shape, keys.dtype, on: keys.device)
            )
            if let old = layers[layer], length > 0 {
                try grown.0.narrowed(2, from: 0, length: length)
                    .copyInPlace(old.keys.narrowed(2, from: 0, length: length))
                try grown.1.narrowed(2, from: 0, length: length)
                    .copyInPlace(old.values.narrowed(2, from: 0, length: length))
            }
            layers[layer] = grown
        }
        guard let held = layers[layer] else { return (keys, values) }
        try held.keys.narrowed(2, from: length, length: new).copyInPlace(keys)
        try held.values.narrowed(2, from: length, length: new).copyInPlace(values)
        return try (held.keys.narrowed(2, from: 0, length: total), held.values.narrowed(2, from: 0, length: total))
    }

    /// Counts the positions that all layers have now taken.
    func advance(by new: Int, valid newValid: Tensor?) throws {
        if valid != nil || newValid != nil, let rows = layers.first??.keys.size(0) {
            let old = try valid ?? Tensor.full([rows, length], 1).to(.bool)
            let added = try newValid ?? Tensor.full([rows, new], 1).to(.bool)
            valid = length > 0 ? try Tensor.concatenated([old, added.to(old.device)], dimension: 1) : added
        }
        length += new
    }

    /// Keeps only some rows, in the order given, when others have finished.
    public func keep(rows: Tensor) throws {
        layers = try layers.map { try $0.map { try ($0.keys.selecting(rows), $0.values.selecting(rows)) } }
        crossLayers = try crossLayers.map {
            try $0.map { try ($0.keys.selecting(rows), $0.values.selecting(rows)) }
        }
        valid = try valid?.selecting(rows)
        memory = try memory?.selecting(rows)
    }
}
