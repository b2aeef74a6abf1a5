/// A drawing in SVG of a fixed size, built from simple shapes whose colours come from classes of `ChartStyle`.
struct Drawing {
    /// The width in units of the drawing, which are pixels at full size.
    var width: Double
    /// The height in the same units.
    var height: Double
    /// What a screen reader says instead of the drawing.
    var label: String
    /// How far the drawing may be enlarged where there is room.
    var scaleLimit: Double
    /// How far the drawing may be reduced before its surroundings have to scroll; 0 for as far as needed.
    var scaleMinimum = 0.0
    private var content = Markup.empty

    init(width: Double, height: Double, label: String, scaleLimit: Double = 1.25) {
        self.scaleLimit = scaleLimit
        self.width = width
        self.height = height
        self.label = label
    }

    /// Which end of a text stands at its place.
    enum Anchor: String { case start, middle, end }

    mutating func add(_ markup: Markup) { content += markup }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) {
        add("<line class=\"\(style)\" x1=\"\(x1)\" y1=\"\(y1)\" x2=\"\(x2)\" y2=\"\(y2)\"/>")
    }

    mutating func rectangle(
        x: Double, y: Double, width: Double, height: Double, _ style: String, corner: Double = 0,
        opacity: Double? = nil,
        title: String? = nil
    ) {
        let round: Markup = corner > 0 ? " rx=\"\(corner)\"" : ""
        let faint: Markup = opacity.map { " fill-opacity=\"\($0)\"" } ?? ""
        let size: Markup = "width=\"\(max(width, 0))\" height=\"\(max(height, 0))\""
        add("<rect class=\"\(style)\" x=\"\(x)\" y=\"\(y)\" \(size)\(round)\(faint)")
        add(close("rect", title: title))
    }

    mutating func circle(x: Double, y: Double, radius: Double, _ style: String, title: String? = nil) {
        add("<circle class=\"\(style)\" cx=\"\(x)\" cy=\"\(y)\" r=\"\(max(radius, 0))\"")
        add(close("circle", title: title))
    }

    mutating func text(
        _ text: String, x: Double, y: Double, _ style: String = "t", anchor: Anchor = .start, rotation: Double = 0,
        title: String? = nil
    ) {
        let turn: Markup = rotation == 0 ? "" : " transform=\"rotate(\(rotation) \(x) \(y))\""
        let tip: Markup = title.map { "<title>\($0)</title>" } ?? ""
        add(
            "<text class=\"\(style)\" x=\"\(x)\" y=\"\(y)\" text-anchor=\"\(anchor.rawValue)\"\(turn)>\(tip)\(text)</text>"
        )
    }

    private func close(_ element: String, title: String?) -> Markup {
        guard let title else { return "/>" }
        return "><title>\(title)</title></\(element)>"
    }

    /// The drawing as an SVG element for a page that carries `ChartStyle.css`.
    var markup: Markup { element(style: .empty) }

    /// The drawing as an SVG file of its own.
    var file: String { element(style: "<style>\(Markup(trusted: ChartStyle.css))</style>").text }

    private func element(style: Markup) -> Markup {
        let least: Markup = scaleMinimum > 0 ? ";min-width:\(width * scaleMinimum)px" : ""
        let size: Markup = "viewBox=\"0 0 \(width) \(height)\" style=\"max-width:\(width * scaleLimit)px\(least)\""
        return """
            <svg xmlns="http://www.w3.org/2000/svg" class="chart" role="img" aria-label="\(label)" \(size)>\
            \(style)\(content)</svg>
            """
    }

    /// About how wide a text is in the usual chart font of 12.5 units: there is no font to ask.
    static func textWidth(_ text: String, size: Double = 12.5) -> Double {
        text.unicodeScalars.reduce(0) { width, scalar in
            switch scalar {
            case "i", "j", "l", "t", "f", "r", "I", ".", ",", ":", ";", "'", "|", " ", "(", ")": width + 0.36 * size
            case "m", "w", "M", "W": width + 0.9 * size
            case "A"..."Z": width + 0.7 * size
            default: width + (scalar.value > 0x2e80 ? 1 : 0.6) * size
            }
        }
    }

    /// A text cut with an ellipsis so that it fits a width.
    static func fitted(_ text: String, width: Double, size: Double = 12.5) -> String {
        guard textWidth(text, size: size) > width else { return text }
        var short = text
        while !short.isEmpty, textWidth(short, size: size) + size > width { short.removeLast() }
        return short + "…"
    }
}

/// The area of a drawing in which values are shown, with its two axes.
struct PlotArea {
    var left: Double
    var top: Double
    var right: Double
    var bottom: Double
    var horizontal: Axis
    var vertical: Axis

    func x(_ value: Double) -> Double { left + (right - left) * horizontal.position(value) }
    func y(_ value: Double) -> Double { bottom - (bottom - top) * vertical.position(value) }

    /// Draws grid lines, tick labels and titles. Labels that would touch the one before are left out.
    func drawAxes(on drawing: inout Drawing, horizontalTitle: String, verticalTitle: String) {
        for tick in vertical.ticks {
            drawing.line(left, y(tick.value), right, y(tick.value), "grid")
            drawing.text(tick.label, x: left - 8, y: y(tick.value) + 4, "t m", anchor: .end)
        }
        drawHorizontalTicks(on: &drawing)
        drawing.line(left, bottom, right, bottom, "axis")
        if !horizontalTitle.isEmpty {
            drawing.text(horizontalTitle, x: (left + right) / 2, y: bottom + 36, "t m", anchor: .middle)
        }
        if !verticalTitle.isEmpty { drawing.text(verticalTitle, x: left, y: top - 12, "t m") }
    }

    func drawHorizontalTicks(on drawing: inout Drawing) {
        var occupied = -Double.infinity
        for tick in horizontal.ticks {
            let place = x(tick.value)
            let half = Drawing.textWidth(tick.label) / 2
            drawing.line(place, bottom, place, bottom + 4, "axis")
            guard place - half > occupied + 4 else { continue }
            drawing.text(tick.label, x: place, y: bottom + 18, "t m", anchor: .middle)
            occupied = place + half
        }
    }
}
