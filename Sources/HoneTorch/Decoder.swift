import CHoneTorch
import HoneFormats

/// A causal model of one stack in the form that writing needs: it reads new tokens in one call, without libtorch's operators in between.
///
/// Sums are formed in the same order whatever else is computed beside: what a row becomes does not depend on the rows with it, on
/// how many tokens are read at once, or on the number of threads, to the last bit. How many threads are fastest is found while
/// working, from 1 to `Engine.threads`.
///
/// It reads weights where they are, in `float32` or `bfloat16`, and sums in `float32`; states between sublayers stay in `float32`.
public final class Decoder {
    /// A linear map.
    public struct Map {
        /// `[outputs, inputs]`
        public var weight: Tensor
        /// `[outputs]`
        public var bias: Tensor?
        /// A low-rank update: `[rank, inputs]` and `[outputs, rank]`, `float32`, and what it is multiplied by.
        public var update: (down: Tensor, up: Tensor, scale: Double)?

        /// A map with or without bias and update.
        public init(weight: Tensor, bias: Tensor? = nil, update: (down: Tensor, up: Tensor, scale: Double)? = nil) {
            self.weight = weight
            self.bias = bias
            self.update = update
        }
    }

    /// Weight and bias `[width]` of a norm.
    public typealias Norm = (weight: Tensor, bias: Tensor?)

    /// One layer.
    public struct Layer {
        /// Query, key and value; or one map of all three.
        public var inputs: [Map]
        /// Of the heads' results.
        public var output: Map
        /// Absent in a feed-forward sublayer without gate.
        public var gate: Map?
        /// Into the feed-forward sublayer.
        public var up: Map
        /// Out of it.
        public var down: Map
        /// The norm of the attention sublayer.
        public var attentionNorm: Norm
        /// The norm of the feed-forward sublayer.
        public var feedForwardNorm: Norm
        /// Norms of each head's query and key, `[headWidth]`.
        public var headNorms: (query: Tensor, key: Tensor)?
        /// How many positions are seen, itself included; all where absent.
        public var window: Int?
        /// What scores are multiplied by.
        public var scale: Double

        /// A layer from its parts.
        public init(
            inputs: [Map], output: Map, gate: Map?, up: Map, down: Map, attentionNorm: Norm, feedForwardNorm: Norm,
            headNorms: (query: Tensor, key: Tensor)?, window: Int?, scale: Double
        ) {
            self.inputs = inputs
            self.output = output
            self.gate = gate
            self.up = up
            self.down = down
            self.attentionNorm = attentionNorm
            self.feedForwardNorm = feedForwardNorm
            self.headNorms = headNorms
            self.window = window
            self.scale = scale
        }
    }

    /// The function inside the feed-forward sublayer.
    public enum Activation: Int32, Sendable {
        /// `x · sigmoid(x)`
        case silu = 0
        /// The Gaussian unit by its tanh approximation.
        case geluTanh = 1
        /// The exact Gaussian unit.
        case gelu = 2
        /// `max(x, 0)`
        case relu = 3
        /// `x · sigmoid(1.702 x)`
        case geluSigmoid = 4
    }

    /// How queries, keys and values are joined where one map makes them.
    public enum Joining: Int32, Sendable {
        /// Three maps.
        case separate = 0
        /// All queries, then all keys, then all values.
        case joined = 1
        /// Of each head its query, key and value.
        case joinedByHead = 2
    }

    /// What the model is made of besides its layers.
    public struct Shape {
        /// `[vocabularySize, width]`
        public var tokens: Tensor
        /// `[positions, width]`, where positions are learned, and the row of the first.
        public var positions: (table: Tensor, offset: Int)?
        /// Vectors `[count, width]` that the tokens -1, -2, ... stand for.
        public var prefix: Tensor?
        /// `[vocabularySize, width]`
        public var head: Tensor
        /// The norm before the head.
        public var lastNorm: Norm
        /// The width inside the feed-forward sublayer.
        public var innerWidth: Int
        /// Attention heads.
        public var headCount: Int
        /// Key and value heads.
        public var keyValueHeadCount: Int
        /// The length of a head's vectors.
        public var headWidth: Int
        /// How inputs of attention are joined.
        public var joining: Joining
        /// Whether norms take off the mean.
        public var centres: Bool
        /// Whether both sublayers start from the layer's input.
        public var isParallel: Bool
        /// The function inside the feed-forward sublayer.
        public var activation: Activation
        /// What norms add to the variance.
        public var epsilon: Double
        /// The angle that a position adds to each pair of elements, in the two-halves layout; empty where nothing turns.
        public var frequencies: [Float]
        /// What cosine and sine are multiplied by.
        public var amplitude: Double

