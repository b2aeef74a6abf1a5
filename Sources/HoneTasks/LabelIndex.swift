import HoneFormats

/// The labels of a task in their order, and how the values in data map to them.
struct LabelIndex {
    let names: [String]
    private let indices: [String: Int]
    private let acceptsNumbers: Bool

    /// Labels in a given order.
    init(names: [String]) {
        self.names = names
        indices = Dictionary(names.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        // Where labels are numbers themselves, a number is a name and never a place in the list.
        acceptsNumbers = names.allSatisfy { Int($0) == nil }
    }

    /// The index of a value: a label's name, or its place in the list counted from 0.
    func index(of value: String) -> Int? {
        if let index = indices[value] { return index }
        guard acceptsNumbers, let index = Int(value), names.indices.contains(index) else { return nil }
        return index
    }

    /// The index of a value, or an error that says where it stands.
    func index(of value: String, file: String, line: Int, item: String?) throws -> Int {
        if let index = index(of: value) { return index }
        throw HoneError(
            .badData,
            "\(Wording.label(value)) is not among the \(grouped(names.count)) labels of the task"
                + Wording.suggestion(for: value, among: names),
            file: file, line: line, item: item)
    }

    /// Names in natural order: as numbers where all are numbers, else by the code points of their letters.
    static func naturalOrder(_ names: some Collection<String>) -> [String] {
        let numbers = names.compactMap { name in Double(name).map { (name, $0) } }
        if numbers.count == names.count {
            return numbers.sorted { ($0.1, $0.0) < ($1.1, $1.0) }.map(\.0)
        }
        return names.sorted { $0.unicodeScalars.lexicographicallyPrecedes($1.unicodeScalars) }
    }

    /// The labels found in data, in the order of a column of whole numbers that mirrors them, else in natural order.
    static func found(_ labels: Set<String>, table: Table, label: ColumnReference?, order: String?) -> LabelIndex {
        guard let order, let column = table.position(of: order), let label else {
            return LabelIndex(names: naturalOrder(labels))
        }
        var places: [String: Int] = [:]
        for row in 0..<table.count {
            guard let name = ColumnReference.text(of: label.value(in: table, row: row))?.trimmedOfWhitespace(),
                let text = ColumnReference.text(of: table[row, column]),
                let place = Double(text).flatMap(Int.init(exactly:))
            else { continue }
            places[name] = place
        }
        let natural = naturalOrder(labels)
        let known = natural.filter { places[$0] != nil }.sorted { places[$0] ?? 0 < places[$1] ?? 0 }
        return LabelIndex(names: known + natural.filter { places[$0] == nil })
    }
}
