/// What went wrong, in words for the person who can mend it.
///
/// Every error that Hone throws at its users is one of these. `code` says which kind it is and decides the exit code of
/// the command; `message` is one sentence that says what is wrong and, where that is not obvious, what to do;
/// `file`, `line` and `item` name the place.
///
///     throw HoneError(.badFile, "the row has 3 fields, the header has 4", file: "tickets.csv", line: 17)
///
/// Texts of examples do not belong in messages: they may be private.
public struct HoneError: Error, Sendable, CustomStringConvertible {
    /// The kind of an error: an open set, so that a new kind breaks no caller.
    public struct Code: Hashable, Sendable {
        /// A short stable name, printed with `--json`.
        public var name: String
        /// What the command exits with: 2 for wrong usage, 1 for failures.
        public var exitCode: Int32

        /// A code of the given name and exit code.
        public init(name: String, exitCode: Int32 = 1) {
            self.name = name
            self.exitCode = exitCode
        }

        /// An option or argument that cannot be used as given.
        public static let usage = Code(name: "usage", exitCode: 2)
        /// A file whose content is not what its format promises.
        public static let badFile = Code(name: "bad-file")
        /// A file that cannot be opened, read, written or renamed.
        public static let fileSystem = Code(name: "file-system")
        /// A data set that reads well but cannot be learned from.
        public static let badData = Code(name: "bad-data")
        /// A model, or a part of one, that is asked for and not supported.
        public static let unsupported = Code(name: "unsupported")
        /// Two things that do not belong together: an adapter and a base model, a method and a task.
        public static let mismatch = Code(name: "mismatch")
        /// An error of the tensor engine, with its own words.
        public static let engine = Code(name: "engine")
        /// A loss or a gradient that is not finite.
        public static let notFinite = Code(name: "not-finite")
        /// Stopped on request, with everything needed to go on.
        public static let interrupted = Code(name: "interrupted", exitCode: 130)
    }

    /// Which kind of error.
    public var code: Code
    /// One sentence for a person: what is wrong and what to do.
    public var message: String
    /// The file concerned, as the user named it.
    public var file: String?
    /// The line in that file, counted from 1.
    public var line: Int?
    /// The tensor, field, column or option concerned.
    public var item: String?

    /// An error of a kind, with its sentence and its place.
    public init(_ code: Code, _ message: String, file: String? = nil, line: Int? = nil, item: String? = nil) {
        self.code = code
        self.message = message
        self.file = file
        self.line = line
        self.item = item
    }

    /// The same error, told where it happened by a caller who knows; what is known already stays.
    public func inFile(_ file: String) -> HoneError {
        var copy = self
        copy.file = copy.file ?? file
        return copy
    }

    /// `file:line: item: message`, without the parts that are not known.
    public var description: String {
        var place = file ?? ""
        if let line { place += place.isEmpty ? "line \(line)" : ":\(line)" }
        return [place, item ?? "", message].filter { !$0.isEmpty }.joined(separator: ": ")
    }
}
