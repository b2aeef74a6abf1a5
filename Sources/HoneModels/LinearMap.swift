import HoneTorch

/// A linear map of a transformer, `y = x · weightᵀ + bias`, with what is attached to it.
public struct LinearMap {
    /// The site's path, such as `layers.3.attention.query`.
    public let path: String
    /// `[outputs, inputs]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    let attachments: [any LinearAttachment]

    /// The map of an input `[..., inputs]`: `[..., outputs]`.
    func callAsFunction(_ input: Tensor) throws -> Tensor {
        var output = try input.linear(weight, bias: bias)
        for attachment in attachments { output = try attachment.output(output, input: input, of: self) }
        return output
    }
}

/// A norm of a transformer.
struct NormMap {
    let kind: TransformerConfiguration.Norm
    let weight: Tensor
    let bias: Tensor?
    let epsilon: Double

    func callAsFunction(_ input: Tensor) throws -> Tensor {
        switch kind {
        case .layer: try input.layerNorm(weight: weight, bias: bias, epsilon: epsilon)
        case .rootMeanSquare: try input.rmsNorm(weight: weight, epsilon: epsilon)
        }
    }
}
