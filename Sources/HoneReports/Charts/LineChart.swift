import HoneEvaluation

/// A point of a curve. In JSON an array of two numbers, `null` for one that is not finite.
public struct ChartPoint: Hashable, Sendable, Codable {
    /// The place along the horizontal axis, such as a step.
    public var x: Double
    /// The value there.
    public var y: Double

    /// A point of a curve.
    public init(x: Double, y: Double) {
        self.x = x
        self.y = y
    }

    /// Reads an array of two numbers.
    public init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        x = try container.decode(Double?.self) ?? .nan
        y = try container.decode(Double?.self) ?? .nan
    }

    /// Writes an array of two numbers.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode(x.isFinite ? x : nil)
        try container.encode(y.isFinite ? y : nil)
    }
}

/// Curves of several series over a common axis, with a legend.
public struct LineChart: Hashable, Sendable {
    /// One curve.
    public struct Series: Hashable, Sendable {
        /// What the legend calls it.
        public var name: String
        /// The points in order of x; a value that is not finite interrupts the curve.
        public var points: [ChartPoint]
        /// Which of the series colours it has: the same for one method in all charts.
        public var colour: Int

        /// A curve.
        public init(name: String, points: [ChartPoint], colour: Int) {
            self.name = name
            self.points = points
            self.colour = colour
        }
    }

    /// The curves.
    public var series: [Series]
    /// What the horizontal axis shows.
    public var horizontalTitle: String
    /// What the vertical axis shows.
    public var verticalTitle: String
    /// Where the vertical axis must not reach beyond.
    public var bounds: ClosedRange<Double>?
    /// Whether the title of the vertical axis is written; not needed under a heading that says the same.
    public var showsVerticalTitle: Bool
    /// Whether each point gets a dot, for curves of few points.
    public var showsPoints: Bool

    /// A chart of curves.
    public init(
        series: [Series], horizontalTitle: String, verticalTitle: String, bounds: ClosedRange<Double>? = nil,
        showsVerticalTitle: Bool = true, showsPoints: Bool = false
    ) {
        self.showsVerticalTitle = showsVerticalTitle
        self.series = series
        self.horizontalTitle = horizontalTitle
        self.verticalTitle = verticalTitle
        self.bounds = bounds
        self.showsPoints = showsPoints
    }

    /// The chart as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The chart as an SVG file of its own.
    public var svg: String { drawing.file }

    /// More points than this are averaged in groups: no screen shows them.
    static let pointLimit = 240

    private var drawing: Drawing {
        let width = 460.0
        let legend = legendPlaces(width: width)
        let top = (showsVerticalTitle ? 34.0 : 14) + 20 * Double((legend.last?.line ?? -1) + 1)
        var drawing = Drawing(width: width, height: top + 262, label: summary)
        for (place, curve) in zip(legend, series) {
            let y = 12 + 20 * Double(place.line)
            drawing.line(place.x, y - 4, place.x + 22, y - 4, "line \(style(curve))")
            drawing.text(Drawing.fitted(curve.name, width: 200), x: place.x + 28, y: y, title: curve.name)
        }
        let shown = series.map { Self.thinned($0.points) }
        let finite = shown.flatMap { $0 }.filter { $0.x.isFinite && $0.y.isFinite }
        let vertical = Axis(linear: finite.map(\.y), bounds: bounds, extended: false)
        let labels = vertical.ticks.map { Drawing.textWidth($0.label) }.max() ?? 0
        let area = PlotArea(
            left: max(labels + 12, 34), top: top, right: width - 14, bottom: top + 218,
            horizontal: Axis(linear: finite.map(\.x), count: 6, extended: false), vertical: vertical)
        area.drawAxes(
            on: &drawing, horizontalTitle: horizontalTitle, verticalTitle: showsVerticalTitle ? verticalTitle : "")
        guard !finite.isEmpty else {
            drawing.text(
                "no data", x: (area.left + area.right) / 2, y: (area.top + area.bottom) / 2, "t m", anchor: .middle)
            return drawing
        }
        for (curve, points) in zip(series, shown) {
            for run in Self.runs(of: points) { draw(run, of: curve, in: area, on: &drawing) }
        }
        return drawing
    }

    private func draw(_ run: [ChartPoint], of curve: Series, in area: PlotArea, on drawing: inout Drawing) {
        if run.count > 1 {
            let path = run.map { point -> Markup in "\(area.x(point.x)) \(area.y(point.y))" }.map(\.text)
            drawing.add(
                "<path class=\"line \(style(curve))\" d=\"M\(Markup(trusted: path.joined(separator: "L")))\"/>")
        }
        guard showsPoints || run.count == 1 else { return }
        for point in run {
            drawing.circle(
                x: area.x(point.x), y: area.y(point.y), radius: 4, "dot \(ChartStyle.series(curve.colour))",
                title: "\(curve.name): \(NumberText.significant(point.y, 4)) at \(NumberText.significant(point.x, 6))")
        }
    }

    private func style(_ curve: Series) -> String { "\(ChartStyle.series(curve.colour)) d\(abs(curve.colour % 4))" }

    /// Where the legend's entries stand, in as many lines as they need.
    private func legendPlaces(width: Double) -> [(x: Double, line: Int)] {
        var x = 0.0
        var line = 0
        return series.map { curve in
            let size = 28 + min(Drawing.textWidth(curve.name), 200) + 18
            if x > 0, x + size > width {
                x = 0
                line += 1
            }
            defer { x += size }
            return (x, line)
        }
    }

    /// The curve with few enough points to draw, each the mean of a group; what is not finite interrupts it all the
    /// same.
    static func thinned(_ points: [ChartPoint]) -> [ChartPoint] {
        guard points.count > pointLimit else { return points }
        let group = (points.count + pointLimit - 1) / pointLimit
        return stride(from: 0, to: points.count, by: group).map { start in
            let part = points[start..<min(start + group, points.count)]
            let count = Double(part.count)
            return ChartPoint(x: part.reduce(0) { $0 + $1.x } / count, y: part.reduce(0) { $0 + $1.y } / count)
        }
    }

    /// The stretches of a curve without interruption.
    static func runs(of points: [ChartPoint]) -> [[ChartPoint]] {
        points.split { !$0.x.isFinite || !$0.y.isFinite }.map(Array.init)
    }

    private var summary: String {
        let ends = series.compactMap { curve -> String? in
            guard let first = curve.points.first, let last = curve.points.last else { return nil }
            return "\(curve.name) from \(NumberText.significant(first.y)) to \(NumberText.significant(last.y))"
        }
        return "\(verticalTitle) by \(horizontalTitle). " + ends.joined(separator: "; ")
    }
}
