import HoneFormats
import HoneTorch

/// A conditional variational autoencoder of adapter vectors (Jin et al. 2025, arXiv 2501.17635; Sohn et al. 2015).
///
/// The encoder halves the padded vector again and again by convolutions with batch norms; task vector and hidden vector together
/// give mean and logarithm of the variance of the latent vector; the decoder goes from latent and task vector back to the length.
public struct GeneratorNetwork {
    /// The sizes.
    public let shape: GeneratorShape
    /// What is trained, by the names of `shape.parameters`.
    public private(set) var parameters: [String: Tensor]
    /// The running mean and variance of each batch norm, `NAME.mean` and `NAME.variance`.
    public private(set) var statistics: [String: Tensor]

    /// A network that starts as PyTorch's layers do: weights and biases uniform in `±1/√fan-in`.
    public init(_ shape: GeneratorShape, random: inout RandomStream) throws {
        self.shape = shape
        parameters = [:]
        var bound = 1.0
        for (name, sizes) in shape.parameters {
            if name.contains(".norm.") {
                parameters[name] = try Tensor.full(sizes, name.hasSuffix("weight") ? 1 : 0)
            } else {
                // A transposed convolution's fan-in is taken from its second dimension, as PyTorch does.
                if sizes.count > 1 { bound = 1 / Double(sizes.dropFirst().reduce(1, *)).squareRoot() }
                parameters[name] = try random.uniform(sizes, low: -bound, high: bound)
            }
        }
        statistics = [:]
        for (name, channels) in shape.norms {
            statistics[name + ".mean"] = try Tensor.zeros([channels])
            statistics[name + ".variance"] = try Tensor.full([channels], 1)
        }
    }

    /// A network from its tensors.
    ///
    /// - Throws: `HoneError` with code `.badFile` that names a tensor which is missing, misshapen or not finite.
    public init(_ shape: GeneratorShape, tensors: [String: Tensor], file: String? = nil) throws {
        self.shape = shape
        func take(_ name: String, _ sizes: [Int]) throws -> Tensor {
            guard let tensor = tensors[name], tensor.shape == sizes, tensor.dtype == .float32 else {
                throw HoneError(.badFile, "the tensor is missing or misshapen", file: file, item: name)
            }
            guard try tensor.isFinite().all().item() == 1 else {
                throw HoneError(.notFinite, "holds numbers that are not finite", file: file, item: name)
            }
            return tensor
        }
        parameters = [:]
        for (name, sizes) in shape.parameters { parameters[name] = try take(name, sizes) }
        statistics = [:]
        for (name, channels) in shape.norms {
            for part in [".mean", ".variance"] { statistics[name + part] = try take(name + part, [channels]) }
        }
    }

    /// Every tensor, in a fixed order.
    public var tensors: [(name: String, tensor: Tensor)] {
        shape.parameters.compactMap { entry in parameters[entry.name].map { (entry.name, $0) } }
            + shape.norms.flatMap { norm in
                [".mean", ".variance"].compactMap { part in
                    statistics[norm.name + part].map { (norm.name + part, $0) }
                }
            }
    }

    private func tensor(_ name: String) throws -> Tensor {
        guard let tensor = parameters[name] else { throw HoneError(.mismatch, "the tensor is missing", item: name) }
        return tensor
    }

    private func linear(_ input: Tensor, _ name: String) throws -> Tensor {
        try input.linear(tensor(name + ".weight"), bias: tensor(name + ".bias"))
    }

    private func norm(_ input: Tensor, _ name: String, isTraining: Bool) throws -> Tensor {
        guard let mean = statistics[name + ".mean"], let variance = statistics[name + ".variance"] else {
            throw HoneError(.mismatch, "the tensor is missing", item: name)
        }
        return try input.batchNorm(
            weight: tensor(name + ".weight"), bias: tensor(name + ".bias"), mean: mean, variance: variance,
            isTraining: isTraining)
    }

    /// Mean and logarithm of the variance of the latent vectors, `[rows, latent]` each.
    ///
    /// - Parameters:
    ///   - vectors: `[rows, length]`; zeros are added up to the padded length.
    ///   - conditions: `[rows, condition]`.
    public func encode(_ vectors: Tensor, _ conditions: Tensor, isTraining: Bool) throws -> (
        mean: Tensor, logVariance: Tensor
    ) {
        var state = try vectors.zeroPadded(by: shape.padded - shape.length).unsqueezed(1)
        for stage in 0..<shape.stages {
            let name = "encoder.\(stage)"
            state = try state.convolved(tensor(name + ".weight"), bias: tensor(name + ".bias"), stride: 2, padding: 3)
            state = try norm(state, name + ".norm", isTraining: isTraining).leakyRelu(slope: 0.01)
        }
        let hidden = try linear(state.flattened(1), "hidden")
        let both = try Tensor.concatenated([hidden, conditions], dimension: 1)
        return (try linear(both, "mean"), try linear(both, "logVariance"))
    }

    /// Vectors `[rows, padded]` from latent vectors `[rows, latent]` and task vectors.
    public func decode(_ latent: Tensor, _ conditions: Tensor, isTraining: Bool) throws -> Tensor {
        let both = try Tensor.concatenated([latent, conditions], dimension: 1)
        var state = try linear(both, "start").reshaped([-1, shape.channels.last ?? 8, shape.bottleneck])
        for stage in 0..<shape.stages {
            let name = "decoder.\(stage)"
            state = try state.convolvedBack(
                tensor(name + ".weight"), bias: tensor(name + ".bias"), stride: 2, padding: 3, outputPadding: 1)
            state = try norm(state, name + ".norm", isTraining: isTraining).elu()
        }
        return try state.convolved(tensor("output.weight"), bias: tensor("output.bias"), padding: 3).squeezed(1)
    }

    /// The two terms of the loss.
    public struct Loss {
        /// The mean squared distance over all of the padded vector.
        public var error: Tensor
        /// The mean over rows of `−½ Σ (1 + log σ² − μ² − σ²)`.
        public var divergence: Tensor

        /// `error + β · divergence`
        public func total(_ beta: Double) throws -> Tensor { try error + divergence * beta }
    }

    /// The loss of some vectors.
    ///
    /// - Parameter noise: ε, `[rows, latent]`, drawn by the caller.
    public func loss(_ vectors: Tensor, _ conditions: Tensor, noise: Tensor, isTraining: Bool = true) throws -> Loss {
        let (mean, logVariance) = try encode(vectors, conditions, isTraining: isTraining)
        let latent = try mean + (logVariance * 0.5).exp() * noise
        let made = try decode(latent, conditions, isTraining: isTraining)
        let wanted = try vectors.zeroPadded(by: shape.padded - shape.length)
        let terms = try (logVariance + 1) - mean.power(2) - logVariance.exp()
        return Loss(error: try (made - wanted).power(2).mean(), divergence: try terms.sum([1]).mean() * -0.5)
    }

    /// New vectors `[rows, length]`, in evaluation mode: a row does not depend on the others.
    public func generate(_ latent: Tensor, _ conditions: Tensor) throws -> Tensor {
        try withoutGradients {
            try decode(latent, conditions, isTraining: false).narrowed(1, from: 0, length: shape.length)
        }
    }
}
