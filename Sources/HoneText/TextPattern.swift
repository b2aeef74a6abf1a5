import HoneFormats

/// A stretch of bytes, from `start` up to `end`.
struct TextMatch: Sendable, Equatable {
    var start: Int
    var end: Int
}

/// What `Replace` and `Split` look for.
enum TextPattern: Sendable {
    /// These bytes.
    case literal([UInt8])
    /// Two or more blanks.
    case blanks
    /// One of the patterns of well-known models, scanned by hand.
    case words(WordScanner)
    /// Any other regular expression.
    case expression(RegularExpression)

    /// Reads the member `pattern` of a component: `{"String": …}` or `{"Regex": …}`.
    init(_ component: Component) throws(HoneError) {
        guard let pattern = component.value["pattern"]?.object, pattern.count == 1,
            let kind = pattern.keys.first,
            let text = pattern[kind]?.string
        else { throw component.wrongKind("pattern", "an object with the string “String” or “Regex”") }
        switch kind {
        case "String":
            if text.isEmpty { throw component.unsupported("an empty pattern is not supported") }
            self = .literal(Array(text.utf8))
        case "Regex":
            if text == " {2,}" {
                self = .blanks
            } else if let scanner = WordScanner(pattern: text) {
                self = .words(scanner)
            } else {
                self = .expression(try RegularExpression(text, component))
            }
        default:
            throw component.unsupported("the kind of pattern “\(kind.prefix(80))” is not supported")
        }
    }

    /// False where a text certainly holds no match, found out cheaply.
    func mayMatch(_ text: ArraySlice<UInt8>) -> Bool {
        switch self {
        case .literal(let literal): text.contains(literal[0])
        case .blanks: text.contains(0x20)
        case .words, .expression: true
        }
    }

    /// All matches within `bytes[start..<end]`, from left to right, none overlapping another.
    func matches(in bytes: [UInt8], _ start: Int, _ end: Int) -> [TextMatch] {
        var found: [TextMatch] = []
        switch self {
        case .literal(let literal):
            var index = start
            while index + literal.count <= end {
                if bytes[index] == literal[0], bytes[index..<(index + literal.count)].elementsEqual(literal) {
                    found.append(TextMatch(start: index, end: index + literal.count))
                    index += literal.count
                } else {
                    index += 1
                }
            }
        case .blanks:
            var index = start
            while index < end {
                let first = index
                while index < end, bytes[index] == 0x20 { index += 1 }
                if index - first >= 2 { found.append(TextMatch(start: first, end: index)) }
                index = max(index, first + 1)
            }
        case .words(let scanner):
            var index = start
            while index < end {
                let next = scanner.end(of: bytes, from: index, end)
                found.append(TextMatch(start: index, end: next))
                index = next
            }
        case .expression(let expression):
            found = expression.matches(in: bytes, start, end)
        }
        return found
    }
}
