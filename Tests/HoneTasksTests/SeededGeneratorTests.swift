import Testing

@testable import HoneTasks

@Suite struct SeededGeneratorTests {
    @Test func `gives the published values of SplitMix64`() {
        var generator = SeededGenerator(seed: 1_234_567)
        let values = (0..<5).map { _ in generator.next() }
        #expect(
            values == [
                6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
                4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
            ])
    }

    @Test func `streams differ by name and seed and repeat`() {
        func first(_ seed: UInt64, _ stream: String) -> UInt64 {
            var generator = SeededGenerator(seed: seed, stream: stream)
            return generator.next()
        }
        #expect(first(1, "a") == first(1, "a"))
        #expect(Set([first(1, "a"), first(1, "b"), first(2, "a"), first(1, "")]).count == 4)
    }

    @Test func `draws each number below a bound about equally often`() {
        var generator = SeededGenerator(seed: 3)
        var counts = Array(repeating: 0, count: 7)
        for _ in 0..<70_000 { counts[generator.next(below: 7)] += 1 }
        // Six standard deviations of a binomial with p = 1/7.
        #expect(counts.allSatisfy { abs($0 - 10_000) < 560 })
        #expect(generator.next(below: 1) == 0)
        #expect(generator.next(below: -4) == 0)
    }

    @Test func `shuffles without losing anything`() {
        var generator = SeededGenerator(seed: 9)
        let shuffled = generator.shuffled(Array(0..<100))
        #expect(shuffled != Array(0..<100))
        #expect(shuffled.sorted() == Array(0..<100))
    }
}
