/// A text and the pieces that it has been split into so far; none is empty.
struct Pieces {
    var bytes: [UInt8] = []
    var ranges: [TextMatch] = []
    /// Whether the first byte comes from the start of the whole text.
    var isAtStart = false
    /// The next list of pieces while it is made.
    private var made: [TextMatch] = []

    /// Starts over with a text as the one piece.
    mutating func reset(to text: [UInt8], isAtStart: Bool) {
        bytes = text
        ranges.removeAll(keepingCapacity: true)
        if !text.isEmpty { ranges.append(TextMatch(start: 0, end: text.count)) }
        self.isAtStart = isAtStart
    }

    /// Replaces each piece by those that `body` makes of it.
    private mutating func splitEach(_ body: ([UInt8], TextMatch, inout [TextMatch]) -> Void) {
        made.removeAll(keepingCapacity: true)
        for piece in ranges { body(bytes, piece, &made) }
        swap(&ranges, &made)
    }

    /// Replaces the text of each piece; pieces that become empty are dropped.
    mutating func rewrite(
        _ body: (_ bytes: [UInt8], _ piece: TextMatch, _ isAtStart: Bool, _ output: inout [UInt8]) -> Void
    ) {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count + bytes.count / 2 + 8)
        made.removeAll(keepingCapacity: true)
        for piece in ranges {
            let start = output.count
            body(bytes, piece, isAtStart && piece.start == 0, &output)
            if output.count > start { made.append(TextMatch(start: start, end: output.count)) }
        }
        isAtStart = isAtStart && ranges.first?.start == 0
        swap(&ranges, &made)
        bytes = output
    }

    /// Puts a blank before each piece that does not start with one.
    mutating func prependBlanks() {
        if ranges.allSatisfy({ bytes[$0.start] == 0x20 }) { return }
        rewrite { bytes, piece, _, output in
            if bytes[piece.start] != 0x20 { output.append(0x20) }
            output.append(contentsOf: bytes[piece.start..<piece.end])
        }
    }

    /// Turns each byte into the character of `ByteAlphabet` that stands for it.
    mutating func mapToByteAlphabet() {
        rewrite { bytes, piece, _, output in ByteAlphabet.append(bytes[piece.start..<piece.end], to: &output) }
    }

    /// Splits into the words that a scanner finds.
    mutating func splitWords(_ scanner: WordScanner) {
        splitEach { bytes, piece, made in
            var index = piece.start
            while index < piece.end {
                let next = scanner.end(of: bytes, from: index, piece.end)
                made.append(TextMatch(start: index, end: next))
                index = next
            }
        }
    }

    /// Splits at white space, which goes, and around each punctuation character, which stays.
    mutating func splitLikeBert() {
        let classes = ScalarClasses.shared
        splitEach { bytes, piece, made in
            var word = piece.start
            var index = piece.start
            while index < piece.end {
                let start = index
                let flags = classes[nextScalar(bytes, &index, piece.end)]
                if flags & (ScalarClasses.whitespace | ScalarClasses.punctuation) == 0 { continue }
                if start > word { made.append(TextMatch(start: word, end: start)) }
                if flags & ScalarClasses.whitespace == 0 { made.append(TextMatch(start: start, end: index)) }
                word = index
            }
            if piece.end > word { made.append(TextMatch(start: word, end: piece.end)) }
        }
    }

    /// Splits into runs of word characters and runs of others; white space goes (`\w+|[^\w\s]+`).
    mutating func splitIntoRuns() {
        let classes = ScalarClasses.shared
        let kinds = ScalarClasses.word | ScalarClasses.whitespace
        splitEach { bytes, piece, made in
            var index = piece.start
            var run = piece.start
            var kind = ScalarClasses.whitespace
            while index < piece.end {
                let start = index
                let next = classes[nextScalar(bytes, &index, piece.end)] & kinds
                if next == kind { continue }
                if kind != ScalarClasses.whitespace { made.append(TextMatch(start: run, end: start)) }
                run = start
                kind = next
            }
            if kind != ScalarClasses.whitespace { made.append(TextMatch(start: run, end: piece.end)) }
        }
    }

    /// Splits at each scalar of a class.
    mutating func split(at flags: ScalarClasses.Flags, _ behavior: DelimiterBehavior) {
        let classes = ScalarClasses.shared
        splitEach { bytes, piece, made in
            var parts: [(TextMatch, Bool)] = []
            var index = piece.start
            var open = piece.start
            while index < piece.end {
                let start = index
                if classes[nextScalar(bytes, &index, piece.end)] & flags == 0 { continue }
                if start > open { parts.append((TextMatch(start: open, end: start), false)) }
                parts.append((TextMatch(start: start, end: index), true))
                open = index
            }
            if piece.end > open { parts.append((TextMatch(start: open, end: piece.end), false)) }
            Self.join(parts, behavior, &made)
        }
    }

    /// Splits at each match of a pattern, or, inverted, at what lies between the matches.
    mutating func split(at pattern: TextPattern, _ behavior: DelimiterBehavior, inverted: Bool) {
        splitEach { bytes, piece, made in
            var parts: [(TextMatch, Bool)] = []
            var open = piece.start
            for match in pattern.matches(in: bytes, piece.start, piece.end) {
                if match.start > open { parts.append((TextMatch(start: open, end: match.start), inverted)) }
                parts.append((match, !inverted))
                open = match.end
            }
            if piece.end > open { parts.append((TextMatch(start: open, end: piece.end), inverted)) }
            Self.join(parts, behavior, &made)
        }
    }

    /// Appends the parts of a piece (and whether each is a delimiter) as pieces, joined or removed as the behavior says.
    private static func join(
        _ parts: [(part: TextMatch, isDelimiter: Bool)], _ behavior: DelimiterBehavior, _ made: inout [TextMatch]
    ) {
        var joined: [TextMatch] = []
        var previous = false
        switch behavior {
        case .isolated: joined = parts.map(\.part)
        case .removed: joined = parts.filter { !$0.isDelimiter }.map(\.part)
        case .contiguous, .mergedWithPrevious:
            for (part, isDelimiter) in parts {
                let joins = behavior == .contiguous ? isDelimiter == previous : isDelimiter && !previous
                if joins, !joined.isEmpty {
                    joined[joined.count - 1].end = part.end
                } else {
                    joined.append(part)
                }
                previous = isDelimiter
            }
        case .mergedWithNext:
            for (part, isDelimiter) in parts.reversed() {
                if isDelimiter, !previous, !joined.isEmpty {
                    joined[joined.count - 1].start = part.start
                } else {
                    joined.append(part)
                }
                previous = isDelimiter
            }
            joined.reverse()
        }
        for part in joined where part.end > part.start { made.append(part) }
    }
}
