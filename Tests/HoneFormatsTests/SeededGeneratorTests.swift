import HoneFormats
import Testing

struct SeededGeneratorTests {
    @Test func `gives the published sequence of SplitMix64`() {
        // The reference C code of SplitMix64 (Vigna), started at 1234567.
        var generator = SeededGenerator(state: 1_234_567)
        let expected: [UInt64] = [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
        ]
        #expect(expected.map { _ in generator.next() } == expected)
    }

    @Test func `starts a stream from the seed and FNV1a of its name`() {
        // FNV-1a 64 of "a" from the published test vectors; mix(0) is 0.
        #expect(SeededGenerator(seed: 0, stream: "a").state == 0xaf63_dc4c_8601_ec8c)
        #expect(SeededGenerator(seed: 1, stream: "a") != SeededGenerator(seed: 1, stream: "b"))
        #expect(SeededGenerator(seed: 1, stream: "a") != SeededGenerator(seed: 2, stream: "a"))
    }

    @Test func `draws every number below a bound about equally often`() {
        var generator = SeededGenerator(seed: 3, stream: "test")
        var counts = [Int](repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[generator.below(7)] += 1 }
        #expect(counts.allSatisfy { abs($0 - 10_000) < 450 })
        #expect(generator.below(1) == 0)
        #expect((0..<Int(100)).allSatisfy { _ in (0..<Int.max).contains(generator.below(Int.max)) })
    }

    @Test func `keeps uniform numbers inside their interval and balanced`() {
        var generator = SeededGenerator(seed: 4, stream: "test")
        let values = (0..<20_000).map { _ in generator.uniform() }
        #expect(values.allSatisfy { (0..<1).contains($0) })
        #expect(abs(values.reduce(0, +) / 20_000 - 0.5) < 0.01)
    }

    @Test func `shuffles without losing anything and the same way each time`() {
        var first = Array(0..<50)
        var second = first
        var generator = SeededGenerator(seed: 5, stream: "order")
        var twin = SeededGenerator(seed: 5, stream: "order")
        generator.shuffle(&first)
        twin.shuffle(&second)
        #expect(first == second)
        #expect(first != Array(0..<50))
        #expect(first.sorted() == Array(0..<50))
    }
}
