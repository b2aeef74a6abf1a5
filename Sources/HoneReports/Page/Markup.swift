/// A piece of HTML or SVG in which every text is escaped.
///
/// Written as a string literal, whose own characters are markup; what is interpolated is text and gets escaped, unless
/// it is markup itself. Nothing that a user wrote can therefore become a tag:
///
///     let cell: Markup = "<td>\(label)</td>"   // a label "<script>" arrives as &lt;script&gt;
public struct Markup: Hashable, Sendable, ExpressibleByStringInterpolation {
    /// The markup as text.
    public private(set) var text: String

    /// Markup that is known to be well-formed and safe, such as a style sheet.
    public init(trusted text: String) { self.text = text }

    /// Markup as written in the source.
    public init(stringLiteral value: StaticString) { text = "\(value)" }

    /// Markup with interpolations.
    public init(stringInterpolation: StringInterpolation) { text = stringInterpolation.text }

    /// No markup.
    public static let empty = Markup(trusted: "")

    /// Whether there is no markup.
    public var isEmpty: Bool { text.isEmpty }

    /// Appends markup.
    public static func += (left: inout Markup, right: Markup) { left.text += right.text }

    /// One piece of markup after another.
    public static func + (left: Markup, right: Markup) -> Markup { Markup(trusted: left.text + right.text) }

    /// A text with the five special characters replaced, and control characters that XML forbids by U+FFFD.
    ///
    /// The result is safe inside elements and inside quoted attributes.
    public static func escape(_ text: String) -> String {
        var escaped = ""
        escaped.reserveCapacity(text.utf8.count + 16)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "&": escaped += "&amp;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            case "\t", "\n": escaped.unicodeScalars.append(scalar)
            case "\u{0}"..<" ", "\u{7f}"..."\u{9f}", "\u{fffe}", "\u{ffff}": escaped += "\u{fffd}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// The parts of an interpolated literal.
    public struct StringInterpolation: StringInterpolationProtocol {
        var text = ""

        /// Room for the literal.
        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + 16 * interpolationCount)
        }
        /// The literal itself is markup.
        public mutating func appendLiteral(_ literal: StaticString) { text += "\(literal)" }
        /// A text, escaped.
        public mutating func appendInterpolation(_ value: String) { text += Markup.escape(value) }
        /// A piece of markup, as it is.
        public mutating func appendInterpolation(_ markup: Markup) { text += markup.text }
        /// A whole number.
        public mutating func appendInterpolation(_ number: Int) { text += String(number) }
        /// A coordinate with at most two decimals; 0 where it is not finite.
        public mutating func appendInterpolation(_ number: Double) { text += Markup.coordinate(number) }
    }

    /// A coordinate of a drawing with at most two decimals; 0 where it is not finite or beyond any drawing.
    static func coordinate(_ number: Double) -> String {
        guard number.isFinite, abs(number) < 1e9 else { return "0" }
        let hundredths = Int((number * 100).rounded())
        let sign = hundredths < 0 ? "-" : ""
        let (whole, rest) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
        if rest == 0 { return sign + String(whole) }
        if rest % 10 == 0 { return "\(sign)\(whole).\(rest / 10)" }
        return "\(sign)\(whole).\(rest < 10 ? "0" : "")\(rest)"
    }
}

extension Sequence where Element == Markup {
    /// The pieces one after another.
    func joined() -> Markup { Markup(trusted: map(\.text).joined()) }
}
