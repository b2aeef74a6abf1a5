import HoneFormats

/// A model on a hub as people write it: `owner/name`, or `owner/name@revision`.
///
/// A revision is a branch, a tag, or a commit; without one it is `main`. Some old models have no owner (`gpt2`).
public struct ModelReference: Hashable, Sendable, CustomStringConvertible {
    /// `owner/name`, or `name`.
    public let repository: String
    /// A branch, a tag, a reference such as `refs/pr/1`, or a commit.
    public let revision: String

    /// The revision that is meant where none is named.
    public static let defaultRevision = "main"

    /// Reads a reference.
    ///
    /// - Throws: `HoneError` (`.usage`) that says what is wrong with the name or the revision.
    public init(_ text: String) throws {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        try self.init(repository: parts[0], revision: parts.count > 1 ? parts[1] : Self.defaultRevision)
    }

    /// A reference of its parts.
    ///
    /// - Throws: as `init(_:)`.
    public init(repository: String, revision: String) throws {
        if let problem = Self.problem(repository: repository) {
            throw HoneError(
                .usage, "\(Self.shown(repository)) is no name of a model on the Hub (owner/name): \(problem)")
        }
        if let problem = Self.problem(revision: revision) {
            throw HoneError(.usage, "\(Self.shown(revision)) is no revision (a branch, tag or commit): \(problem)")
        }
        self.repository = repository
        self.revision = revision
    }

    /// Whether the revision is a whole commit, which always means the same files.
    public var isCommit: Bool { Self.isCommit(revision) }

    /// `owner/name`, with `@revision` where it is not the usual one.
    public var description: String {
        revision == Self.defaultRevision ? repository : "\(repository)@\(revision)"
    }

    /// Whether a text is a whole commit: 40 lower-case hexadecimal digits.
    static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40 && text.utf8.allSatisfy(isLowerHexadecimal)
    }

    static func isLowerHexadecimal(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
    }

    /// The Hub's rules of names, which also keep a name within its folder of the cache.
    private static func problem(repository: String) -> String? {
        if repository.isEmpty { return "it is empty" }
        if repository.utf8.count > 96 { return "it is longer than 96 characters" }
        let parts = repository.split(separator: "/", omittingEmptySubsequences: false)
        if parts.count > 2 { return "it has more than one slash" }
        for part in parts {
            guard part.utf8.allSatisfy(isPlain), !part.isEmpty else {
                return "only letters, digits, -, _ and . may stand in it"
            }
            guard let first = part.first, let last = part.last, !"-.".contains(first), !"-.".contains(last) else {
                return "it begins or ends with - or ."
            }
        }
        if repository.contains("--") || repository.contains("..") { return "-- and .. may not stand in it" }
        if repository.hasSuffix(".git") { return "it ends with .git" }
        return nil
    }

    /// Git's rules of reference names, made a little narrower.
    private static func problem(revision: String) -> String? {
        if revision.isEmpty { return "it is empty" }
        if revision.utf8.count > 200 { return "it is longer than 200 characters" }
        let parts = revision.split(separator: "/", omittingEmptySubsequences: false)
        for part in parts {
            if part.isEmpty { return "a part between slashes is empty" }
            if part.hasPrefix(".") || part.hasSuffix(".") || part.hasSuffix(".lock") || part.contains("..") {
                return "a part begins or ends with a dot, ends with .lock, or has two dots"
            }
            guard part.utf8.allSatisfy({ isPlain($0) || "+=,@%#!".utf8.contains($0) }) else {
                return "a character stands in it that no reference of git may have"
            }
        }
        return nil
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x2D
            || byte == 0x2E || byte == 0x5F
    }

    static func shown(_ text: String) -> String {
        JSON.string(text.utf8.count > 120 ? String(text.prefix(100)) + "…" : text).text()
    }
}
