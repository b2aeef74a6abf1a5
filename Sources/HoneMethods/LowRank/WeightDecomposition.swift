import HoneModels
import HoneTorch

/// Weights whose rows have trained lengths and low-rank directions: `m ⊙ (W + s·B·A) / ‖W + s·B·A‖`, with the norm of every row taken
/// for a constant in the gradients (Liu et al. 2024, sections 4.1 and 4.3).
enum WeightDecomposition {
    /// `W + s · B · A`, `float32`.
    static func changed(_ weight: Tensor, _ factors: LowRankFactors) throws -> Tensor {
        try weight.to(.float32) + factors.up.matmul(factors.down) * factors.scale
    }

    /// The length of every row of the changed weight `[outputs]`, a constant.
    static func lengths(of weight: Tensor, _ factors: LowRankFactors) throws -> Tensor {
        try withoutGradients { try changed(weight, factors).norm([1]) }
    }

    /// By how much every row is longer than it would be, `[outputs]`: exactly 1 where nothing is trained yet.
    static func gain(of weight: Tensor, _ factors: LowRankFactors, lengths trained: Tensor) throws -> Tensor {
        try trained / lengths(of: weight, factors)
    }

    /// Makes of a map's output what the map with changed weights would give.
    struct Attachment: LinearAttachment {
        let factors: LowRankFactors
        let gain: Tensor
        let dropoutRate: Double
        let dropout: DropoutSource?

        func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
            let gain = try gain.to(output.dtype)
            func update(_ input: Tensor) throws -> Tensor {
                let inner = try input.linear(factors.down.to(input.dtype))
                return try inner.linear(factors.up.to(input.dtype)) * factors.scale
            }
            guard let dropout, drops else {
                let own = try map.bias.map { try output - $0 } ?? output
                return try output + (gain - 1) * own + gain * update(input)
            }
            // What is dropped of the update's input is dropped of what the longer rows add, as PEFT does it.
            let kept = try dropout.apply(rate: dropoutRate, to: input)
            return try output + (gain - 1) * kept.linear(map.weight) + gain * update(kept)
        }

        private var drops: Bool { dropout != nil && dropoutRate > 0 }

        var actsOnTokens: Bool { true }

        var isDeterministic: Bool { !drops }
    }
}
