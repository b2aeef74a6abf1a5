import Foundation
import HoneFormats
import Testing

@testable import HoneEvaluation

struct BootstrapTests {
    @Test func `gives the same interval each time and another one for another seed`() {
        let values = (0..<100).map { Double($0 % 7) }
        #expect(Bootstrap(seed: 1).mean(of: values) == Bootstrap(seed: 1).mean(of: values))
        #expect(Bootstrap(seed: 1).mean(of: values) != Bootstrap(seed: 2).mean(of: values))
        #expect(Bootstrap(seed: 1).mean(of: values, stream: "a") != Bootstrap(seed: 1).mean(of: values, stream: "b"))
    }

    @Test func `draws proportions that match the normal approximation and item-by-item resampling`() {
        let interval = Bootstrap(seed: 3).proportion(1868, of: 2000)
        let half = 1.96 * (0.934 * 0.066 / 2000).squareRoot()
        #expect(interval.value == 0.934)
        #expect(abs(interval.low - (0.934 - half)) < 0.0015)
        #expect(abs(interval.high - (0.934 + half)) < 0.0015)
        let slow = Bootstrap(seed: 4).mean(of: (0..<500).map { $0 < 400 ? 1 : 0 })
        let fast = Bootstrap(seed: 4).proportion(400, of: 500)
        #expect(abs(slow.low - fast.low) < 0.005 && abs(slow.high - fast.high) < 0.005)
    }

    @Test func `falls back on Wilson's interval where all are right`() {
        let interval = Bootstrap().proportion(40, of: 40)
        #expect(interval == Interval.wilson(count: 40, total: 40))
        #expect(interval.low < 0.95 && interval.high == 1)
    }

    @Test func `weights tokens in the interval of the loss`() {
        let interval = Bootstrap().ratio([2, 30], over: [1, 10])
        #expect(interval.value == 32.0 / 11)
        #expect(interval.low == 2 && interval.high == 3)
    }

    @Test func `survives nothing, one and what is not finite`() {
        #expect(Bootstrap().mean(of: []).value.isNaN)
        #expect(Bootstrap().proportion(0, of: 0).value.isNaN)
        #expect(Bootstrap().mean(of: [2]) == Interval(exactly: 2))
        #expect(Bootstrap().ratio([1], over: [0]).low.isNaN)
        #expect(Bootstrap(resamples: 0).mean(of: [1, 2]).isFinite)
        #expect(Bootstrap.percentile(0.5, ofSorted: [1, 2, 3, 10]) == 2.5)
    }

    @Test func `covers the truth about as often as promised`() {
        var covered = 0
        for seed in 0..<200 {
            var generator = SeededGenerator(seed: UInt64(seed), stream: "coverage")
            let right = (0..<300).count { _ in generator.uniform() < 0.8 }
            if Bootstrap(seed: UInt64(seed), resamples: 400).proportion(right, of: 300).contains(0.8) { covered += 1 }
        }
        #expect((178...200).contains(covered))
    }

    @Test func `writes intervals as JSON and reads them again`() throws {
        let interval = Interval(value: 0.5, low: 0.25, high: 0.75)
        #expect(interval.json == ["value": 0.5, "low": 0.25, "high": 0.75])
        #expect(try Interval(json: interval.json) == interval)
        #expect(try Interval(json: Interval.none.json).value.isNaN)
        #expect(throws: HoneError.self) { try Interval(json: ["value": 1]) }
        let data = try JSONEncoder().encode([interval, Interval.none])
        let decoded = try JSONDecoder().decode([Interval].self, from: data)
        #expect(decoded[0] == interval && decoded[1].low.isNaN)
    }
}
