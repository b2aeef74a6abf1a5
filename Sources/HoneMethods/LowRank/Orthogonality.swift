import HoneTorch

/// A term that keeps the rows of one factor, and the columns of the other, apart from each other (Zhang et al. 2023, equation 4).
enum Orthogonality {
    /// `weight` times the mean, over both factors of every map, of `‖down · downᵀ − 1‖` and `‖upᵀ · up − 1‖` (Frobenius norms,
    /// as PEFT has them; the paper squares them). `nil` where the weight is 0.
    static func penalty(_ factors: [(down: Tensor, up: Tensor)], weight: Double) throws -> Tensor? {
        guard weight > 0 else { return nil }
        var norms: [Tensor] = []
        for (down, up) in factors where down.size(0) > 0 {
            let identity = try Tensor.identity(down.size(0), down.dtype, on: down.device)
            let (rows, columns) = try (down.transpose(0, 1), up.transpose(0, 1))
            norms.append(try (down.matmul(rows) - identity).norm())
            norms.append(try (columns.matmul(up) - identity).norm())
        }
        guard !norms.isEmpty else { return nil }
        return try Tensor.stacked(norms).mean() * weight
    }
}
