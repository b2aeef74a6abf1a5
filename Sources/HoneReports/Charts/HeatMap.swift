import HoneEvaluation

/// A confusion matrix as a map: rows are the right classes, columns the predicted ones, shade is the share of the row.
///
/// Right predictions lie on the diagonal in one colour, wrong ones off it in another. Up to 12 classes show counts, up
/// to 40 show names; beyond that only the pattern is shown, which a table of the most confused pairs has to accompany.
public struct HeatMap: Hashable, Sendable {
    /// The counts.
    public var matrix: ConfusionMatrix
    /// The names of the classes; missing ones are numbered.
    public var labels: [String]

    /// A map of counts.
    public init(matrix: ConfusionMatrix, labels: [String]) {
        self.matrix = matrix
        self.labels = labels
    }

    /// Up to how many classes counts are written into the cells.
    static let countLimit = 12
    /// Up to how many classes names stand beside the map.
    static let nameLimit = 40

    /// The map as SVG for a page with the report's style.
    public var markup: Markup { drawing.markup }
    /// The map as an SVG file of its own.
    public var svg: String { drawing.file }

    private var classes: Int { max(matrix.classCount, 1) }
    private var hasNames: Bool { classes <= Self.nameLimit }
    private var cellSize: Double {
        if classes <= Self.countLimit { return min(64, max(38, 340 / Double(classes))) }
        return classes <= Self.nameLimit ? 17 : 520 / Double(classes)
    }

    private var drawing: Drawing {
        let names = (0..<classes).map { labels.indices.contains($0) ? labels[$0] : String($0) }
        let size = classes > Self.countLimit ? 10.5 : 12.5
        let longest = hasNames ? min(names.map { Drawing.textWidth($0, size: size) }.max() ?? 0, 150) : 0
        let left = hasNames ? max(longest, 80) + 8 : 22.0
        let top = 24 + (hasNames ? longest * 0.72 + 14 : 0)
        let side = cellSize * Double(classes)
        var drawing = Drawing(
            width: left + side + (hasNames ? longest * 0.72 : 0) + 4, height: top + side + 6, label: summary(names),
            scaleLimit: 1)
        drawing.scaleMinimum = hasNames && classes > 4 ? 0.85 : 0
        drawing.text("predicted →", x: left, y: 12, "t m")
        if hasNames {
            drawing.text("right class ↓", x: left - 8, y: top - 10, "t m", anchor: .end)
        } else {
            drawing.text("right class →", x: 12, y: top + side, "t m", rotation: -90)
        }
        drawing.rectangle(x: left, y: top, width: side, height: side, "empty", corner: 3)
        if hasNames {
            let style = classes > Self.countLimit ? "t s" : "t"
            for (index, name) in names.enumerated() {
                let middle = (Double(index) + 0.5) * cellSize
                let short = Drawing.fitted(name, width: 150, size: size)
                drawing.text(short, x: left - 8, y: top + middle + 4, style, anchor: .end, title: name)
                drawing.text(short, x: left + middle + 3, y: top - 8, style, rotation: -45, title: name)
            }
            drawCells(left: left, top: top, names: names, on: &drawing)
        } else {
            drawPattern(left: left, top: top, on: &drawing)
        }
        return drawing
    }

    /// Cells inside the matrix with the share of their row.
    private var shares: [(cell: ConfusionMatrix.Cell, share: Double)] {
        var totals: [Int: Int] = [:]
        for cell in matrix.cells { totals[cell.label, default: 0] += cell.count }
        return matrix.cells.compactMap { cell in
            guard (0..<classes).contains(cell.label), (0..<classes).contains(cell.prediction), cell.count > 0 else {
                return nil
            }
            return (cell, Double(cell.count) / Double(max(totals[cell.label] ?? 1, 1)))
        }
    }

    /// How opaque a share is: the root lifts the rare errors, which are what one looks for.
    private func opacity(_ share: Double) -> Double { 0.2 + 0.8 * min(max(share, 0), 1).squareRoot() }

    private func drawCells(left: Double, top: Double, names: [String], on drawing: inout Drawing) {
        let gap = classes <= Self.countLimit ? 1.5 : 0.75
        for (cell, share) in shares {
            let x = left + Double(cell.prediction) * cellSize
            let y = top + Double(cell.label) * cellSize
            let opacity = cell.label == cell.prediction ? 0.1 + 0.9 * share : opacity(share)
            drawing.rectangle(
                x: x + gap, y: y + gap, width: cellSize - 2 * gap, height: cellSize - 2 * gap,
                cell.label == cell.prediction ? "right" : "wrong", corner: 2, opacity: opacity,
                title: "\(names[cell.label]) predicted as \(names[cell.prediction]): \(NumberText.count(cell.count)) "
                    + "(\(NumberText.share(share)) of the class)")
            if classes <= Self.countLimit {
                drawing.text(
                    NumberText.count(cell.count), x: x + cellSize / 2, y: y + cellSize / 2 + 4.5,
                    opacity > 0.6 ? "inverse" : "t", anchor: .middle)
            }
        }
    }

    /// Many cells: one path for each of a few shades, so that the file stays small.
    private func drawPattern(left: Double, top: Double, on drawing: inout Drawing) {
        struct Shade: Hashable {
            var isRight: Bool
            var level: Int
        }
        var paths: [Shade: String] = [:]
        // A lone wrong prediction among many classes would be less than a pixel.
        let size = max(cellSize, 3)
        for (cell, share) in shares {
            let shade = Shade(
                isRight: cell.label == cell.prediction, level: Int((opacity(share) * 10).rounded(.up)))
            let x = left + (Double(cell.prediction) + 0.5) * cellSize - size / 2
            let y = top + (Double(cell.label) + 0.5) * cellSize - size / 2
            let path: Markup = "M\(x) \(y)h\(size)v\(size)h\(-size)z"
            paths[shade, default: ""] += path.text
        }
        for (shade, path) in paths.sorted(by: {
            ($0.key.isRight ? 0 : 1, $0.key.level) < ($1.key.isRight ? 0 : 1, $1.key.level)
        }) {
            drawing.add(
                "<path class=\"\(shade.isRight ? "right" : "wrong")\" fill-opacity=\"\(Double(shade.level) / 10)\" d=\"\(Markup(trusted: path))\"/>"
            )
        }
    }

    private func summary(_ names: [String]) -> String {
        let worst = matrix.mostConfused(limit: 3).filter {
            names.indices.contains($0.label) && names.indices.contains($0.prediction)
        }
        let pairs = worst.map { "\(names[$0.label]) as \(names[$0.prediction]) (\($0.count))" }
        return "Confusion matrix of \(classes) classes."
            + (pairs.isEmpty ? "" : " Most confused: " + pairs.joined(separator: ", "))
    }
}
