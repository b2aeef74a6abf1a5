import HoneFormats
import HoneModels
import HoneTorch

/// The skills of one linear map: `heads` blocks of its inputs and outputs, each with its own low-rank factors of every skill.
struct SkillInventory {
    /// `[heads, skills, inputs / heads, rank]`
    let down: Tensor
    /// `[heads, skills, rank, outputs / heads]`
    let up: Tensor

    var heads: Int { down.size(0) }
    var skills: Int { down.size(1) }
    var rank: Int { down.size(3) }

    /// The skills mixed into one low-rank update for each set of weights `[sets, heads, skills]`: `[sets, rank, inputs]` and
    /// `[sets, outputs, rank]` (Caccia et al. 2023, section 3.1). It is the factors that are mixed, not what they give.
    func mixed(_ weights: Tensor) throws -> (down: Tensor, up: Tensor) {
        let sets = weights.size(0)
        let byHead = try weights.transpose(0, 1)
        func product(_ factor: Tensor) throws -> Tensor {
            try byHead.matmul(factor.reshaped([heads, skills, -1]))
                .reshaped([heads, sets, factor.size(2), factor.size(3)])
        }
        let down = try product(self.down).permuted([1, 3, 0, 2]).reshaped([sets, rank, -1])
        let up = try product(self.up).permuted([1, 0, 3, 2]).reshaped([sets, -1, rank])
        // With one head the reshaped factors are views with gaps.
        return try (down.contiguous(), up.contiguous())
    }

    /// The mean of the skills, as one update.
    func mean() throws -> (down: Tensor, up: Tensor) {
        let uniform = try Tensor.full([1, heads, skills], 1 / Double(skills)).to(down.device)
        let mixed = try mixed(uniform)
        return try (mixed.down.at(0), mixed.up.at(0))
    }
}

/// What makes weights of routing logits.
enum RoutingWeights {
    private static let epsilon = 1e-12

    /// Weights `[sets, heads, skills]` of logits `[sets, heads · skills]`: their logistic functions, divided by the sum over the
    /// skills.
    ///
    /// - Parameter uniform: numbers between 0 and 1 of the logits' shape that draw relaxed Bernoulli variables of temperature 1
    ///   instead (Maddison et al. 2017, arXiv 1611.00712).
    static func weights(_ logits: Tensor, heads: Int, uniform: Tensor? = nil) throws -> Tensor {
        var logits = logits
        if let uniform {
            // Rounding could make them 0 or 1, whose logarithms are infinite.
            let drawn = try uniform.clamped(min: 1.2e-7).clamped(max: 1 - 1.2e-7)
            logits = try logits + drawn.log() - (1 - drawn).log()
        }
        let open = try logits.sigmoid().reshaped([logits.size(0), heads, -1])
        return try open / (open.sum([-1], keepDimensions: true) + epsilon)
    }
}
