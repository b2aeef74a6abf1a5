import HoneFormats

/// Where a value stands in a row: a column, and inside nested JSON the steps to follow.
struct ColumnReference: Sendable {
    let name: String
    let position: Int
    /// Keys of objects, or indices of arrays written in digits.
    let steps: [String]

    /// The place that a name stands for: a column of that name, else a path such as `answers.text.0` whose first part
    /// is a column. `nil` if neither is in the table.
    init?(_ name: String, in table: Table) {
        self.name = name
        if let position = table.position(of: name) {
            self.position = position
            steps = []
            return
        }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1, let position = table.position(of: parts[0]) else { return nil }
        self.position = position
        steps = Array(parts.dropFirst())
    }

    /// The place that a name stands for, or an error that lists the columns.
    static func find(_ name: String, in table: Table) throws -> ColumnReference {
        if let found = ColumnReference(name, in: table) { return found }
        throw HoneError(
            .badData,
            "there is no column \(Wording.column(name))\(Wording.suggestion(for: name, among: table.columns)); "
                + "the columns are \(Wording.columns(table.columns))",
            file: table.file, line: table.count > 0 ? table.line(ofRow: 0) : nil,
            item: Wording.looksLikeName(name) ? name : nil)
    }

    /// The value in a row; `null` where a step leads nowhere.
    func value(in table: Table, row: Int) -> JSON {
        var value = table[row, position]
        for step in steps {
            if case .array(let elements) = value {
                guard let index = Int(step), elements.indices.contains(index) else { return .null }
                value = elements[index]
            } else {
                value = value[step] ?? .null
            }
        }
        return value
    }

    /// The value in a row as text: strings as they are, numbers without `.0` where they are whole, `null` as the empty
    /// text.
    ///
    /// - Throws: `HoneError` with line and column where the value is a list or an object.
    func text(in table: Table, row: Int) throws -> String {
        if let text = Self.text(of: value(in: table, row: row)) { return text }
        throw HoneError(
            .badData,
            "the value is \(value(in: table, row: row).kind), a text is needed; "
                + "a path such as `\(Wording.looksLikeName(name) ? name : "column").0` reaches inside",
            file: table.file, line: table.line(ofRow: row), item: name)
    }

    /// A value as text; `nil` for lists and objects.
    static func text(of value: JSON) -> String? {
        switch value {
        case .null: return ""
        case .string(let text): return text
        case .bool(let flag): return flag ? "true" : "false"
        case .integer(let number): return String(number)
        case .number(let number):
            if let whole = Int(exactly: number), number.magnitude < 9_007_199_254_740_992 { return String(whole) }
            return String(number)
        case .array, .object: return nil
        }
    }
}
