import Foundation

/// The one function through which every file name passes that comes from a file, an archive, a data set or a request.
///
/// A name that passes can be joined to a folder without leaving it, on every system that Hone's files may be carried to.
public enum SafeName {
    /// Gives the name back when it is a plain file name.
    ///
    /// Refused are: nothing at all, more than 255 bytes, `/`, `\`, `:` (drives and streams), control and invisible
    /// formatting characters, a leading or trailing dot or space (with that `.`, `..` and hidden files), names of
    /// Windows devices, names that are not in Unicode's composed normal form (NFC), and look-alikes, whose
    /// compatibility form (NFKC) would be refused.
    ///
    /// - Parameters:
    ///   - name: the untrusted name.
    ///   - file: the file that the name was read from, for errors.
    /// - Throws: `HoneError` (`.badFile`).
    @discardableResult
    public static func check(_ name: String, from file: String? = nil) throws -> String {
        if let problem = problem(name) { throw refusal(name, problem, file) }
        return name
    }

    /// Gives a relative path back when each of its components, separated by `/`, is a plain file name.
    ///
    /// - Parameters:
    ///   - path: the untrusted path.
    ///   - file: the file that the path was read from, for errors.
    /// - Throws: `HoneError` (`.badFile`).
    @discardableResult
    public static func check(relativePath path: String, from file: String? = nil) throws -> String {
        let components = path.split(separator: "/", omittingEmptySubsequences: false)
        if components.count > 16 { throw refusal(path, "it has more than 16 parts", file) }
        for component in components {
            if let problem = problem(String(component)) { throw refusal(path, problem, file) }
        }
        return path
    }

    private static func refusal(_ name: String, _ problem: String, _ file: String?) -> HoneError {
        let shown = JSON.string(String(name.unicodeScalars.prefix(80).map { isVisible($0) ? Character($0) : "?" }))
            .text()
        return HoneError(.badFile, "the file name \(shown) is refused: \(problem)", file: file)
    }

    private static func problem(_ name: String) -> String? {
        if name.isEmpty { return "it is empty" }
        if name.utf8.count > 255 { return "it is longer than 255 bytes" }
        if let problem = plainProblem(name) { return problem }
        if name.utf8.allSatisfy({ $0 < 0x80 }) { return nil }
        if !name.hasSameBytes(as: name.precomposedStringWithCanonicalMapping) {
            return "it is not in Unicode's composed form (NFC)"
        }
        if let problem = plainProblem(name.precomposedStringWithCompatibilityMapping) {
            return "in compatibility form \(problem)"
        }
        return nil
    }

    private static func plainProblem(_ name: String) -> String? {
        for scalar in name.unicodeScalars {
            if separators.contains(scalar) { return "it contains a separator or a colon" }
            if !isVisible(scalar) { return "it contains a control or formatting character" }
        }
        if let first = name.unicodeScalars.first, first == "." || first == " " {
            return "it begins with a dot or a space"
        }
        if let last = name.unicodeScalars.last, last == "." || last == " " { return "it ends with a dot or a space" }
        let stem = name.prefix { $0 != "." }.uppercased()
        if devices.contains(stem.trimmingCharacters(in: .whitespaces)) { return "it is the name of a device" }
        return nil
    }

    /// `/`, `\`, `:` and the fraction and division slashes, which Unicode does not map to `/`.
    private static let separators: Set<Unicode.Scalar> = [
        "/", "\\", ":", "\u{2044}", "\u{2215}", "\u{29F8}", "\u{2216}",
    ]

    private static let devices: Set<String> = Set(
        ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
            + (0...9).flatMap { ["COM\($0)", "LPT\($0)"] }
            + ["\u{B9}", "\u{B2}", "\u{B3}"].flatMap { ["COM\($0)", "LPT\($0)"] })

    private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .unassigned, .privateUse: false
        default: true
        }
    }
}
