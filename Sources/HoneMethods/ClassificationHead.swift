import HoneFormats
import HoneModels
import HoneTorch

/// The linear map from a pooled vector to a score a class. It belongs to the task, not to a method: every gradient method
/// trains it along, and a probe is nothing else.
///
/// It has the name of a language-model head on purpose: in a parameter set for classification it takes the place of that
/// head, which no score depends on.
public enum ClassificationHead {
    /// The name of its weight `[classes, width]`.
    public static let weight = "head.weight"
    /// The name of its bias `[classes]`.
    public static let bias = "head.bias"

    /// The name of its scale `[1]`, where it looks at directions only: vectors are brought to this length first.
    public static let scale = "head.scale"

    /// A head that starts uniform in `±1/√width`, as a fresh linear layer does.
    public static func initialise(
        _ parameters: inout ParameterSet, classes: Int, model: BaseModel, random: inout RandomStream
    ) throws {
        let width = model.configuration.width
        let bound = 1 / Double(width).squareRoot()
        let device = model.transformer.device
        parameters.set(weight, try random.uniform([classes, width], low: -bound, high: bound).to(device), group: .head)
        parameters.set(bias, try random.uniform([classes], low: -bound, high: bound).to(device), group: .head)
    }

    /// Scores `[rows, classes]` from pooled vectors `[rows, width]`.
    public static func logits(_ pooled: Tensor, _ parameters: ParameterSet) throws -> Tensor {
        var vectors = try pooled.to(.float32)
        if let scale = parameters[scale] { vectors = try normalised(vectors) * scale }
        return try vectors.linear(parameters.tensor(weight), bias: parameters[bias])
    }

    /// Vectors `[rows, width]` of length one.
    public static func normalised(_ vectors: Tensor) throws -> Tensor {
        try vectors / vectors.norm([1], keepDimensions: true).clamped(min: 1e-12)
    }
}
