import HoneTorch

extension TransformerConfiguration {
    /// The function inside the feed-forward sublayer.
    public enum Activation: Hashable, Sendable {
        /// Gaussian error linear unit, exact (Hendrycks and Gimpel 2016).
        case gelu
        /// Gaussian error linear unit by its tanh approximation.
        case geluTanh
        /// `x · sigmoid(1.702 x)`
        case geluSigmoid
        /// The exact unit, kept within ±10.
        case geluClipped
        /// `x · sigmoid(x)`
        case silu
        /// `max(x, 0)`
        case relu
        /// `max(x, 0)²` (So et al. 2021)
        case reluSquared
        /// `max(x, 0)`, at most 6.
        case relu6
        /// `x`, or a hundredth of it below 0.
        case reluLeaky
        /// `x · relu6(x + 3) / 6` (Howard et al. 2019)
        case hardSwish
        /// `x · tanh(log(1 + exp(x)))` (Misra 2019)
        case mish
        /// The normal distribution's function at mean 0.707107 and deviation 0.282095 (Ma et al. 2022).
        case laplace
        /// `tanh(x)`
        case tanh
        /// `1 / (1 + exp(-x))`
        case sigmoid
        /// `√log(1 + exp(x))`
        case softplusRoot
        /// `x`
        case identity

        /// The activation of a Hugging Face name; `nil` for one that is not known, or that has weights of its own.
        public init?(name: String) {
            switch name {
            case "gelu", "gelu_python": self = .gelu
            case "gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh": self = .geluTanh
            case "quick_gelu": self = .geluSigmoid
            case "gelu_10": self = .geluClipped
            case "silu", "swish": self = .silu
            case "relu": self = .relu
            case "relu2": self = .reluSquared
            case "relu6": self = .relu6
            case "leaky_relu": self = .reluLeaky
            case "hardswish": self = .hardSwish
            case "mish": self = .mish
            case "laplace": self = .laplace
            case "tanh": self = .tanh
            case "sigmoid": self = .sigmoid
            case "sqrtsoftplus": self = .softplusRoot
            case "linear": self = .identity
            default: return nil
            }
        }

        /// The function of each element.
        public func callAsFunction(_ input: Tensor) throws -> Tensor {
            switch self {
            case .gelu: try input.gelu()
            case .geluTanh: try input.gelu(approximate: true)
            case .geluSigmoid: try input * (input * 1.702).sigmoid()
            case .geluClipped: try input.gelu().clamped(min: -10).clamped(max: 10)
            case .silu: try input.silu()
            case .relu: try input.relu()
            case .reluSquared: try input.relu().power(2)
            case .relu6: try input.relu6()
            case .reluLeaky: try input.leakyRelu(slope: 0.01)
            case .hardSwish: try input.hardSwish()
            case .mish: try input.mish()
            case .laplace: try (((input - 0.707107) / (0.282095 * 2.0.squareRoot())).errorFunction() + 1) * 0.5
            case .tanh: try input.tanh()
            case .sigmoid: try input.sigmoid()
            case .softplusRoot: try input.softplus().sqrt()
            case .identity: input
            }
        }
    }
}
