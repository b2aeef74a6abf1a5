/// A counter-based random generator: the value at a position depends only on the seed, the name of the stream and the
/// position, so that a draw can be repeated and streams do not disturb one another.
///
/// The values are those of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014,
/// figure 17), which is the mixing of an even walk through the 64-bit numbers.
public struct SeededGenerator: RandomNumberGenerator, Sendable, Hashable {
    private let key: UInt64
    /// How many values were drawn.
    public private(set) var position: UInt64 = 0

    /// The stream of a seed; the empty name gives plain SplitMix64.
    public init(seed: UInt64, stream: String = "") {
        // FNV-1a over the name, then mixed with the seed.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in stream.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        key = stream.isEmpty ? seed : Self.mix(seed ^ Self.mix(hash))
    }

    /// The next 64 random bits.
    public mutating func next() -> UInt64 {
        position &+= 1
        return Self.mix(key &+ position &* 0x9E37_79B9_7F4A_7C15)
    }

    /// A whole number from 0 to below a bound, each equally likely (Lemire, "Fast random integer generation in an
    /// interval", 2019, algorithm 5). Zero for a bound below 1.
    public mutating func next(below bound: Int) -> Int {
        guard bound > 1 else { return 0 }
        let range = UInt64(bound)
        var product = next().multipliedFullWidth(by: range)
        if product.low < range {
            let threshold = (0 &- range) % range
            while product.low < threshold { product = next().multipliedFullWidth(by: range) }
        }
        return Int(product.high)
    }

    /// The elements in random order (Fisher and Yates), each order equally likely.
    public mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var result = elements
        guard result.count > 1 else { return result }
        for last in stride(from: result.count - 1, to: 0, by: -1) {
            result.swapAt(last, next(below: last + 1))
        }
        return result
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var bits = value
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        return bits ^ (bits >> 31)
    }
}
