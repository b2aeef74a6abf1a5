import HoneEvaluation
import Testing

@testable import HoneReports

struct ChartTests {
    private static let awkward: [[Double]] = [
        [], [3], [2, 2, 2], [0], [.nan], [.infinity, 1], [-.infinity, .nan, .infinity], [1e300, -1e300],
        [1e308, -1e308],
        [1e-300, 2e-300], [-5, 5], [.leastNonzeroMagnitude],
    ]

    @Test func `puts ticks at round numbers`() {
        #expect(Axis(linear: [0, 97]).ticks.map(\.label) == ["0", "20", "40", "60", "80", "100"])
        #expect(
            Axis(linear: [0.912, 0.951], count: 4).ticks.map(\.label) == [
                "0.91", "0.92", "0.93", "0.94", "0.95", "0.96",
            ])
        #expect(Axis(linear: [0.5, 0.99], bounds: 0...1).high == 1)
        #expect(Axis(linear: []).ticks.first?.label == "0.0")
        #expect(Axis(linear: [0, 12_000]).ticks.last?.label == "15,000")
        let powers = Axis(logarithmic: [5_000, 20_000_000]) { NumberText.significant($0) }
        #expect(powers.ticks.map(\.value) == [10_000, 100_000, 1_000_000, 10_000_000])
        #expect(abs(powers.position(100_000) - 0.4) < 0.1)
    }

    @Test(arguments: awkward) func `keeps axes usable whatever the values`(values: [Double]) {
        let axes = [
            Axis(linear: values), Axis(linear: values, bounds: 0...1), Axis(linear: values, extended: false),
            Axis(logarithmic: values) { NumberText.significant($0) },
        ]
        for axis in axes {
            #expect(axis.low < axis.high && axis.low.isFinite && axis.high.isFinite)
            #expect((1...60).contains(axis.ticks.count))
            for value in values + [.nan, .infinity, 0, -1] { #expect((0...1).contains(axis.position(value))) }
        }
    }

    @Test(arguments: awkward) func `draws well-formed charts whatever the values`(values: [Double]) {
        let points = values.enumerated().map { ChartPoint(x: Double($0.offset), y: $0.element) }
        let sideways = values.map { ChartPoint(x: $0, y: 1) }
        let lines = LineChart(
            series: [.init(name: "a <b>", points: points, colour: 0), .init(name: "c", points: sideways, colour: -9)],
            horizontalTitle: "step & co", verticalTitle: "loss", showsPoints: true)
        let intervals = values.map { Interval(value: $0, low: $0 - 1, high: $0 + 1) } + [.none]
        let plot = IntervalPlot(
            rows: intervals.map { .init(name: "m\"'<", interval: $0, isHighlighted: true) }, title: "t", isShare: false)
        let map = ValueMap(
            rows: ["r <1>", "r2", "no values"], columns: values.indices.map { "c\"\($0)" },
            values: [values, values.reversed()])
        let shares = IntervalPlot(rows: intervals.map { .init(name: "m", interval: $0) }, title: "t")
        let scatter = ScatterPlot(
            points: values.map { .init(name: "<x>", x: $0, y: Interval(exactly: $0)) }, cost: .parameters,
            horizontalTitle: "h", verticalTitle: "v")
        let seconds = ScatterPlot(
            points: intervals.map { .init(name: "x", x: 2, y: $0) }, cost: .seconds, horizontalTitle: "h",
            verticalTitle: "v", isShare: false)
        let diagram = ReliabilityDiagram(
            bins: values.map { .init(low: 0, high: $0, count: 3, meanConfidence: $0, accuracy: $0) })
        for svg in [lines.svg, plot.svg, shares.svg, scatter.svg, seconds.svg, diagram.svg, map.svg] {
            #expect(isWellFormed(svg))
            #expect(!svg.contains("nan") && !svg.contains("\"inf"))
        }
    }

    @Test func `draws confusion matrices of any size`() throws {
        for classes in [1, 2, 12, 13, 40, 41, 150] {
            let labels = (0..<300).map { $0 % classes }
            let predictions = labels.map { $0 % 7 == 3 ? ($0 + 1) % classes : $0 }
            let matrix = ConfusionMatrix(
                try ClassificationOutcomes(labels: labels, predictions: predictions, classCount: classes))
            let svg = HeatMap(matrix: matrix, labels: ["<a>", "b & c"]).svg
            #expect(isWellFormed(svg))
            #expect(svg.contains("&lt;a&gt;") == (classes <= HeatMap.nameLimit))
        }
        let empty = ConfusionMatrix(try ClassificationOutcomes(labels: [], predictions: [], classCount: 0))
        #expect(isWellFormed(HeatMap(matrix: empty, labels: []).svg))
    }

    @Test func `interrupts curves where values are missing and thins long ones`() {
        let points = [1, 2, .nan, 3, .infinity, 4, 5].enumerated().map {
            ChartPoint(x: Double($0.offset), y: $0.element)
        }
        #expect(LineChart.runs(of: points).map(\.count) == [2, 1, 2])
        let long = (0..<10_000).map { ChartPoint(x: Double($0), y: 2) }
        let thin = LineChart.thinned(long)
        #expect(thin.count <= LineChart.pointLimit && thin.allSatisfy { $0.y == 2 })
    }

    @Test func `escapes texts and keeps coordinates plain`() {
        let markup: Markup = "<b title=\"\("a\"b")\">\("<i>&'")\(3.14159) \(Double.nan) \(-0.5)\("\u{0}")</b>"
        #expect(markup.text == "<b title=\"a&quot;b\">&lt;i&gt;&amp;&#39;3.14 0 -0.5\u{fffd}</b>")
        #expect(
            Markup.coordinate(1e300) == "0" && Markup.coordinate(-0.001) == "0" && Markup.coordinate(2.05) == "2.05")
    }
}
