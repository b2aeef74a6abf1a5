// Convolutions along one dimension, and what stands between them.

private enum Convolutions {
    static let conv1d = Operator("aten::conv1d")
    static let transposed1d = Operator("aten::conv_transpose1d", "")
    static let batchNorm = Operator("aten::batch_norm")
    static let elu = Operator("aten::elu")
    static let pad = Operator("aten::constant_pad_nd")
}

extension Tensor {
    /// A convolution along the last dimension: self `[batch, inputs, length]`, weight `[outputs, inputs, kernel]`, bias `[outputs]`.
    public func convolved(_ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0) throws -> Tensor {
        try Convolutions.conv1d(
            .tensor(self), .tensor(weight), .optional(bias), .integers([stride]), .integers([padding]))
    }

    /// The transposed convolution, by which a convolution's gradient flows: self `[batch, inputs, length]`, weight
    /// `[inputs, outputs, kernel]`; the result is `(length - 1) · stride - 2 · padding + kernel + outputPadding` long.
    public func convolvedBack(
        _ weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0
    ) throws -> Tensor {
        try Convolutions.transposed1d(
            .tensor(self), .tensor(weight), .optional(bias), .integers([stride]), .integers([padding]),
            .integers([outputPadding]))
    }

    /// Batch normalisation of each channel (Ioffe and Szegedy 2015): self `[batch, channels, length]`.
    ///
    /// - Parameters:
    ///   - mean: the running mean `[channels]`; in training the batch's own is used and this one moves towards it in place.
    ///   - variance: the running variance, likewise.
    ///   - momentum: how far the running figures move.
    public func batchNorm(
        weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, isTraining: Bool, momentum: Double = 0.1,
        epsilon: Double = 1e-5
    ) throws -> Tensor {
        try Convolutions.batchNorm(
            .tensor(self), .tensor(weight), .tensor(bias), .tensor(mean), .tensor(variance), .boolean(isTraining),
            .real(momentum), .real(epsilon), .boolean(false))
    }

    /// Exponential linear unit (Clevert et al. 2016): `exp(x) - 1` below 0.
    public func elu() throws -> Tensor { try Convolutions.elu(.tensor(self)) }

    /// The last dimension made longer with zeros at its end.
    public func zeroPadded(by count: Int) throws -> Tensor {
        try Convolutions.pad(.tensor(self), .integers([0, count]), .real(0))
    }
}
