/// A small random generator that gives the same numbers on every machine: SplitMix64 with named streams.
///
/// One seed of a run serves many purposes (data order, resampling, sampling of tokens). Each purpose asks for its own
/// stream by name, so that drawing more numbers for one never shifts the numbers of another:
///
///     var order = SeededGenerator(seed: 7, stream: "data order")
///     rows.shuffle(using: &order)   // or order.shuffle(&rows)
///
/// The state is a plain counter that advances by a constant, which makes saving and restoring it trivial.
/// Not for secrets. Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 17.
@frozen
public struct SeededGenerator: RandomNumberGenerator, Hashable, Sendable {
    /// The counter; a generator made from it goes on exactly where this one stands.
    public var state: UInt64

    /// A generator that goes on from a saved `state`.
    @inlinable
    public init(state: UInt64) { self.state = state }

    /// The stream of a name under a seed: the state is `mix(seed) ^ FNV1a64(stream)`, over the name's UTF-8 bytes.
    public init(seed: UInt64, stream: String) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in stream.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        state = Self.mix(seed) ^ hash
    }

    /// The output function of SplitMix64: a bijection of 64 bits in which each input bit moves about half of the
    /// output.
    @inlinable
    public static func mix(_ value: UInt64) -> UInt64 {
        var mixed = (value ^ (value >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    /// The next 64 random bits.
    @inlinable
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        return Self.mix(state)
    }

    /// A whole number from 0 up to, not including, `bound`, each equally likely.
    ///
    /// Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019, algorithm 5.
    /// - Precondition: `bound` is positive.
    @inlinable
    public mutating func below(_ bound: Int) -> Int {
        precondition(bound > 0, "a random number below \(bound) does not exist")
        let range = UInt64(bound)
        var product = next().multipliedFullWidth(by: range)
        if product.low < range {
            let threshold = (0 &- range) % range
            while product.low < threshold { product = next().multipliedFullWidth(by: range) }
        }
        return Int(product.high)
    }

    /// A number in [0, 1) with 53 random bits.
    @inlinable
    public mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Puts the elements into a random order, each equally likely (Fisher and Yates, from the end).
    @inlinable
    public mutating func shuffle<Element>(_ elements: inout [Element]) {
        guard elements.count > 1 else { return }
        for last in stride(from: elements.count - 1, to: 0, by: -1) {
            elements.swapAt(last, below(last + 1))
        }
    }
}

extension SeededGenerator {
    /// The elements in an order drawn from this generator.
    public mutating func shuffled<Element>(_ elements: [Element]) -> [Element] {
        var copy = elements
        shuffle(&copy)
        return copy
    }
}
