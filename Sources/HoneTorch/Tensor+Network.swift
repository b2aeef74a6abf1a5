// The operators that networks are made of.

private enum Network {
    static let matmul = Operator("aten::matmul")
    static let linear = Operator("aten::linear")
    static let embedding = Operator("aten::embedding")
    static let layerNorm = Operator("aten::layer_norm")
    static let rmsNorm = Operator("aten::rms_norm")
    static let softmax = Operator("aten::softmax", "int")
    static let logSoftmax = Operator("aten::log_softmax", "int")
    static let gelu = Operator("aten::gelu")
    static let silu = Operator("aten::silu")
    static let relu = Operator("aten::relu")
    static let tanh = Operator("aten::tanh")
    static let sigmoid = Operator("aten::sigmoid")
    static let attention = Operator("aten::scaled_dot_product_attention")
    static let crossEntropy = Operator("aten::cross_entropy_loss")
    static let multinomial = Operator("aten::multinomial")
}

extension Tensor {
    /// The matrix product over the last two dimensions, batched over the others.
    public func matmul(_ other: Tensor) throws -> Tensor { try Network.matmul(.tensor(self), .tensor(other)) }

    /// `self · weightᵀ + bias`, with self `[..., inputs]`, weight `[outputs, inputs]`, bias `[outputs]`.
    public func linear(_ weight: Tensor, bias: Tensor? = nil) throws -> Tensor {
        try Network.linear(.tensor(self), .tensor(weight), .optional(bias))
    }

    /// Rows of a table: self `[rows, width]`, indices of any shape (`int64`), result `[..., width]`.
    public func embedding(_ indices: Tensor) throws -> Tensor {
        try Network.embedding(.tensor(self), .tensor(indices))
    }

    /// Layer normalisation over the last dimension (Ba et al. 2016).
    public func layerNorm(weight: Tensor?, bias: Tensor?, epsilon: Double) throws -> Tensor {
        try Network.layerNorm(.tensor(self), .integers([size(-1)]), .optional(weight), .optional(bias), .real(epsilon))
    }

    /// Root-mean-square normalisation over the last dimension (Zhang and Sennrich 2019).
    public func rmsNorm(weight: Tensor?, epsilon: Double) throws -> Tensor {
        try Network.rmsNorm(.tensor(self), .integers([size(-1)]), .optional(weight), .real(epsilon))
    }

    /// Exponentials along a dimension, scaled to sum to one.
    public func softmax(_ dimension: Int) throws -> Tensor {
        try Network.softmax(.tensor(self), .integer(dimension))
    }

    /// The logarithm of `softmax`, without overflow.
    public func logSoftmax(_ dimension: Int) throws -> Tensor {
        try Network.logSoftmax(.tensor(self), .integer(dimension))
    }

    /// Gaussian error linear unit (Hendrycks and Gimpel 2016); exact, or by its tanh approximation.
    public func gelu(approximate: Bool = false) throws -> Tensor {
        try Network.gelu(.tensor(self), .string(approximate ? "tanh" : "none"))
    }

    /// `x · sigmoid(x)`
    public func silu() throws -> Tensor { try Network.silu(.tensor(self)) }

    /// Each element, but at least zero.
    public func relu() throws -> Tensor { try Network.relu(.tensor(self)) }

    /// The hyperbolic tangent.
    public func tanh() throws -> Tensor { try Network.tanh(.tensor(self)) }

    /// `1 / (1 + exp(-x))`
    public func sigmoid() throws -> Tensor { try Network.sigmoid(.tensor(self)) }

    /// Scaled dot-product attention: `softmax(self · keysᵀ · scale + mask) · values`.
    ///
    /// - Parameters:
    ///   - self: the queries, `[batch, heads, length, width]`.
    ///   - keys: `[batch, heads, keyLength, width]`, like `values`.
    ///   - mask: added to the scores (floating point), or true where attention is allowed (`bool`); broadcast to
    ///     `[batch, heads, length, keyLength]`.
    ///   - isCausal: lets a position see itself and what is before it; not together with a mask.
    ///   - scale: one over the square root of the width where left out.
    public func attention(
        keys: Tensor, values: Tensor, mask: Tensor? = nil, isCausal: Bool = false, scale: Double? = nil
    ) throws -> Tensor {
        try Network.attention(
            .tensor(self), .tensor(keys), .tensor(values), .optional(mask), .real(0), .boolean(isCausal),
            scale.map { .real($0) } ?? .none)
    }

    /// The cross-entropy of logits `[rows, classes]` with the right classes `[rows]` (`int64`), summed over the rows.
    /// Rows whose class is -100 count nothing.
    public func crossEntropySum(_ targets: Tensor, labelSmoothing: Double = 0) throws -> Tensor {
        try Network.crossEntropy(
            .tensor(self), .tensor(targets), .none, .integer(2), .integer(-100), .real(labelSmoothing))
    }

    /// Draws `count` indices from each row of weights `[rows, choices]`, with replacement.
    public func drawn(_ count: Int = 1, seed: UInt64) throws -> Tensor {
        try Network.multinomial(.tensor(self), .integer(count), .boolean(true), .seed(seed))
    }
}

/// One AdamW step over many tensors at once, in place (Loshchilov and Hutter 2019, algorithm 2).
///
/// - Parameters:
///   - parameters: what is trained; `gradients`, `means` and `squares` match it one by one.
///   - steps: how many steps each parameter has seen, one-element `float32` tensors, already counted up.
public func adamWStep(
    parameters: [Tensor], gradients: [Tensor], means: [Tensor], squares: [Tensor], steps: [Tensor],
    learningRate: Double, beta1: Double, beta2: Double, weightDecay: Double, epsilon: Double
) throws {
    guard !parameters.isEmpty else { return }
    try withoutGradients {
        try FusedSteps.adamW.run(
            .tensors(parameters), .tensors(gradients), .tensors(means), .tensors(squares), .tensors([]),
            .tensors(steps), .real(learningRate), .real(beta1), .real(beta2), .real(weightDecay), .real(epsilon),
            .boolean(false), .boolean(false))
    }
}

/// The Euclidean norm of many tensors taken as one long vector, formed in `float32` in the order given.
public func jointNorm(_ tensors: [Tensor]) throws -> Double {
    guard !tensors.isEmpty else { return 0 }
    return try withoutGradients {
        let norms = try FusedSteps.norms.results([.tensors(tensors)], capacity: tensors.count + 1)
        return try Tensor.stacked(norms.map { try $0.to(.float32) }).norm().item()
    }
}

private enum FusedSteps {
    static let adamW = Operator("aten::_fused_adamw_")
    static let addMultiply = Operator("aten::addmm")
    static let norms = Operator("aten::_foreach_norm", "Scalar")
}

extension Tensor {
    /// `self + scale · factor · weightᵀ` in one pass over the result: factor `[..., inner]`, weight `[outputs, inner]`,
    /// self `[..., outputs]`.
    public func adding(product factor: Tensor, with weight: Tensor, scale: Double) throws -> Tensor {
        let flat = try FusedSteps.addMultiply(
            .tensor(reshaped([-1, size(-1)])), .tensor(factor.reshaped([-1, factor.size(-1)])),
            .tensor(weight.transpose(0, 1)), .real(1), .real(scale))
        return try flat.reshaped(shape)
    }
}
