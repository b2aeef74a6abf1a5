import Glibc
import HoneTorch

/// What rotary positions are made of: which part of a head turns, and how fast.
public struct RotaryPositions: Hashable, Sendable {
    /// How frequencies differ from the plain ones, so that a model reaches further than it was first trained for.
    public enum Scaling: Hashable, Sendable {
        /// Not at all.
        case none
        /// Every frequency divided by a factor (Chen et al. 2023).
        case linear(factor: Double)
        /// Slow frequencies divided by a factor, fast ones kept, those between mixed (Llama 3.1). Slow and fast are told
        /// apart by how often a frequency turns within the original length.
        case llama3(factor: Double, slow: Double, fast: Double, originalLength: Double)
        /// As `llama3`, mixed along a straight line between two pairs of elements, with cosine and sine multiplied by
        /// `attention` (Peng et al. 2023).
        case yarn(factor: Double, slow: Double, fast: Double, originalLength: Double, attention: Double, rounds: Bool)
    }

    /// The frequencies fall from 1 to nearly one over this.
    public var base: Double
    /// How many of a head's elements turn, from the first; an even number.
    public var width: Int
    /// What is changed for longer texts.
    public var scaling: Scaling

    /// Rotary positions; plain ones without scaling.
    public init(base: Double, width: Int, scaling: Scaling = .none) {
        self.base = base
        self.width = width
        self.scaling = scaling
    }

    /// The angle a position adds, one for each pair of elements.
    ///
    /// - Parameter power: of `base` to an exponent, in the precision that the model was trained with.
    func frequencies<Number: BinaryFloatingPoint>(power: (Number, Number) -> Number) -> [Number] {
        let pairs = (0..<width / 2).map { 1 / power(Number(base), Number(2 * $0) / Number(width)) }
        switch scaling {
        case .none: return pairs
        case .linear(let factor): return pairs.map { $0 / Number(factor) }
        case .llama3(let factor, let slow, let fast, let originalLength):
            return pairs.map { frequency in
                // Twice `Float.pi` would be another number: that one is rounded down.
                let wave = Number(2 * Double.pi) / frequency
                if wave > Number(originalLength / slow) { return frequency / Number(factor) }
                if wave < Number(originalLength / fast) { return frequency }
                let share = (Number(originalLength) / wave - Number(slow)) / Number(fast - slow)
                return (1 - share) * frequency / Number(factor) + share * frequency
            }
        case .yarn(let factor, let slow, let fast, let originalLength, _, let rounds):
            // The pair of elements that turns so many times within the original length.
            func place(_ turns: Double) -> Double {
                Double(width) * log(originalLength / (turns * 2 * Double.pi)) / (2 * log(base))
            }
            let first = max(rounds ? place(fast).rounded(.down) : place(fast), 0)
            var last = min(rounds ? place(slow).rounded(.up) : place(slow), Double(width - 1))
            if first == last { last += 0.001 }
            return pairs.enumerated().map { index, frequency in
                let ramp = min(max((Number(index) - Number(first)) / Number(last - first), 0), 1)
                return frequency / Number(factor) * ramp + frequency * (1 - ramp)
            }
        }
    }

    /// What cosine and sine are multiplied by.
    var amplitude: Double {
        if case .yarn(_, _, _, _, let attention, _) = scaling { attention } else { 1 }
    }
}

/// Rotary positions (Su et al. 2021) in the two-halves layout of Hugging Face: element `i` of the first half is turned
/// together with element `i` of the second by `position · base^(-2i / width)`.
struct Rotary {
    let cosine: Tensor
    let sine: Tensor

    /// The angles of positions.
    ///
    /// - Parameter positions: `[length]` or `[rows, length]`, `int64`.
    init(positions: Tensor, _ rotary: RotaryPositions, dtype: DType) throws {
        let exact: DType = dtype == .float64 ? .float64 : .float32
        // In `float32` step by step as models were trained with them: at far positions the last bit of these counts.
        let frequencies =
            exact == .float64
            ? rotary.frequencies(power: { Glibc.pow($0, $1) })
            : rotary.frequencies(power: { (base: Float, exponent: Float) in Glibc.pow(base, exponent) }).map(
                Double.init)
        let turns = try Tensor(frequencies).to(exact).to(positions.device)
        var angles = try positions.to(exact).unsqueezed(-1) * turns
        angles = try Tensor.concatenated([angles, angles], dimension: -1)
        if angles.rank == 3 { angles = try angles.unsqueezed(1) }
        let amplitude = rotary.amplitude
        cosine = try (amplitude == 1 ? angles.cos() : angles.cos() * amplitude).to(dtype)
        sine = try (amplitude == 1 ? angles.sin() : angles.sin() * amplitude).to(dtype)
    }

    /// Turned vectors, `[rows, heads, length, width]`; elements beyond the turning ones stay.
    func callAsFunction(_ vectors: Tensor) throws -> Tensor {
        let width = cosine.size(-1)
        let rest = vectors.size(-1) - width
        let turning = rest > 0 ? try vectors.narrowed(-1, from: 0, length: width) : vectors
        let half = width / 2
        let first = try turning.narrowed(-1, from: 0, length: half)
        let second = try turning.narrowed(-1, from: half, length: half)
        let turned = try Tensor.concatenated([-second, first], dimension: -1)
        let result = try turning * cosine + turned * sine
        guard rest > 0 else { return result }
        return try Tensor.concatenated([result, vectors.narrowed(-1, from: width, length: rest)], dimension: -1)
    }
}
