import HoneFormats
import HoneTorch

/// Which tokens may come next in a text.
public enum AllowedTokens: Sendable {
    /// Every token.
    case all
    /// These alone.
    case only([Int])
    /// All but these.
    case except([Int])
}

/// Decides which tokens may come next: the one place at which grammars, schemas and lists of choices act on what is written.
///
/// A constraint is a value that has seen the tokens of one text. A beam search copies it where a text is continued in two ways, so
/// that it should be a `struct`, cheap to copy. End tokens are tokens like others: a text can only end where the constraint lets
/// one of them through, or at the largest length.
public protocol TokenConstraint {
    /// What may come next. Asked once for each token of the text.
    ///
    /// Ids that the model does not have are passed over. If nothing is left, generation throws.
    func allowedTokens() throws -> AllowedTokens
    /// Takes note of the token that was chosen.
    mutating func advance(with token: Int) throws
}

extension LogitsProcessing {
    /// Scores in which what the constraints rule out is minus infinity.
    ///
    /// - Parameters:
    ///   - scores: `[rows, vocabularySize]`
    ///   - constraints: one a row.
    static func constrained(_ scores: Tensor, by constraints: [(any TokenConstraint)?]) throws -> Tensor {
        guard constraints.contains(where: { $0 != nil }) else { return scores }
        let vocabulary = scores.size(1)
        var isBanned = [Bool](repeating: false, count: constraints.count * vocabulary)
        for (row, constraint) in constraints.enumerated() {
            guard let constraint else { continue }
            let start = row * vocabulary
            switch try constraint.allowedTokens() {
            case .all: continue
            case .only(let ids):
                for place in start..<start + vocabulary { isBanned[place] = true }
                for id in ids where (0..<vocabulary).contains(id) { isBanned[start + id] = false }
            case .except(let ids):
                for id in ids where (0..<vocabulary).contains(id) { isBanned[start + id] = true }
            }
            guard isBanned[start..<start + vocabulary].contains(false) else {
                throw HoneError(.badData, "the constraint allows no token to come next", item: "row \(row)")
            }
        }
        let mask = try Tensor(isBanned, shape: [constraints.count, vocabulary], on: scores.device)
        return try scores.filled(where: mask, with: -Double.infinity)
    }
}
