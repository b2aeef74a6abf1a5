/// Where in a text special tokens may be found.
enum TextTrust: Sendable, Equatable {
    case everywhere
    case nowhere
    /// In some parts. The text is still split and merged as one, so that it becomes the same tokens as trusted text where
    /// nobody forges any.
    case parts(TrustedParts)

    /// Whether special tokens are looked for at all.
    var isAnywhere: Bool { self != .nowhere }

    /// Whether it has to be known where each byte of a rewritten text comes from.
    var needsOrigins: Bool {
        if case .parts = self { return true }
        return false
    }
}

/// Which parts of a text may become which added tokens.
struct TrustedParts: Sendable, Equatable {
    /// What a byte may be part of.
    enum Level: UInt8, Sendable {
        /// Any added token.
        case everything
        /// Added tokens that are not special.
        case plainTokens
        /// Added tokens that are not special and not among `control`.
        case text
    }

    /// One for each byte of the original text.
    var levels: [Level]
    /// Tokens that are not special but that a chat template uses to give a prompt its structure, such as `<tool_call>`.
    var control: Set<Int>

    /// Whether a token may be found where bytes of these origins stand. White space that it takes along does not count.
    func allows(_ token: AddedToken, _ origins: ArraySlice<Origin>) -> Bool {
        let isControl = control.contains(token.id)
        guard token.isSpecial || isControl else { return true }
        let lowest: Level = token.isSpecial ? .everything : .plainTokens
        return origins.allSatisfy { origin in
            levels[Int(origin.start)..<max(Int(origin.start), Int(origin.end))].allSatisfy {
                $0.rawValue <= lowest.rawValue
            }
        }
    }
}
