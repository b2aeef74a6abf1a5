import HoneModels
import HoneTorch

/// A low-rank change of one linear map: `W + scale · up · down`.
public struct LowRankFactors {
    /// The map's site, such as `layers.0.attention.query`.
    public var path: String
    /// `[rank, inputs]`
    public var down: Tensor
    /// `[outputs, rank]`
    public var up: Tensor
    /// What their product is multiplied by.
    public var scale: Double

    /// A change of one map.
    public init(path: String, down: Tensor, up: Tensor, scale: Double) {
        self.path = path
        self.down = down
        self.up = up
        self.scale = scale
    }

    /// The rank; 0 where nothing is changed.
    public var rank: Int { down.size(0) }
}

/// A method that is nothing but low-rank changes: all that it says is which.
public protocol LowRankMethod: Method {
    /// The rate at which inputs of the changes are dropped in training.
    var dropoutRate: Double { get }
}

extension LowRankMethod {
    /// The setting `dropout`.
    public var dropoutRate: Double { settings.real("dropout") }

    /// One update a map.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        try (lowRankFactors(parameters) ?? []).attachments(dropoutRate: dropoutRate, dropout: dropout)
    }

    /// `W + scale · up · down` for every map that is changed.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try lowRankFactors(parameters)?.mergedWeights(of: model)
    }
}

extension [LowRankFactors] {
    /// One attachment a map; none where the rank is 0.
    func attachments(dropoutRate: Double, dropout: DropoutSource?) -> Attachments {
        var attachments = Attachments()
        for factors in self where factors.rank > 0 {
            attachments.linear[factors.path] = [
                LowRankAttachment(factors: factors, dropoutRate: dropoutRate, dropout: dropout)
            ]
        }
        return attachments
    }

    /// `W + scale · up · down` of every map that is changed.
    func mergedWeights(of model: Transformer) throws -> [String: Tensor] {
        try withoutGradients {
            var merged: [String: Tensor] = [:]
            for factors in self where factors.rank > 0 {
                let name = factors.path + ".weight"
                guard let weight = model.weights[name] else { continue }
                let change = try factors.up.matmul(factors.down) * factors.scale
                merged[name] = try (weight.to(.float32) + change).to(weight.dtype)
            }
            return merged
        }
    }
}

/// Adds `scale · dropout(x) · downᵀ · upᵀ` to what a map gives.
struct LowRankAttachment: LinearAttachment {
    let factors: LowRankFactors
    let dropoutRate: Double
    let dropout: DropoutSource?

    func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
        let kept = try dropout?.apply(rate: dropoutRate, to: input) ?? input
        return try output.adding(
            product: kept.linear(factors.down.to(input.dtype)), with: factors.up.to(input.dtype), scale: factors.scale)
    }

    private var drops: Bool { dropout != nil && dropoutRate > 0 }

    var actsOnTokens: Bool { true }

    var isDeterministic: Bool { !drops }

    var lowRankUpdate: FusedLinear.Update? { drops ? nil : (factors.down, factors.up, factors.scale) }
}
