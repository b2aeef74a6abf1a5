import HoneFormats

/// What the values of a column are like.
struct ColumnProfile {
    /// Beyond this number of different values a column counts as having very many.
    static let manyDistinct = 5_000

    /// No label is longer than this, in bytes; where a longer value was seen, different values are no longer counted.
    static let longestLabel = 120

    let name: String
    /// How many rows have a value that is neither `null` nor empty.
    private(set) var present = 0
    private(set) var strings = 0
    private(set) var flags = 0
    private(set) var integers = 0
    private(set) var fractions = 0
    private(set) var lists = 0
    private(set) var objects = 0
    private(set) var longest = 0
    private(set) var holdsMessages = false
    private(set) var imageFiles = 0
    private var bytes = 0
    private var values: Set<String> = []
    private var hasMany = false

    private init(name: String) { self.name = name }

    /// The profiles of all columns, in one pass over the values that there are.
    static func profiles(of table: Table) -> [ColumnProfile] {
        var profiles = table.columns.map { ColumnProfile(name: $0) }
        table.forEachCell { profiles[$0].add($1) }
        return profiles
    }

    private mutating func add(_ value: JSON) {
        switch value {
        case .null: return
        case .string(let text):
            if text.isEmpty { return }
            if text.utf8.count <= 24, let number = Double(text) { count(number) } else { strings += 1 }
            if ColumnVocabulary.imageEndings.contains(DataFile.ending(of: text)) { imageFiles += 1 }
        case .bool: flags += 1
        case .integer: integers += 1
        case .number(let number): count(number)
        case .array(let elements):
            if lists == 0, let first = elements.first { holdsMessages = Conversation.looksLikeTurn(first) }
            lists += 1
        case .object: objects += 1
        }
        present += 1
        guard let text = ColumnReference.text(of: value) else { return }
        bytes += text.utf8.count
        longest = max(longest, text.utf8.count)
        if !hasMany, longest <= Self.longestLabel {
            values.insert(text)
            hasMany = values.count > Self.manyDistinct
        }
    }

    private mutating func count(_ number: Double) {
        if number.rounded() == number { integers += 1 } else { fractions += 1 }
    }

    /// How many different values there are; `nil` for very many or long ones.
    var distinct: Int? { hasMany || longest > Self.longestLabel ? nil : values.count }

    /// Why the values do not look like labels, for messages.
    var complaint: String {
        if longest > Self.longestLabel { return "has values of up to \(counted(longest, "byte"))" }
        let number = distinct.map(grouped) ?? "more than \(grouped(Self.manyDistinct))"
        return "has \(number) different values in \(counted(present, "row"))"
    }

    /// The mean length of the values in bytes.
    var meanLength: Double { present > 0 ? Double(bytes) / Double(present) : 0 }

    /// Whether most values are texts, numbers or truth values; one that is not becomes an error with its line later.
    var isScalar: Bool { (lists + objects) * 2 < present }

    /// Whether all values are names of files with images.
    var holdsImages: Bool { present > 0 && imageFiles == present }

    /// Whether all values are numbers, also where they are written as texts.
    var isNumeric: Bool { present > 0 && integers + fractions == present }

    /// Whether all values are whole numbers.
    var isWhole: Bool { present > 0 && integers == present }

    /// Whether most values are texts.
    var isText: Bool { isScalar && strings * 2 > present }

    /// Whether the values could be labels: short, not fractional, and mostly repeated.
    var couldBeLabels: Bool {
        guard isScalar, fractions == 0, longest <= Self.longestLabel, meanLength <= 48, let distinct else {
            return false
        }
        return present < 20 || distinct * 2 <= present
    }

    /// Whether there are so few different values that they are labels even under a name that promises texts.
    var isPlainlyLabels: Bool {
        guard couldBeLabels, !isNumeric, let distinct, distinct >= 2, present >= 4 else { return false }
        return distinct <= max(2, min(100, present / 20))
    }
}
