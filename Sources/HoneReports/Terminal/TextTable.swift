/// A table for the terminal: columns stand under each other, numbers end at the same place.
///
///     var table = TextTable(["method", "accuracy", "time"])
///     table.add(["lora", "0.934", "41.2 s"])
///     print(table.text(width: 80))
public struct TextTable: Hashable, Sendable {
    /// Where the cells of a column stand.
    public enum Alignment: Hashable, Sendable {
        /// At the left.
        case left
        /// At the right.
        case right
        /// At the right if every cell that is not empty begins like a number, else at the left.
        case automatic
    }

    /// The heads of the columns.
    public let titles: [String]
    /// Where the cells of each column stand.
    public let alignments: [Alignment]
    /// The rows, each with as many cells as there are columns.
    public private(set) var rows: [[String]] = []

    /// A table with heads; columns without an alignment are automatic.
    public init(_ titles: [String], alignments: [Alignment] = []) {
        self.titles = titles.map(TerminalText.printable)
        self.alignments = titles.indices.map { alignments.indices.contains($0) ? alignments[$0] : .automatic }
    }

    /// Adds a row; missing cells are empty, surplus ones are left out, control characters are replaced.
    public mutating func add(_ cells: [String]) {
        rows.append(titles.indices.map { cells.indices.contains($0) ? TerminalText.printable(cells[$0]) : "" })
    }

    /// The table as lines without a line break at the end.
    /// - Parameter width: how many columns the terminal has; the widest left-aligned columns are cut to fit. nil cuts
    ///   nothing.
    public func text(width: Int? = nil) -> String {
        guard !titles.isEmpty else { return "" }
        let rightAligned = titles.indices.map(isRightAligned)
        var widths = titles.indices.map { column in
            ([titles[column]] + rows.map { $0[column] }).map(TerminalText.width).max() ?? 0
        }
        if let width { shrink(&widths, to: width - 2 * (titles.count - 1), rightAligned: rightAligned) }
        func line(_ cells: [String]) -> String {
            let padded = cells.indices.map { column in
                TerminalText.padded(
                    TerminalText.truncated(cells[column], to: widths[column]), to: widths[column],
                    rightAligned: rightAligned[column])
            }.joined(separator: "  ")
            guard let end = padded.lastIndex(where: { $0 != " " }) else { return "" }
            return String(padded[...end])
        }
        let rule = widths.map { String(repeating: "─", count: $0) }.joined(separator: "  ")
        return ([line(titles), rule] + rows.map(line)).joined(separator: "\n")
    }

    private func isRightAligned(_ column: Int) -> Bool {
        switch alignments[column] {
        case .left: return false
        case .right: return true
        case .automatic:
            let cells = rows.map { $0[column] }.filter { !$0.isEmpty && $0 != "–" }
            return !cells.isEmpty && cells.allSatisfy(Self.looksNumeric)
        }
    }

    /// Whether a text begins with a digit after signs, and holds few letters: "0.934 (0.918–0.949)", "−3", "41.2 s", "<
    /// 1 ms".
    static func looksNumeric(_ text: String) -> Bool {
        let body = text.drop { "+-−<~≈ ".contains($0) }
        guard let first = body.first, first.isASCII, first.isNumber else { return false }
        return body.count { $0.isLetter } <= 6
    }

    private func shrink(_ widths: inout [Int], to available: Int, rightAligned: [Bool]) {
        let smallest = 6
        while widths.reduce(0, +) > available {
            let candidates = widths.indices.filter { !rightAligned[$0] && widths[$0] > smallest }
            guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { return }
            widths[widest] -= 1
        }
    }
}
