import Glibc
import HoneTorch

/// Rotary positions (Su et al. 2021) in the two-halves layout of Hugging Face: element `i` of the first half is turned
/// together with element `i` of the second by `position · base^(-2i / width)`.
struct Rotary {
    let cosine: Tensor
    let sine: Tensor

    /// The angles of positions.
    ///
    /// - Parameter positions: `[length]` or `[rows, length]`, `int64`.
    init(positions: Tensor, base: Double, width: Int, dtype: DType) throws {
        let exact: DType = dtype == .float64 ? .float64 : .float32
        // In `float32` step by step as models were trained with them: at far positions the last bit of these counts.
        let frequencies = (0..<width / 2).map { index in
            exact == .float64
                ? Glibc.pow(base, -Double(2 * index) / Double(width))
                : Double(Float(1) / Glibc.pow(Float(base), Float(2 * index) / Float(width)))
        }
        let turns = try Tensor(frequencies).to(exact).to(positions.device)
        var angles = try positions.to(exact).unsqueezed(-1) * turns
        angles = try Tensor.concatenated([angles, angles], dimension: -1)
        if angles.rank == 3 { angles = try angles.unsqueezed(1) }
        cosine = try angles.cos().to(dtype)
        sine = try angles.sin().to(dtype)
    }

    /// Turned vectors, `[rows, heads, length, width]`.
    func callAsFunction(_ vectors: Tensor) throws -> Tensor {
        let half = vectors.size(-1) / 2
        let first = try vectors.narrowed(-1, from: 0, length: half)
        let second = try vectors.narrowed(-1, from: half, length: half)
        let turned = try Tensor.concatenated([-second, first], dimension: -1)
        return try vectors * cosine + turned * sine
    }
}
