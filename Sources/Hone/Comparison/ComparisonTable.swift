import HoneEvaluation
import HoneFormats

/// The records of a comparison, drawn together over the seeds.
public struct ComparisonTable: Sendable {
    /// One method on one task with so many rows.
    public struct Line: Sendable {
        /// The task's name.
        public var task: String
        /// How many rows a class, or `all`.
        public var rows: String
        /// The method.
        public var method: String
        /// Why nothing was measured; empty where something was.
        public var reason: String
        /// How many seeds there are.
        public var seeds: Int
        /// Accuracy, or the negative loss per token: the mean with Student's interval over the seeds.
        public var score: Interval
        /// The difference to the method of the first line of this task and these rows, seed by seed.
        public var difference: Interval
        /// The expected calibration error.
        public var calibrationError: Interval
        /// What the base forgot.
        public var forgetting: Interval
        /// The learning rate taken.
        public var learningRate: Double?
        /// How many numbers were trained.
        public var trainedParameters: Int
        /// The median time of a training, in seconds.
        public var seconds: Double
        /// The largest resident memory, in bytes.
        public var peakBytes: Int
    }

    /// The lines, in the order of the records.
    public let lines: [Line]
    /// The method that differences are to.
    public let reference: String?

    /// Draws records together.
    ///
    /// - Parameter reference: the method that the others are compared with.
    public init(_ records: [ComparisonRecord], reference: String?) {
        self.reference = reference
        var order: [ComparisonRecord.Key] = []
        var groups: [ComparisonRecord.Key: [ComparisonRecord]] = [:]
        for record in records {
            var key = record.key
            key.seed = 0
            if groups[key] == nil { order.append(key) }
            groups[key, default: []].append(record)
        }
        lines = order.map { key in
            let own = groups[key] ?? []
            let measured = own.filter { $0.reason.isEmpty }
            var other = key
            other.method = reference ?? ""
            let references = Dictionary(
                (groups[other] ?? []).filter { $0.reason.isEmpty }.map { ($0.key.seed, $0.score) }
            ) { first, _ in first }
            let differences = measured.compactMap { record in references[record.key.seed].map { record.score - $0 } }
            func interval(_ figure: (ComparisonRecord) -> Double) -> Interval {
                .student(measured.map(figure).filter(\.isFinite))
            }
            let seconds = measured.map(\.seconds).sorted()
            return Line(
                task: key.task, rows: key.rows, method: key.method,
                reason: measured.isEmpty ? own.first?.reason ?? "" : "", seeds: measured.count,
                score: interval(\.score), difference: key.method == reference ? .none : .student(differences),
                calibrationError: interval(\.calibrationError), forgetting: interval(\.forgetting),
                learningRate: measured.first?.learningRate,
                trainedParameters: measured.map(\.trainedParameters).max() ?? 0,
                seconds: seconds.isEmpty ? .nan : seconds[seconds.count / 2],
                peakBytes: measured.map(\.peakBytes).max() ?? 0)
        }
    }

    /// The heads of the columns.
    public var titles: [String] {
        [
            "task", "rows", "method", "score", reference.map { "against \($0)" } ?? "difference", "calibration error",
            "forgetting", "rate", "trained", "time", "memory", "seeds",
        ]
    }

    /// The cells of a line.
    public func cells(_ line: Line) -> [String] {
        guard line.seeds > 0 else {
            return [line.task, line.rows, line.method, line.reason] + Array(repeating: "", count: 8)
        }
        return [
            line.task, line.rows, line.method, text(line.score), text(line.difference, signed: true),
            text(line.calibrationError), text(line.forgetting), line.learningRate.map { "\($0)" } ?? "",
            "\(line.trainedParameters)", decimals(line.seconds, 1) + " s", "\(line.peakBytes >> 20) MiB",
            "\(line.seeds)",
        ]
    }

    private func text(_ interval: Interval, signed: Bool = false) -> String {
        guard interval.value.isFinite else { return "" }
        let sign = signed && interval.value >= 0 ? "+" : ""
        let value = sign + decimals(interval.value, 3)
        guard interval.high.isFinite, interval.high > interval.value else { return value }
        return value + " ± " + decimals(interval.high - interval.value, 3)
    }

    /// The scores of a task: a row of cells for each method, a column for each number of rows.
    ///
    /// A score whose difference to the reference has an interval on one side of zero is marked ▲ or ▼.
    public func scores(of task: String) -> (titles: [String], cells: [[String]]) {
        let own = lines.filter { $0.task == task }
        let rows = ComparisonTable.distinct(own.map(\.rows))
        let cells = ComparisonTable.distinct(own.map(\.method)).map { method in
            [method] + rows.map { rows in own.first { $0.method == method && $0.rows == rows }.map(marked) ?? "" }
        }
        return (["method"] + rows.map { $0 == "all" ? "all rows" : "\($0) rows" }, cells)
    }

    /// Each name once, where it first comes.
    private static func distinct(_ names: [String]) -> [String] {
        names.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
    }

    private func marked(_ line: Line) -> String {
        guard line.seeds > 0 else { return line.reason }
        let difference = line.difference
        let isCertain = difference.low.isFinite && difference.high.isFinite && difference.high > difference.low
        let mark = !isCertain ? "" : difference.low > 0 ? " ▲" : difference.high < 0 ? " ▼" : ""
        return text(line.score) + mark
    }

    /// The tables in Markdown: the scores of each task, then everything.
    public var markdown: String {
        func row(_ cells: [String]) -> String {
            "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |"
        }
        func table(_ titles: [String], _ cells: [[String]]) -> String {
            let rule = "|" + Array(repeating: "---", count: titles.count).joined(separator: "|") + "|"
            return ([row(titles), rule] + cells.map(row)).joined(separator: "\n") + "\n"
        }
        let tasks = ComparisonTable.distinct(lines.map(\.task))
        let marks = reference.map {
            "▲, ▼: the interval of the difference to \($0), seed by seed, lies above, below zero.\n\n"
        }
        let overviews = tasks.map { task in
            let scores = scores(of: task)
            return "### \(task)\n\n" + table(scores.titles, scores.cells) + "\n"
        }
        return overviews.joined() + (marks ?? "") + "### Everything\n\n" + table(titles, lines.map(cells))
    }
}
