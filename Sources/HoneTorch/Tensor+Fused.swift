// Kernels of Hone's own, each one step of the graph of gradients. They compute on the CPU in `float32` and `bfloat16`; their
// gradients have none themselves. What they give is what the operators named in each comment give, up to rounding.

private enum Fused {
    static let attention = Operator("hone::segment_attention")
    static let linears = Operator("hone::linear_group")
    static let norm = Operator("hone::norm")
    static let gated = Operator("hone::gated")
    static let targetLoss = Operator("hone::target_loss")
    static let fewRowsProduct = Operator("hone::few_rows_product")
}

/// One of several linear maps that act on the same input.
public struct FusedLinear {
    /// `[outputs, inputs]`
    public var weight: Tensor
    /// `[outputs]`
    public var bias: Tensor?
    /// A low-rank update: `[rank, inputs]` and `[outputs, rank]`, `float32`, and what it is multiplied by. One for all
    /// tokens, or one for each segment of them.
    public var updates: [Update?]

    /// A low-rank update.
    public typealias Update = (down: Tensor, up: Tensor, scale: Double)

    /// A map with or without an update.
    public init(weight: Tensor, bias: Tensor? = nil, update: Update? = nil) {
        self.init(weight: weight, bias: bias, updates: [update])
    }

    /// A map with an update, or none, for each segment of the tokens.
    public init(weight: Tensor, bias: Tensor?, updates: [Update?]) {
        self.weight = weight
        self.bias = bias
        self.updates = updates
    }
}

extension Tensor {
    /// Whether Hone's own kernels can compute on this tensor.
    public var suitsFusedKernels: Bool { device == .cpu && (dtype == .float32 || dtype == .bfloat16) }

    /// `x · weightᵀ + bias + scale · x · downᵀ · upᵀ` of every map, for an input `[..., inputs]`: `linear` and `adding(product:)`.
    ///
    /// - Parameter bounds: where the segments of the tokens begin that have updates of their own, and the number of tokens
    ///   at the end; empty where all tokens have the same.
    public func linears(_ maps: [FusedLinear], bounds: [Int] = []) throws -> [Tensor] {
        let segments = bounds.isEmpty ? 1 : bounds.count - 1
        precondition(maps.allSatisfy { $0.updates.count == segments }, "every segment has an update or none")
        let updates = (0..<segments).flatMap { segment in maps.map { $0.updates[segment] } }
        return try Fused.linears.results([
            .tensor(self), .tensors(maps.map(\.weight)), .tensors(maps.map(\.bias)), .tensors(updates.map { $0?.down }),
            .tensors(updates.map { $0?.up }), .reals(updates.map { $0?.scale ?? 1 }), .integers(bounds),
        ])
    }

    /// Attention of tokens `[tokens, heads · width]` that stand row after row without padding: a token sees its own row only.
    /// The plain form is `attention` row by row.
    ///
    /// - Parameters:
    ///   - keys: `[tokens, keyHeads · width]`, like `values`; each serves a group of heads.
    ///   - offsets: where rows begin, and the number of tokens at the end, `int64`.
    ///   - parents: makes a tree of the rows: which one each goes on from and also sees, -1 for none, `int64`. A row stands
    ///     behind its parent; only where attention is causal.
    ///   - angles: cosine and sine `[tokens, width]` by which queries and keys are turned, in the two-halves layout.
    public func segmentAttention(
        keys: Tensor, values: Tensor, offsets: Tensor, parents: Tensor? = nil, angles: (cosine: Tensor, sine: Tensor)?,
        width: Int, isCausal: Bool, scale: Double
    ) throws -> Tensor {
        try Fused.attention(
            .tensor(self), .tensor(keys), .tensor(values), .tensor(offsets), .optional(parents),
            .optional(angles?.cosine), .optional(angles?.sine), .integer(width), .boolean(isCausal), .real(scale))
    }

    /// The norm of `self + residual` over the last dimension, and that sum: `layerNorm` where `centres`, `rmsNorm`
    /// otherwise. Weight and bias may not require gradients.
    public func fusedNorm(adding residual: Tensor? = nil, weight: Tensor, bias: Tensor?, centres: Bool, epsilon: Double)
        throws -> (normed: Tensor, sum: Tensor)
    {
        let results = try Fused.norm.results([
            .tensor(self), .optional(residual), .tensor(weight), .optional(bias), .boolean(centres), .real(epsilon),
        ])
        return (results[0], results[1])
    }

    /// `silu() · up`, or `gelu(approximate: true) · up`.
    public func gating(_ up: Tensor, tanh: Bool = false) throws -> Tensor {
        try Fused.gated(.tensor(self), .tensor(up), .integer(tanh ? 1 : 0))
    }

    /// The summed cross-entropy of states `[targets, width]` through a head `[tokens, width]` against target tokens
    /// `[targets]`: `linear` and `crossEntropySum`, a few rows at a time, so that logits are never kept.
    public func targetLoss(head: Tensor, targets: Tensor, rowsAtOnce: Int = 128) throws -> Tensor {
        try Fused.targetLoss(.tensor(self), .tensor(head), .tensor(targets), .integer(rowsAtOnce))
    }

    /// `self · weightᵀ` `[rows, outputs]` in `float32` for a few rows `[rows, inputs]`, as a `Decoder` forms it: without gradients.
    ///
    /// - Parameters:
    ///   - weight: `[outputs, inputs]`, `float32` or `bfloat16`; the input is rounded to its type.
    ///   - quantises: whether weight and input are read as int8 numbers, with a scale for each 64 neighbours.
    ///   - isPortable: whether instructions that not every processor has are left alone.
    public func fewRowsProduct(_ weight: Tensor, quantises: Bool = false, isPortable: Bool = false) throws -> Tensor {
        try Fused.fewRowsProduct(.tensor(self), .tensor(weight), .boolean(quantises), .boolean(isPortable))
    }
}
