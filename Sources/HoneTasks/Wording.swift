/// A number for people: 8978 becomes "8,978".
func grouped(_ number: Int) -> String {
    let digits = String(number.magnitude)
    var result = ""
    for (index, digit) in digits.enumerated() {
        if index > 0, (digits.count - index) % 3 == 0 { result.append(",") }
        result.append(digit)
    }
    return number < 0 ? "-" + result : result
}

/// A number with its noun: "1 row", "3 rows".
func counted(_ number: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(grouped(number)) \(number == 1 ? noun : plural ?? noun + "s")"
}

/// Words for messages. Names come from files of strangers, and a file without a header may have somebody's text where
/// names belong: only what looks like a name is shown.
enum Wording {
    /// A column's name between backquotes, or its place where the name does not look like one.
    static func column(_ name: String, at position: Int? = nil) -> String {
        if looksLikeName(name) { return "`\(name)`" }
        return position.map { "column \($0 + 1)" } ?? "a column with a long name"
    }

    /// A label between backquotes, or its length where it does not look like a name.
    static func label(_ name: String) -> String {
        looksLikeName(name, words: 8) ? "`\(name)`" : "a label of \(grouped(name.count)) characters"
    }

    /// Labels for a sentence: "`a`, `b` and 3 more".
    static func labels(_ names: [String], limit: Int = 5) -> String {
        names.prefix(limit).map(label).joined(separator: ", ")
            + (names.count > limit ? " and \(grouped(names.count - limit)) more" : "")
    }

    /// Names for a sentence: "`a`, `b` and 3 more".
    static func columns(_ names: [String], limit: Int = 12) -> String {
        let parts = names.prefix(limit).enumerated().map { column($1, at: $0) }
        let rest = names.count > limit ? " and \(grouped(names.count - limit)) more" : ""
        return parts.joined(separator: ", ") + rest
    }

    /// Whether a string is short and of one line, as names of columns and labels are.
    static func looksLikeName(_ name: String, words: Int = 5) -> Bool {
        guard !name.isEmpty, name.utf8.count <= 200, name.count <= 8 * words else { return false }
        return name.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F && $0.value != 0x60 }
            && name.split(separator: " ").count <= words
    }

    /// The name out of some that is nearest to a misspelt one, if one is near.
    static func nearest(to name: String, among names: [String]) -> String? {
        guard name.utf8.count <= 64 else { return nil }
        let wanted = Array(name.lowercased())
        var best: (name: String, distance: Int)?
        for candidate in names where candidate.utf8.count <= 64 {
            let distance = editDistance(wanted, Array(candidate.lowercased()))
            if distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        guard let best, best.distance <= max(2, wanted.count / 3), best.distance < wanted.count else {
            return nil
        }
        return best.name
    }

    /// ", did you mean `x`?" or nothing.
    static func suggestion(for name: String, among names: [String]) -> String {
        nearest(to: name, among: names).map { "; did you mean \(column($0))?" } ?? ""
    }

    /// Levenshtein's distance: the least number of insertions, deletions and substitutions.
    private static func editDistance(_ first: [Character], _ second: [Character]) -> Int {
        var previous = Array(0...second.count)
        for (row, one) in first.enumerated() {
            var current = [row + 1]
            for (column, other) in second.enumerated() {
                let substitution = previous[column] + (one == other ? 0 : 1)
                current.append(min(substitution, previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous.last ?? 0
    }
}
