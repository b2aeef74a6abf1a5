/// A text and the pieces that it has been split into so far; none is empty.
struct Pieces {
    var bytes: [UInt8] = []
    /// Where each byte comes from; empty where nobody asked for offsets.
    private(set) var origins: [Origin] = []
    var ranges: [TextMatch] = []
    /// Whether the first byte comes from the start of the whole text.
    var isAtStart = false
    /// The next list of pieces while it is made.
    private var made: [TextMatch] = []

    /// Starts over with a text as the one piece.
    mutating func reset(to text: AlignedText, isAtStart: Bool) {
        bytes = text.bytes
        origins = text.origins
        ranges.removeAll(keepingCapacity: true)
        if !bytes.isEmpty { ranges.append(TextMatch(start: 0, end: bytes.count)) }
        self.isAtStart = isAtStart
    }

    /// Replaces each piece by those that `body` makes of it.
    private mutating func splitEach(_ body: ([UInt8], TextMatch, inout [TextMatch]) -> Void) {
        made.removeAll(keepingCapacity: true)
        for piece in ranges { body(bytes, piece, &made) }
        swap(&ranges, &made)
    }

    /// Replaces the text of each piece.
    ///
    /// - Parameter body: appends the new text of a piece to `output` and, for each byte of it, the index of the byte that it
    ///   comes from to `sources`, where that is asked for.
    private mutating func rewrite(
        _ body: (
            _ bytes: [UInt8], _ piece: TextMatch, _ isAtStart: Bool, _ output: inout [UInt8], _ sources: inout [Int]?
        ) -> Void
    ) {
        var output: [UInt8] = []
        var sources: [Int]? = origins.isEmpty ? nil : []
        output.reserveCapacity(bytes.count + bytes.count / 2 + 8)
        made.removeAll(keepingCapacity: true)
        for piece in ranges {
            let start = output.count
            body(bytes, piece, isAtStart && piece.start == 0, &output, &sources)
            if output.count > start { made.append(TextMatch(start: start, end: output.count)) }
        }
        isAtStart = isAtStart && ranges.first?.start == 0
        swap(&ranges, &made)
        bytes = output
        if let sources { origins = sources.map { origins[$0] } }
    }

    /// Puts a blank before each piece that does not start with one.
    mutating func prependBlanks() {
        if ranges.allSatisfy({ bytes[$0.start] == 0x20 }) { return }
        rewrite { bytes, piece, _, output, sources in
            if bytes[piece.start] != 0x20 {
                output.append(0x20)
                sources?.append(piece.start)
            }
            output.append(contentsOf: bytes[piece.start..<piece.end])
            sources?.append(contentsOf: piece.start..<piece.end)
        }
    }

    /// Turns each byte into the character of `ByteAlphabet` that stands for it.
    mutating func mapToByteAlphabet() {
        rewrite { bytes, piece, _, output, sources in
            for index in piece.start..<piece.end {
                let scalar = ByteAlphabet.utf8(of: bytes[index])
                output.append(contentsOf: scalar)
                sources?.append(contentsOf: repeatElement(index, count: scalar.count))
            }
        }
    }

    /// Turns blanks into another character, and puts that before pieces that do not start with it.
    mutating func replaceBlanks(by replacement: [UInt8], prepending: Metaspace.Prepending) {
        rewrite { bytes, piece, isAtStart, output, sources in
            let startsSo =
                bytes[piece.start] == 0x20 || bytes[piece.start..<piece.end].starts(with: replacement)
            if prepending == .always || (prepending == .first && isAtStart), !startsSo {
                output.append(contentsOf: replacement)
                sources?.append(contentsOf: repeatElement(piece.start, count: replacement.count))
            }
            for index in piece.start..<piece.end {
                if bytes[index] == 0x20 {
                    output.append(contentsOf: replacement)
                    sources?.append(contentsOf: repeatElement(index, count: replacement.count))
                } else {
                    output.append(bytes[index])
                    sources?.append(index)
                }
            }
        }
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
