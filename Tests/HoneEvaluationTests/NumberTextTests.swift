import Testing

@testable import HoneEvaluation

struct NumberTextTests {
    @Test func `writes fixed decimals`() {
        #expect(NumberText.fixed(1234.5, 2) == "1,234.50")
        #expect(NumberText.fixed(-0.0004, 3) == "0.000")
        #expect(NumberText.fixed(-12.25, 1) == "−12.2")
        #expect(NumberText.fixed(.nan, 3) == "–")
        #expect(NumberText.fixed(.infinity, 3) == "–")
    }

    @Test func `writes significant digits`() {
        #expect(NumberText.significant(0.2134) == "0.213")
        #expect(NumberText.significant(12.345) == "12.3")
        #expect(NumberText.significant(12345) == "12,345")
        #expect(NumberText.significant(9.999) == "10.0")
        #expect(NumberText.significant(0.0000123) == "1.23e−5")
        #expect(NumberText.significant(-0.05) == "−0.0500")
        #expect(NumberText.significant(0) == "0")
        #expect(NumberText.significant(1e300) == "1.00e300")
    }

    @Test func `writes counts, spans and sizes`() {
        #expect(NumberText.count(-1_234_567) == "−1,234,567")
        #expect(NumberText.count(.min) == "−9,223,372,036,854,775,808")
        #expect(NumberText.shortCount(950) == "950")
        #expect(NumberText.shortCount(22_713_216) == "22.7 M")
        #expect(NumberText.duration(seconds: 0.42) == "420 ms")
        #expect(NumberText.duration(seconds: 12.34) == "12.3 s")
        #expect(NumberText.duration(seconds: 59.97) == "1 min 00 s")
        #expect(NumberText.duration(seconds: 252) == "4 min 12 s")
        #expect(NumberText.duration(seconds: 7500) == "2 h 05 min")
        #expect(NumberText.duration(seconds: -1) == "–")
        #expect(NumberText.bytes(512) == "512 B")
        #expect(NumberText.bytes(1_438_814_044) == "1.34 GiB")
    }

    @Test func `writes intervals and p-values`() {
        #expect(NumberText.interval(Interval(value: 0.934, low: 0.9182, high: 0.949)) == "0.934 (0.918–0.949)")
        #expect(NumberText.interval(Interval(value: 0, low: -0.01, high: 0.02)) == "0.000 (−0.010 to 0.020)")
        #expect(NumberText.interval(.none) == "–")
        #expect(NumberText.interval(Interval(exactly: 0.5)) == "0.500")
        #expect(NumberText.pValue(0.0004) == "p < 0.001")
        #expect(NumberText.pValue(0.0321) == "p = 0.032")
        #expect(NumberText.pValue(0.584) == "p = 0.58")
    }
}
