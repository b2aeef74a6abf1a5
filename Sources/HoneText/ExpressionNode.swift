/// What a regular expression says, as a tree.
indirect enum ExpressionNode: Sendable {
    case set(ScalarSet)
    case sequence([ExpressionNode])
    case alternatives([ExpressionNode])
    case repeated(ExpressionNode, least: Int, most: Int, Repetition)
    /// Something that stands here and is not part of the match.
    case look(ExpressionNode, isAhead: Bool, isNegative: Bool)
    /// Matched once and for all.
    case atomic(ExpressionNode)
    case boundary(ExpressionBoundary)

    /// How often a repetition is tried.
    enum Repetition: Sendable {
        case greedy
        case lazy
        /// As often as possible, and never less.
        case possessive
    }

    /// How many scalars a match has, where all have as many.
    var width: Int? {
        switch self {
        case .set: return 1
        case .look, .boundary: return 0
        case .atomic(let node): return node.width
        case .repeated(let node, let least, let most, _):
            guard least == most, let width = node.width, least < 1 << 16, width < 1 << 16 else {
                return nil
            }
            return width * least
        case .sequence(let nodes):
            var sum = 0
            for node in nodes {
                guard let width = node.width, sum < 1 << 32 else { return nil }
                sum += width
            }
            return sum
        case .alternatives(let nodes):
            let widths = Set(nodes.map(\.width))
            return widths.count == 1 ? widths.first ?? nil : nil
        }
    }

    /// Whether it may match nothing.
    var isNullable: Bool {
        switch self {
        case .set: false
        case .look, .boundary: true
        case .atomic(let node): node.isNullable
        case .repeated(let node, let least, _, _): least == 0 || node.isNullable
        case .sequence(let nodes): nodes.allSatisfy(\.isNullable)
        case .alternatives(let nodes): nodes.contains(where: \.isNullable)
        }
    }
}

/// A place in a text, as `^` and `\b` mean one.
enum ExpressionBoundary: Sendable {
    case lineStart
    case lineEnd
    case textStart
    case textEnd
    /// The end, or before a line break at the end.
    case lastLineEnd
    case word
    case noWord
}
