import HoneEvaluation

/// Methods by what they cost and what they reach; the cost axis is logarithmic.
public struct ScatterPlot: Hashable, Sendable {
    /// One method.
    public struct Point: Hashable, Sendable {
        /// What is written beside the dot.
        public var name: String
        /// The cost, positive; a point without such a cost is not drawn.
        public var x: Double
        /// The figure and its interval.
        public var y: Interval
        /// Whether this one stands out.
        public var isHighlighted: Bool

        /// A point of the plot.
        public init(name: String, x: Double, y: Interval, isHighlighted: Bool = false) {
            self.name = name
            self.x = x
            self.y = y
            self.isHighlighted = isHighlighted
        }
    }

    /// What the cost is counted in, which decides how it is written.
    public enum Cost: Hashable, Sendable {
        /// Numbers of parameters.
        case parameters
        /// Seconds.
        case seconds
    }

    /// The points.
    public var points: [Point]
    /// What the cost is counted in.
    public var cost: Cost
    /// What the horizontal axis shows.
    public var horizontalTitle: String
    /// What the vertical axis shows.
    public var verticalTitle: String
    /// Whether the figures are shares, so that the axis stays within 0 and 1.
    public var isShare: Bool

    /// A plot of figures against costs.
    public init(points: [Point], cost: Cost, horizontalTitle: String, verticalTitle: String, isShare: Bool = true) {
        self.points = points
        self.cost = cost
        self.horizontalTitle = horizontalTitle
        self.verticalTitle = verticalTitle
        self.isShare = isShare
    }

    /// The plot as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The plot as an SVG file of its own.
    public var svg: String { drawing.file }

    private var drawing: Drawing {
        var drawing = Drawing(width: 460, height: 300, label: summary)
        let shown = points.filter { $0.x > 0 && $0.x.isFinite && $0.y.value.isFinite }
        let vertical = Axis(
            linear: shown.flatMap { [$0.y.low, $0.y.value, $0.y.high] }, bounds: isShare ? 0...1 : nil, extended: false)
        let labels = vertical.ticks.map { Drawing.textWidth($0.label) }.max() ?? 0
        let area = PlotArea(
            left: max(labels + 12, 34), top: 30, right: 446, bottom: 254,
            horizontal: Axis(logarithmic: shown.map(\.x), label: costText), vertical: vertical)
        area.drawAxes(on: &drawing, horizontalTitle: horizontalTitle, verticalTitle: verticalTitle)
        for point in shown where point.y.isFinite && point.y.low < point.y.high {
            let x = area.x(point.x)
            drawing.line(x, area.y(point.y.low), x, area.y(point.y.high), "whisker \(style(point))")
        }
        var taken = shown.map { point in
            Box(middleX: area.x(point.x), middleY: area.y(point.y.value), width: 14, height: 14)
        }
        for point in shown {
            let (x, y) = (area.x(point.x), area.y(point.y.value))
            drawing.circle(
                x: x, y: y, radius: point.isHighlighted ? 6.5 : 5.5, "dot \(style(point))",
                title: "\(point.name): \(NumberText.interval(point.y)) at \(costText(point.x))")
            let name = Drawing.fitted(point.name, width: 130)
            let place = labelPlace(for: name, x: x, y: y, in: area, avoiding: taken)
            taken.append(place)
            drawing.text(
                name, x: place.middleX, y: place.middleY + 4.5, point.isHighlighted ? "t b" : "t", anchor: .middle)
        }
        return drawing
    }

    private func style(_ point: Point) -> String { point.isHighlighted ? "c1" : "c8" }

    private func costText(_ cost: Double) -> String {
        switch self.cost {
        case .parameters:
            abs(cost) < 1e15 ? Self.trimmed(NumberText.shortCount(Int(cost.rounded()))) : NumberText.significant(cost)
        case .seconds: Self.trimmed(NumberText.duration(seconds: cost))
        }
    }

    /// Without the zeros that an axis does not need: "10.0 k" is "10 k".
    private static func trimmed(_ text: String) -> String {
        text.replacing(".00 ", with: " ").replacing(".0 ", with: " ").replacing(" min 00 s", with: " min")
            .replacing(" h 00 min", with: " h")
    }

    /// A rectangle that a dot or a label occupies.
    private struct Box {
        var middleX: Double
        var middleY: Double
        var width: Double
        var height: Double

        func overlap(_ other: Box) -> Double {
            let across = (width + other.width) / 2 - abs(middleX - other.middleX)
            let down = (height + other.height) / 2 - abs(middleY - other.middleY)
            return across > 0 && down > 0 ? across * down : 0
        }
    }

    /// The place around a dot where a label touches the least.
    private func labelPlace(for name: String, x: Double, y: Double, in area: PlotArea, avoiding taken: [Box]) -> Box {
        let width = Drawing.textWidth(name)
        let across = width / 2 + 11
        let offsets = [
            (across, 0.0), (-across, 0), (across, -13), (across, 13), (-across, -13), (-across, 13), (0, -19), (0, 19),
        ]
        let places = offsets.map { Box(middleX: x + $0.0, middleY: y + $0.1, width: width, height: 14) }
        func cost(_ place: Box) -> Double {
            let touched = taken.reduce(0) { $0 + place.overlap($1) }
            let outside =
                max(0, place.middleX + width / 2 - area.right - 10) + max(0, area.left - place.middleX + width / 2)
            return touched + 100 * outside
        }
        return places.min { cost($0) < cost($1) } ?? places[0]
    }

    private var summary: String {
        "\(verticalTitle) by \(horizontalTitle). "
            + points.map { "\($0.name): \(NumberText.interval($0.y)) at \(costText($0.x))" }.joined(separator: "; ")
    }
}
