import HoneFormats
import HoneTorch

/// The mathematics of masks over one long vector of coordinates (Panigrahi et al. 2023, arXiv 2302.06600, section 2).
///
/// With `θ(γ) = θ_pre + γ ⊙ Δ`, a starting mask `γ_b` and scores `S`, the soft mask is
/// `γ(S) = γ_b + (1 − 2 γ_b) ⊙ σ(S − b)`: the sigmoid is the probability that the starting mask's entry is turned over.
public enum GraftMask {
    /// Exactly so many coordinates with the largest scores, as `bool`; among equal scores those that come first.
    ///
    /// - Parameter allowed: which coordinates may be taken at all; fewer than `count` are taken where fewer are allowed.
    public static func largest(_ scores: Tensor, keeping count: Int, among allowed: Tensor) throws -> Tensor {
        try withoutGradients {
            let available = Int(try allowed.to(.int64).sum().item())
            guard available > count else { return try allowed.cloned() }
            let lowest = -Double.infinity
            let ranked = try allowed.select(
                scores, Tensor.full(scores.shape, lowest, scores.dtype, on: scores.device))
            let threshold = try ranked.largest(count).values.min()
            let above = try ranked.greater(threshold)
            let missing = count - Int(try above.to(.int64).sum().item())
            // Of those that equal the last one taken, the first ones; `nonZero` gives them in order.
            let ties = try ranked.equal(threshold).nonZero().reshaped([-1]).narrowed(0, from: 0, length: missing)
            let taken = try Tensor.full([missing], 1, .bool, on: scores.device)
            return try above.scattering(taken, at: ties, dimension: 0)
        }
    }

    /// The starting mask: the coordinates that moved most, exactly so many; one that did not move is never taken.
    ///
    /// - Parameter difference: Δ, `[count]`.
    public static func largestMovement(_ difference: Tensor, keeping count: Int) throws -> Tensor {
        let distance = try withoutGradients { try difference.abs() }
        return try largest(distance, keeping: count, among: distance.greater(0))
    }

    /// As many coordinates drawn without regard to their movement: the control.
    public static func random(_ count: Int, of total: Int, random: inout RandomStream, on device: Device) throws
        -> Tensor
    {
        let keys = try random.uniform([total], low: 0, high: 1).to(device)
        return try largest(keys, keeping: count, among: Tensor.full([total], 1, .bool, on: device))
    }

    /// `γ(S) = γ_b + (1 − 2 γ_b) ⊙ σ(S − b)`
    ///
    /// - Parameters:
    ///   - scores: S.
    ///   - start: γ_b as numbers.
    ///   - offset: b.
    public static func soft(_ scores: Tensor, start: Tensor, offset: Double) throws -> Tensor {
        try start + (1 - start * 2) * (scores - offset).sigmoid()
    }

    /// `∂loss/∂S = (1 − 2 γ_b) ⊙ σ'(S − b) ⊙ Δ ⊙ G`
    ///
    /// - Parameters:
    ///   - difference: Δ.
    ///   - gradient: G, the gradient of the loss for the weights at `θ(γ(S))`.
    public static func gradient(
        _ scores: Tensor, start: Tensor, offset: Double, difference: Tensor, gradient: Tensor
    ) throws -> Tensor {
        let share = try (scores - offset).sigmoid()
        return try (1 - start * 2) * share * (1 - share) * difference * gradient
    }

    /// The hard mask of scores: the starting mask turned over where `S > b`, at most `count` ones.
    ///
    /// The source lets the number of ones grow; here, where more than `count` came out, those with the largest `γ(S)` stay.
    public static func rounded(_ scores: Tensor, start: Tensor, offset: Double, atMost count: Int) throws -> Tensor {
        try withoutGradients {
            let flips = try scores.greater(offset)
            let isOne = try start.greater(0)
            let hard = try flips.select(isOne.logicalNot(), isOne)
            return try largest(soft(scores, start: start, offset: offset), keeping: count, among: hard)
        }
    }

    /// `θ_ft` where the mask is one, `θ_pre` elsewhere: each exactly, without the rounding of a sum.
    public static func grafted(_ mask: Tensor, before: Tensor, after: Tensor) throws -> Tensor {
        try mask.select(after, before)
    }

    /// How many ones a mask has.
    public static func count(_ mask: Tensor) throws -> Int { Int(try mask.to(.int64).sum().item()) }

    /// How many coordinates of a vector of so many a share stands for: the whole part, at least one.
    ///
    /// - Throws: `HoneError` with code `.usage` for a share that is not above 0 and below 1.
    public static func count(_ share: Double, of total: Int) throws -> Int {
        guard share > 0, share < 1 else {
            throw HoneError(.usage, "must be a share above 0 and below 1, not \(share)", item: "keep")
        }
        return max(1, Int((share * Double(total)).rounded(.down)))
    }
}
