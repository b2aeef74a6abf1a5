/// The side of a text that is cut off where it is too long.
public enum TruncationSide: String, Sendable, CaseIterable {
    /// The end is cut off.
    case right
    /// The beginning is cut off.
    case left
}

/// Which of two texts is cut where both together are too long.
public enum TruncationStrategy: String, Sendable, CaseIterable {
    /// The longer one first; both to half where both are too long.
    case longestFirst = "longest_first"
    /// Only the first, down to nothing; a second text that is too long alone stays too long.
    case onlyFirst = "only_first"
    /// Only the second, down to nothing; a first text that is too long alone stays too long.
    case onlySecond = "only_second"

    /// The lengths to which two texts are cut so that both together have at most `limit` tokens.
    func lengths(_ first: Int, _ second: Int, limit: Int) -> (first: Int, second: Int) {
        if first + second <= limit { return (first, second) }
        switch self {
        case .onlyFirst: return (max(0, limit - second), second)
        case .onlySecond: return (first, max(0, limit - first))
        case .longestFirst:
            var shorter = min(first, second)
            var longer = shorter > limit ? shorter : max(shorter, limit - shorter)
            if shorter + longer > limit {
                shorter = limit / 2
                longer = shorter + limit % 2
            }
            let lengths = first > second ? (first: longer, second: shorter) : (first: shorter, second: longer)
            return (min(first, lengths.first), min(second, lengths.second))
        }
    }
}

/// To which length, and how, texts are cut.
struct Truncation {
    /// The most tokens, special tokens included; `nil` for no limit.
    var maximumLength: Int?
    var side = TruncationSide.right
    var strategy = TruncationStrategy.longestFirst
}
