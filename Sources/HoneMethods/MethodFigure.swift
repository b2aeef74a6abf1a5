import HoneFormats

/// Something that a method has to show of what it learned: drawn in the report and printed by `hone inspect`.
public struct MethodFigure: Sendable {
    /// A curve by name.
    public struct Curve: Sendable {
        /// What the legend calls it.
        public var name: String
        /// Its points, in order of `x`.
        public var points: [(x: Double, y: Double)]

        /// A curve from its points.
        public init(name: String, points: [(x: Double, y: Double)]) {
            self.name = name
            self.points = points
        }
    }

    /// What is shown.
    public enum Content: Sendable {
        /// Facts in words.
        case sentences([String])
        /// Rows of as many cells as there are titles.
        case table(titles: [String], rows: [[String]])
        /// A map of values, one row of values for each row title; what is not finite is left empty.
        case map(rows: [String], columns: [String], values: [[Double]])
        /// Curves over a common axis.
        case curves([Curve], horizontal: String, vertical: String)
    }

    /// What it shows, as a heading.
    public var title: String
    /// How to read it, in a sentence.
    public var note: String
    /// What is shown.
    public var content: Content

    /// A figure.
    public init(_ title: String, note: String = "", _ content: Content) {
        self.title = title
        self.note = note
        self.content = content
    }

    /// Everything as JSON, for programs.
    public var json: JSON {
        func strings(_ list: [String]) -> JSON { .array(list.map { .string($0) }) }
        func number(_ value: Double) -> JSON { value.isFinite ? .number(value) : .null }
        var object = JSONObject()
        object["title"] = .string(title)
        if !note.isEmpty { object["note"] = .string(note) }
        switch content {
        case .sentences(let sentences): object["sentences"] = strings(sentences)
        case .table(let titles, let rows):
            object["titles"] = strings(titles)
            object["rows"] = .array(rows.map(strings))
        case .map(let rows, let columns, let values):
            object["rows"] = strings(rows)
            object["columns"] = strings(columns)
            object["values"] = .array(values.map { .array($0.map(number)) })
        case .curves(let curves, let horizontal, let vertical):
            object["horizontal"] = .string(horizontal)
            object["vertical"] = .string(vertical)
            object["curves"] = .array(
                curves.map { curve in
                    [
                        "name": .string(curve.name),
                        "points": .array(curve.points.map { .array([number($0.x), number($0.y)]) }),
                    ]
                })
        }
        return .object(object)
    }
}
