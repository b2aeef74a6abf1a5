import CHoneTorch
import HoneFormats

/// A named stream of random tensors, derived from a seed.
///
/// The stream is a key and a counter: the n-th draw depends on nothing else, not on what other streams have drawn, and
/// restoring a stream is restoring one number. Two streams of the same seed with different names are independent.
///
///     var initialisation = RandomStream(seed: 7, name: "initialisation")
///     let weights = try initialisation.normal([8, 64], standardDeviation: 0.02)
public struct RandomStream: Sendable {
    /// What the stream is for, such as `dropout`.
    public let name: String
    private let key: UInt64
    /// How many draws have been made; setting it repeats or skips draws.
    public var counter: UInt64

    private static let fillUniform = Operator("aten::uniform_")
    private static let fillNormal = Operator("aten::normal_")
    private static let fillBernoulli = Operator("aten::bernoulli_", "float")

    /// The stream of a name under a seed, at a given draw.
    public init(seed: UInt64, name: String, counter: UInt64 = 0) {
        self.name = name
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in name.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        key = RandomStream.mix(seed &+ 0x9e37_79b9_7f4a_7c15) ^ hash
        self.counter = counter
    }

    /// The finaliser of SplitMix64: every bit of the result depends on every bit of the input.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value
        value = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }

    /// A seed for one draw; each call gives another.
    public mutating func next() -> UInt64 {
        counter &+= 1
        return RandomStream.mix(key &+ counter &* 0x9e37_79b9_7f4a_7c15)
    }

    /// Numbers spread evenly over `low ..< high`.
    public mutating func uniform(_ shape: [Int], low: Double, high: Double, _ dtype: DType = .float32) throws -> Tensor
    {
        let made = try Tensor.empty(shape, dtype)
        try RandomStream.fillUniform.run(.tensor(made), .real(low), .real(high), .seed(next()))
        return made
    }

    /// Normally distributed numbers.
    public mutating func normal(
        _ shape: [Int], mean: Double = 0, standardDeviation: Double = 1, _ dtype: DType = .float32
    ) throws -> Tensor {
        let made = try Tensor.empty(shape, dtype)
        try RandomStream.fillNormal.run(.tensor(made), .real(mean), .real(standardDeviation), .seed(next()))
        return made
    }

    /// A mask that keeps each element with the given probability: `1 / probability` where kept, 0 elsewhere, so that
    /// the expectation of what it multiplies stays the same.
    public mutating func dropoutMask(_ shape: [Int], keeping probability: Double, _ dtype: DType = .float32) throws
        -> Tensor
    {
        let made = try Tensor.empty(shape, dtype)
        try RandomStream.fillBernoulli.run(.tensor(made), .real(probability), .seed(next()))
        return try made / probability
    }
}
