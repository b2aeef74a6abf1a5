import HoneEvaluation

/// A map of values: shade is the size against the largest, one colour for values above zero and another for those below.
public struct ValueMap: Hashable, Sendable {
    /// What the rows are called.
    public var rows: [String]
    /// What the columns are called.
    public var columns: [String]
    /// One row of values for each row; what is missing or not finite is left empty.
    public var values: [[Double]]

    /// A map of values.
    public init(rows: [String], columns: [String], values: [[Double]]) {
        self.rows = rows
        self.columns = columns
        self.values = values
    }

    /// The map as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The map as an SVG file of its own.
    public var svg: String { drawing.file }

    /// Up to how many columns values are written into the cells.
    static let valueLimit = 12
    private static let textSize = 10.5

    private var largest: Double {
        max(values.flatMap { $0 }.filter(\.isFinite).map(abs).max() ?? 0, .leastNormalMagnitude)
    }

    private var drawing: Drawing {
        let hasValues = columns.count <= Self.valueLimit
        let width = hasValues ? 46.0 : max(6, min(26, 620 / Double(max(columns.count, 1))))
        let height = rows.count <= 40 ? 20.0 : max(3, 800 / Double(rows.count))
        let longest = { (names: [String]) in names.map { Drawing.textWidth($0, size: Self.textSize) }.max() ?? 0 }
        let showsRows = height >= 9
        let left = showsRows ? min(longest(rows), 220) + 8 : 8
        // Titles of narrow columns stand upright, as many as there is room for.
        let turned = longest(columns) > width - 4
        let stride = width >= 11 ? 1 : Int((11 / width).rounded(.up))
        let top = (turned ? min(longest(columns), 120) * 0.72 : 12) + 10
        var drawing = Drawing(
            width: left + width * Double(columns.count) + (turned ? 90 : 4),
            height: top + height * Double(rows.count) + 4,
            label: summary, scaleLimit: 1)
        drawing.scaleMinimum = 0.7
        for (column, name) in columns.enumerated() where column % stride == 0 {
            let middle = left + (Double(column) + 0.5) * width
            let short = Drawing.fitted(name, width: 120, size: Self.textSize)
            drawing.text(
                short, x: middle + (turned ? 3 : 0), y: top - 6, "t s", anchor: turned ? .start : .middle,
                rotation: turned ? -45 : 0, title: name)
        }
        drawing.rectangle(
            x: left, y: top, width: width * Double(columns.count), height: height * Double(rows.count), "empty",
            corner: 3)
        for (row, name) in rows.enumerated() {
            let y = top + Double(row) * height
            if showsRows {
                let short = Drawing.fitted(name, width: 220, size: Self.textSize)
                drawing.text(short, x: left - 6, y: y + height / 2 + 3.5, "t s", anchor: .end, title: name)
            }
            guard values.indices.contains(row) else { continue }
            for (column, value) in values[row].prefix(columns.count).enumerated() where value.isFinite && value != 0 {
                let opacity = 0.06 + 0.94 * abs(value) / largest
                let x = left + Double(column) * width
                drawing.rectangle(
                    x: x + 0.5, y: y + 0.5, width: width - 1, height: max(height - 1, 1), value > 0 ? "right" : "wrong",
                    corner: 1.5, opacity: opacity,
                    title: "\(name), \(columns[column]): \(NumberText.significant(value, 4))")
                if hasValues, height >= 16 {
                    drawing.text(
                        NumberText.significant(value, 2), x: x + width / 2, y: y + height / 2 + 3.5,
                        opacity > 0.6 ? "inverse s" : "t s", anchor: .middle)
                }
            }
        }
        return drawing
    }

    private var summary: String {
        var best: (row: Int, column: Int, value: Double)?
        for (row, line) in values.enumerated() {
            for (column, value) in line.enumerated() where value.isFinite && abs(value) > abs(best?.value ?? 0) {
                best = (row, column, value)
            }
        }
        let size = "Map of \(rows.count) by \(columns.count) values."
        guard let best, rows.indices.contains(best.row), columns.indices.contains(best.column) else { return size }
        return size
            + " Largest: \(rows[best.row]), \(columns[best.column]) with \(NumberText.significant(best.value, 4))."
    }
}
