import HoneFormats

/// A context and the texts whose likelihood after it is asked for: a multiple-choice question, or one completion.
public struct ScoringRow: Sendable, Hashable {
    /// The file that it comes from, as the user named it.
    public var file: String
    /// The line of the file on which the row starts, counted from 1.
    public var line: Int
    /// What stands before.
    public var context: String
    /// What may come after: at least one text.
    public var continuations: [String]
    /// Whether the continuations are the choices of a question, not the one completion that there is.
    public var isChoice: Bool
    /// Which of the choices is right, counted from 0, where that is known.
    public var answer: Int?

    /// A row that comes from no file.
    public init(context: String, choices: [String], answer: Int? = nil) {
        (file, line, isChoice) = ("", 0, true)
        self.context = context
        continuations = choices
        self.answer = answer
    }

    private init(
        file: String, line: Int, context: String, continuations: [String], isChoice: Bool, answer: Int? = nil
    ) {
        self.file = file
        self.line = line
        self.context = context
        self.continuations = continuations
        self.isChoice = isChoice
        self.answer = answer
    }

    /// The columns that a context may stand in.
    public static let contextColumns = ["context", "prompt", "question"]
    /// The columns that a list of choices may stand in.
    public static let choiceColumns = ["choices", "candidates"]
    /// The columns that the right choice may stand in.
    public static let answerColumns = ["answer", "gold", "label"]

    /// Reads the rows of a table: `{prompt|context|question, choices: [...], answer?}` or `{prompt|…, completion}`.
    ///
    /// An answer is one of the choices itself, or its number counted from 0, or its letter counted from A.
    ///
    /// - Throws: `HoneError` that names the file and, where one is concerned, the line and the column.
    public static func read(file path: String) throws -> [ScoringRow] { try rows(of: TableReader.read(file: path)) }

    /// The rows of a table that is read already.
    static func rows(of table: Table) throws -> [ScoringRow] {
        func column(_ names: [String]) -> String? { names.first { table.position(of: $0) != nil } }
        guard let context = column(contextColumns) else {
            throw HoneError(
                .badData,
                "a column `context`, `prompt` or `question` is needed; the columns are "
                    + Wording.columns(table.columns), file: table.file)
        }
        let choices = column(choiceColumns)
        guard choices != nil || table.position(of: "completion") != nil else {
            throw HoneError(
                .badData,
                "a column `choices` with lists of texts, or a column `completion`, is needed; the columns are "
                    + Wording.columns(table.columns), file: table.file)
        }
        let answer = column(answerColumns)
        return try table.rows.map { row in
            func problem(_ message: String, _ item: String) -> HoneError {
                HoneError(.badData, message, file: table.file, line: row.line, item: item)
            }
            guard let before = row[context].string else { throw problem("a text is needed", context) }
            guard let choices, !row[choices].isNull || table.position(of: "completion") == nil else {
                guard let completion = row["completion"].string, !completion.isEmpty else {
                    throw problem("a text that is not empty is needed", "completion")
                }
                return ScoringRow(
                    file: table.file, line: row.line, context: before, continuations: [completion], isChoice: false)
            }
            guard let list = row[choices].array, !list.isEmpty else {
                throw problem("a list of texts is needed", choices)
            }
            let texts = try list.map { value in
                guard let text = value.string, !text.isEmpty else {
                    throw problem("every choice is a text that is not empty", choices)
                }
                return text
            }
            return ScoringRow(
                file: table.file, line: row.line, context: before, continuations: texts, isChoice: true,
                answer: try answer.flatMap { name in
                    if row[name].isNull { return nil }
                    guard let found = place(row[name], among: texts) else {
                        throw problem(
                            "is none of the \(texts.count) choices: give one of them, its number from 0, or its letter",
                            name)
                    }
                    return found
                })
        }
    }

    /// Which of some choices an answer means.
    private static func place(_ answer: JSON, among choices: [String]) -> Int? {
        if let number = answer.integer { return choices.indices.contains(number) ? number : nil }
        guard let text = answer.string else { return nil }
        if let same = choices.firstIndex(of: text) { return same }
        if let number = Int(text) { return choices.indices.contains(number) ? number : nil }
        let letters = text.utf8.map { Int($0) - Int(UInt8(ascii: "A")) }
        return letters.count == 1 && choices.indices.contains(letters[0]) ? letters[0] : nil
    }
}
