import HoneEvaluation

/// A dot and a whisker per method, under each other on one axis, so that overlaps can be seen.
public struct IntervalPlot: Hashable, Sendable {
    /// One method.
    public struct Row: Hashable, Sendable {
        /// What stands on the left.
        public var name: String
        /// The figure and its interval.
        public var interval: Interval
        /// Whether this row stands out, with a band of its interval behind all rows.
        public var isHighlighted: Bool

        /// A row of the plot.
        public init(name: String, interval: Interval, isHighlighted: Bool = false) {
            self.name = name
            self.interval = interval
            self.isHighlighted = isHighlighted
        }
    }

    /// The rows from top to bottom.
    public var rows: [Row]
    /// What the axis shows.
    public var title: String
    /// Whether the values are shares, so that the axis stays within 0 and 1 and texts have three decimals.
    public var isShare: Bool

    /// A plot of intervals.
    public init(rows: [Row], title: String, isShare: Bool = true) {
        self.rows = rows
        self.title = title
        self.isShare = isShare
    }

    /// The plot as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The plot as an SVG file of its own.
    public var svg: String { drawing.file }

    private func text(_ number: Double) -> String {
        isShare ? NumberText.share(number) : NumberText.significant(number, 4)
    }

    private var drawing: Drawing {
        let rowHeight = 38.0
        let names = min(max(rows.map { Drawing.textWidth($0.name) }.max() ?? 0, 40) + 14, 150)
        let top = 12.0
        let bottom = top + rowHeight * Double(max(rows.count, 1))
        var drawing = Drawing(width: 460, height: bottom + 46, label: summary)
        let values = rows.flatMap { [$0.interval.low, $0.interval.value, $0.interval.high] }
        let area = PlotArea(
            left: names, top: top, right: 372, bottom: bottom,
            horizontal: Axis(linear: values, bounds: isShare ? 0...1 : nil, count: 4),
            vertical: Axis(linear: [0, 1]))
        if let marked = rows.first(where: { $0.isHighlighted })?.interval, marked.isFinite {
            drawing.rectangle(
                x: area.x(marked.low), y: top, width: max(area.x(marked.high) - area.x(marked.low), 1),
                height: bottom - top,
                "band")
        }
        for tick in area.horizontal.ticks { drawing.line(area.x(tick.value), top, area.x(tick.value), bottom, "grid") }
        area.drawHorizontalTicks(on: &drawing)
        drawing.line(area.left, bottom, area.right, bottom, "axis")
        drawing.text(title, x: (area.left + area.right) / 2, y: bottom + 38, "t m", anchor: .middle)
        for (index, row) in rows.enumerated() {
            draw(row, at: top + rowHeight * (Double(index) + 0.5), in: area, on: &drawing)
        }
        return drawing
    }

    private func draw(_ row: Row, at middle: Double, in area: PlotArea, on drawing: inout Drawing) {
        let bold = row.isHighlighted ? "t b" : "t"
        let style = row.isHighlighted ? "c1" : "c8"
        drawing.text(Drawing.fitted(row.name, width: area.left - 10), x: 0, y: middle + 4.5, bold, title: row.name)
        guard row.interval.value.isFinite else {
            drawing.text("no figure", x: area.right + 10, y: middle + 4.5, "t m s")
            return
        }
        let (low, high) = (area.x(row.interval.low), area.x(row.interval.high))
        if row.interval.isFinite, high > low {
            drawing.line(low, middle, high, middle, "whisker \(style)")
            drawing.line(low, middle - 4, low, middle + 4, "whisker \(style)")
            drawing.line(high, middle - 4, high, middle + 4, "whisker \(style)")
        }
        let words = NumberText.interval(row.interval, text)
        drawing.circle(
            x: area.x(row.interval.value), y: middle, radius: row.isHighlighted ? 6.5 : 5.5, "dot \(style)",
            title: "\(row.name): \(words)")
        drawing.text(text(row.interval.value), x: area.right + 10, y: middle - 1, bold)
        if row.interval.isFinite, row.interval.low != row.interval.high {
            drawing.text(NumberText.range(row.interval, text), x: area.right + 10, y: middle + 12, "t m s")
        }
    }

    private var summary: String {
        title + ". " + rows.map { "\($0.name) \(NumberText.interval($0.interval, text))" }.joined(separator: "; ")
    }
}
