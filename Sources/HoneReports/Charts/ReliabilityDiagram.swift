import HoneEvaluation

/// How often a classifier is right against how sure it is, with a histogram of the confidences below.
///
/// Dots on the diagonal are calibrated; below it the classifier is too sure. A dot's area grows with its number of
/// examples.
public struct ReliabilityDiagram: Hashable, Sendable {
    /// The bins; empty ones are not drawn.
    public var bins: [ReliabilityBin]

    /// A diagram of bins.
    public init(bins: [ReliabilityBin]) { self.bins = bins }

    /// The diagram as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The diagram as an SVG file of its own.
    public var svg: String { drawing.file }

    private var drawing: Drawing {
        var drawing = Drawing(width: 460, height: 424, label: summary)
        let unit = Axis(linear: [0, 1], bounds: 0...1)
        let area = PlotArea(left: 36, top: 28, right: 446, bottom: 298, horizontal: unit, vertical: unit)
        for tick in unit.ticks {
            drawing.line(area.left, area.y(tick.value), area.right, area.y(tick.value), "grid")
            drawing.text(tick.label, x: area.left - 8, y: area.y(tick.value) + 4, "t m", anchor: .end)
        }
        drawing.text("share that is right", x: 0, y: 12, "t m")
        drawing.line(area.x(0), area.y(0), area.x(1), area.y(1), "guide")
        let filled = bins.filter { $0.count > 0 && $0.meanConfidence.isFinite && $0.accuracy.isFinite }
        let most = Double(filled.map(\.count).max() ?? 1)
        let strip = PlotArea(left: 36, top: 316, right: 446, bottom: 376, horizontal: unit, vertical: unit)
        for bin in filled {
            let share = Double(bin.count) / most
            drawing.rectangle(
                x: strip.x(bin.low) + 1, y: strip.y(share), width: strip.x(bin.high) - strip.x(bin.low) - 2,
                height: max(strip.bottom - strip.y(share), 1), "bar", corner: 1.5, title: words(bin))
            drawing.line(
                area.x(bin.meanConfidence), area.y(bin.meanConfidence), area.x(bin.meanConfidence),
                area.y(bin.accuracy),
                "whisker c2")
        }
        for bin in filled {
            drawing.circle(
                x: area.x(bin.meanConfidence), y: area.y(bin.accuracy),
                radius: 3 + 8 * (Double(bin.count) / most).squareRoot(), "dot c1", title: words(bin))
        }
        strip.drawHorizontalTicks(on: &drawing)
        drawing.line(strip.left, strip.bottom, strip.right, strip.bottom, "axis")
        drawing.text(
            "confidence (bars: examples)", x: (strip.left + strip.right) / 2, y: strip.bottom + 40, "t m",
            anchor: .middle)
        return drawing
    }

    private func words(_ bin: ReliabilityBin) -> String {
        let examples = bin.count == 1 ? "1 example" : "\(NumberText.count(bin.count)) examples"
        return "\(examples) with confidence \(NumberText.fixed(bin.low, 2))–\(NumberText.fixed(bin.high, 2)): "
            + "mean confidence \(NumberText.share(bin.meanConfidence)), right \(NumberText.share(bin.accuracy))"
    }

    private var summary: String {
        "Reliability diagram. " + bins.filter { $0.count > 0 }.map(words).joined(separator: "; ")
    }
}
