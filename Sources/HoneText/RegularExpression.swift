import HoneFormats

/// A regular expression of a `tokenizer.json`, in the notation of Oniguruma, which the reference uses.
///
/// Hone has its own engine, so that a pattern means the same on every system, classes of characters are those of the
/// reference, and no pattern takes more than a number of steps that grows with the text: what is behind counts as unmatched.
struct RegularExpression: Sendable {
    private let program: ExpressionProgram

    /// The longest pattern that is compiled, in bytes.
    private static let lengthLimit = 16_384

    init(_ pattern: String, _ component: Component) throws(HoneError) {
        guard pattern.utf8.count <= Self.lengthLimit else {
            throw component.unsupported(
                "a regular expression of more than \(Self.lengthLimit) bytes is not supported")
        }
        do throws(ExpressionProblem) {
            program = try ExpressionProgram(try ExpressionParser.parse(pattern))
        } catch {
            throw component.unsupported("the regular expression cannot be used: \(error.message)")
        }
    }

    /// All matches within `bytes[start..<end]`, from left to right.
    func matches(in bytes: [UInt8], _ start: Int, _ end: Int) -> [TextMatch] {
        var matcher = ExpressionMatcher(
            program, bytes, start, end, budget: 100_000 + 100 * (end - start))
        var found: [TextMatch] = []
        var index = start
        while index <= end, matcher.budget > 0 {
            if let stop = matcher.match(at: index), stop > index || found.last?.end != index {
                found.append(TextMatch(start: index, end: stop))
                if stop > index {
                    index = stop
                    continue
                }
            }
            index += index < end ? scalarLength(bytes[index]) : 1
        }
        return found
    }
}
