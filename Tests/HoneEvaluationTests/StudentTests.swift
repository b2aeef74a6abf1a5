import Testing

@testable import HoneEvaluation

struct StudentTests {
    /// Percentage points as printed tables have them (two-sided 95 % and 99 %).
    @Test(arguments: [
        (0.975, 1.0, 12.7062047), (0.975, 2, 4.3026527), (0.975, 4, 2.7764451), (0.995, 4, 4.6040949),
        (0.975, 30, 2.0422725), (0.975, 1e6, 1.9599664),
    ])
    func `quantiles are those of the tables`(probability: Double, degrees: Double, expected: Double) {
        let found = StudentDistribution.quantile(probability, degrees: degrees)
        #expect(abs(found - expected) < 2e-7 * max(1, expected))
        #expect(StudentDistribution.quantile(1 - probability, degrees: degrees) == -found)
    }

    @Test func `the interval of a few measurements is Student's`() {
        let interval = Interval.student([0.80, 0.82, 0.84, 0.78, 0.86])
        let half = 2.7764451 * (0.001 / 5).squareRoot()
        #expect(abs(interval.value - 0.82) < 1e-12)
        #expect(abs(interval.high - (0.82 + half)) < 1e-8 && abs(interval.low - (0.82 - half)) < 1e-8)
        #expect(Interval.student([0.5]) == Interval(exactly: 0.5))
        #expect(!Interval.student([]).isFinite)
    }
}
