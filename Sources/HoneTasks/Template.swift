import HoneFormats

/// A text with the names of columns in braces, such as `{title}\n{body}`.
///
/// `{{` and `}}` stand for single braces. Where a column is empty in a row, white space at both ends of the result is
/// dropped, so that `{instruction}\n\n{input}` leaves no empty lines behind when there is no input.
public struct Template: Sendable, Hashable {
    /// A stretch of a template.
    enum Piece: Sendable, Hashable {
        case text(String)
        case column(String)
    }

    /// The template as written.
    public let source: String
    let pieces: [Piece]

    /// A template from its text.
    ///
    /// - Throws: `HoneError` for a brace without its partner, an empty name, or no name at all.
    public init(_ source: String) throws {
        self.source = source
        var pieces: [Piece] = []
        var text = ""
        var name: String?
        var characters = Array(source.unicodeScalars)[...]
        while let scalar = characters.popFirst() {
            let isDoubled = name == nil && (scalar == "{" || scalar == "}") && characters.first == scalar
            if isDoubled {
                characters.removeFirst()
                text.unicodeScalars.append(scalar)
            } else if scalar == "{" {
                guard name == nil else { throw Self.failure("opens a brace inside another; write `{{` for a brace") }
                if !text.isEmpty { pieces.append(.text(text)) }
                text = ""
                name = ""
            } else if scalar == "}" {
                guard let column = name?.trimmedOfWhitespace() else {
                    throw Self.failure("closes a brace that was not opened; write `}}` for a brace")
                }
                guard !column.isEmpty else { throw Self.failure("has braces without a column's name in them") }
                pieces.append(.column(column))
                name = nil
            } else if name != nil {
                name?.unicodeScalars.append(scalar)
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
        guard name == nil else { throw Self.failure("opens a brace that is never closed; write `{{` for a brace") }
        if !text.isEmpty { pieces.append(.text(text)) }
        self.pieces = pieces
        guard !columns.isEmpty else { throw Self.failure("names no column; write one as `{column}`") }
    }

    /// The names of the columns in the order of their first use.
    public var columns: [String] {
        var seen: Set<String> = []
        return pieces.compactMap { piece in
            guard case .column(let name) = piece, seen.insert(name).inserted else { return nil }
            return name
        }
    }

    /// The text with the values of the columns in their places.
    ///
    /// - Parameter value: The text of a column.
    /// - Throws: What `value` throws.
    public func render(_ value: (String) throws -> String) rethrows -> String {
        var result = ""
        var hasEmpty = false
        for piece in pieces {
            switch piece {
            case .text(let text): result += text
            case .column(let name):
                let text = try value(name)
                hasEmpty = hasEmpty || text.isEmpty
                result += text
            }
        }
        return hasEmpty ? result.trimmedOfWhitespace() : result
    }

    private static func failure(_ message: String) -> HoneError {
        HoneError(.usage, "the template \(message)", item: "template")
    }
}