        /// A shape from its parts.
        public init(
            tokens: Tensor, positions: (table: Tensor, offset: Int)?, prefix: Tensor?, head: Tensor, lastNorm: Norm,
            innerWidth: Int, headCount: Int, keyValueHeadCount: Int, headWidth: Int, joining: Joining, centres: Bool,
            isParallel: Bool, activation: Activation, epsilon: Double, frequencies: [Float], amplitude: Double
        ) {
            self.tokens = tokens
            self.positions = positions
            self.prefix = prefix
            self.head = head
            self.lastNorm = lastNorm
            self.innerWidth = innerWidth
            self.headCount = headCount
            self.keyValueHeadCount = keyValueHeadCount
            self.headWidth = headWidth
            self.joining = joining
            self.centres = centres
            self.isParallel = isParallel
            self.activation = activation
            self.epsilon = epsilon
            self.frequencies = frequencies
            self.amplitude = amplitude
        }
    }

    let raw: hone_decoder

    /// How many vectors the negative tokens stand for.
    public let prefixCount: Int

    /// A decoder over tensors, which it keeps.
    ///
    /// - Parameter quantises: whether maps and head are turned into int8 numbers, with a scale for each 64 neighbours of an output.
    /// - Throws: `HoneError` (`.engine`) for tensors that do not fit one another.
    public init(_ shape: Shape, layers: [Layer], quantises: Bool = false) throws {
        func map(_ map: Map?) -> hone_decoder_map {
            var made = hone_decoder_map()
            made.weight = map?.weight.raw
            made.bias = map?.bias?.raw
            made.down = map?.update?.down.raw
            made.up = map?.update?.up.raw
            made.scale = map?.update?.scale ?? 1
            return made
        }
        func norm(_ norm: Norm?) -> hone_decoder_norm {
            hone_decoder_norm(weight: norm?.weight.raw, bias: norm?.bias?.raw)
        }
        let rows = layers.map { layer in
            var made = hone_decoder_layer()
            let inputs = (0..<3).map { map(layer.inputs.indices.contains($0) ? layer.inputs[$0] : nil) }
            made.inputs = (inputs[0], inputs[1], inputs[2])
            made.output = map(layer.output)
            made.gate = map(layer.gate)
            made.up = map(layer.up)
            made.down = map(layer.down)
            made.attention_norm = norm(layer.attentionNorm)
            made.mlp_norm = norm(layer.feedForwardNorm)
            made.query_norm = norm(layer.headNorms.map { ($0.query, nil) })
            made.key_norm = norm(layer.headNorms.map { ($0.key, nil) })
            made.window = Int64(layer.window ?? 0)
            made.scale = layer.scale
            return made
        }
        var whole = hone_decoder_shape()
        whole.tokens = shape.tokens.raw
        whole.positions = shape.positions?.table.raw
        whole.position_offset = Int64(shape.positions?.offset ?? 0)
        whole.prefix = shape.prefix?.raw
        whole.head = shape.head.raw
        whole.last_norm = norm(shape.lastNorm)
        whole.layer_count = Int64(layers.count)
        whole.width = Int64(shape.tokens.size(1))
        whole.inner = Int64(shape.innerWidth)
        whole.heads = Int64(shape.headCount)
        whole.key_heads = Int64(shape.keyValueHeadCount)
        whole.head_width = Int64(shape.headWidth)
        whole.joined = shape.joining.rawValue
        whole.centres = shape.centres
        whole.parallel = shape.isParallel
        whole.activation = shape.activation.rawValue
        whole.epsilon = shape.epsilon
        whole.frequency_count = Int64(shape.frequencies.count)
        whole.amplitude = shape.amplitude
        whole.quantises = quantises
        var made: hone_decoder?
        let status = rows.withUnsafeBufferPointer { rows in
            shape.frequencies.withUnsafeBufferPointer { frequencies in
                whole.layers = rows.baseAddress
                whole.frequencies = frequencies.baseAddress
                return withExtendedLifetime((shape, layers)) { hone_decoder_make(&whole, &made) }
            }
        }
        try check(status, in: "decoder")
        guard let made else { throw HoneError(.engine, "gave no decoder", item: "decoder") }
        raw = made
        prefixCount = shape.prefix?.size(0) ?? 0
    }

    deinit { hone_decoder_free(raw) }

    /// The bytes of weights that reading one token of one row takes from memory.
    public var weightBytes: Int { Int(hone_decoder_bytes(raw)) }
}

/// Texts in the middle of being written by a `Decoder`: what they have read is kept, in pages that texts with a common beginning share.
public final class Decoding {
    private let decoder: Decoder
    private let raw: hone_decoding
    /// How many rows there are.
    public private(set) var rowCount: Int

    /// Rows that have read nothing.
    public init(_ decoder: Decoder, rows: Int) throws {
        self.decoder = decoder
        var made: hone_decoding?
        try check(hone_decoding_make(decoder.raw, Int64(rows), &made), in: "decoding")
        guard let made else { throw HoneError(.engine, "gave no decoding", item: "decoding") }
        raw = made
        rowCount = rows
    }

    deinit { hone_decoding_free(raw) }

    /// Reads new tokens of every row and gives for each row the likeliest token to follow, the first of equals.
    ///
    /// - Throws: `HoneError` with code `.notFinite` where the scores are not finite numbers.
    public func likeliest(after tokens: [[Int]]) throws -> [Int] {
        try likeliest(after: tokens, wanted: HONE_LAST_LIKELIEST, count: tokens.count)
    }

    /// Reads new tokens of every row and gives the likeliest token to follow each of them, row after row.
    ///
    /// - Throws: `HoneError` with code `.notFinite` where the scores are not finite numbers.
    public func likeliestAfterEach(of tokens: [[Int]]) throws -> [Int] {
        try likeliest(after: tokens, wanted: HONE_EVERY_LIKELIEST, count: tokens.reduce(0) { $0 + $1.count })
    }

    /// Reads new tokens of every row and gives scores of what follows, `[rows, vocabularySize]`, `float32`.
    public func scores(after tokens: [[Int]]) throws -> Tensor {
        var made: hone_tensor?
        try read(tokens, wanted: HONE_LAST_SCORES, into: nil, &made)
        guard let made else { throw HoneError(.engine, "gave no scores", item: "decoding") }
        return Tensor(owning: made)
    }

    /// Goes on with these rows, by their numbers: dropped, repeated or in another order.
    public func select(rows: [Int]) throws {
        try check(hone_decoding_select(raw, rows.map { Int64($0) }, Int64(rows.count)), in: "decoding")
        rowCount = rows.count
    }

    /// Forgets what a row has read behind so many tokens.
    public func shorten(row: Int, to length: Int) throws {
        try check(hone_decoding_shorten(raw, Int64(row), Int64(length)), in: "decoding")
    }

    private func likeliest(after tokens: [[Int]], wanted: Int, count: Int) throws -> [Int] {
        var found = [Int64](repeating: 0, count: count)
        var none: hone_tensor?
        try found.withUnsafeMutableBufferPointer { try read(tokens, wanted: wanted, into: $0.baseAddress, &none) }
        guard found.allSatisfy({ $0 >= 0 }) else {
            throw HoneError(.notFinite, "the model's scores of the next token are not finite numbers")
        }
        return found.map { Int($0) }
    }

    private func read(
        _ tokens: [[Int]], wanted: Int, into likeliest: UnsafeMutablePointer<Int64>?, _ scores: inout hone_tensor?
    ) throws {
        precondition(tokens.count == rowCount, "every row is given tokens")
        let flat = tokens.flatMap { $0.map { Int64($0) } }
        let counts = tokens.map { Int64($0.count) }
        try check(hone_decoding_read(raw, flat, counts, Int32(wanted), likeliest, &scores), in: "decoding")
    }
}
