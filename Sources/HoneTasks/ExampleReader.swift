import HoneFormats

/// A row before its label has an index.
struct Draft {
    var index: Int
    var line: Int
    var input: Example.Input
    /// The label's name or the completion; `nil` where the row has none.
    var answer: String?
    /// The name of the row's task.
    var task: String?
}

/// Reads the rows of a table as a resolved definition says.
struct ExampleReader {
    let table: Table
    let kind: TaskKind
    private let text: ColumnReference?
    private let textPair: ColumnReference?
    private let image: ColumnReference?
    private let answer: ColumnReference?
    private let messages: ColumnReference?
    private let tools: ColumnReference?
    private let task: ColumnReference?
    private let template: Template?
    private let templateColumns: [String: ColumnReference]
    /// What the rows are, for sentences: "the text", "the prompt".
    private let inputName: String

    /// - Parameter needsAnswers: Whether the column of the label or completion must be there.
    init(table: Table, definition: TaskDefinition, needsAnswers: Bool) throws {
        func column(_ name: String?) throws -> ColumnReference? {
            try name.map { try ColumnReference.find($0, in: table) }
        }
        guard let kind = definition.kind else {
            throw HoneError(.usage, "the kind of the task is not known", item: "kind")
        }
        self.table = table
        self.kind = kind
        let columns = definition.columns
        template = definition.template
        templateColumns = try Dictionary(
            uniqueKeysWithValues: (definition.template?.columns ?? []).map {
                ($0, try ColumnReference.find($0, in: table))
            })
        let target = kind == .classification ? columns.label : columns.completion
        answer = needsAnswers ? try column(target) : target.flatMap { ColumnReference($0, in: table) }
        messages = try column(columns.messages)
        tools = try column(columns.tools)
        // Files of one task, and rows to be answered, need not repeat its name.
        task = columns.task.flatMap { ColumnReference($0, in: table) }
        text = try column(kind == .classification ? columns.text : columns.prompt)
        textPair = try column(columns.textPair)
        image = try column(columns.image)
        inputName = kind == .generation ? "prompt" : image == nil ? "text" : "image"
        guard messages != nil || template != nil || text != nil || image != nil else {
            throw HoneError(.usage, "the definition says no column for the \(inputName)", item: "columns")
        }
        guard !needsAnswers || messages != nil || answer != nil else {
            throw HoneError(
                .usage, "the definition says no column for the \(kind == .classification ? "label" : "completion")",
                item: "columns")
        }
    }

    /// The rows that have an input and, where it is needed, an answer; what was left out becomes a warning.
    ///
    /// - Throws: `HoneError` with file, line and column for values of the wrong kind, and where half of the rows or
    ///   more are empty.
    func drafts(needsAnswers: Bool, warnings: inout [String]) throws -> [Draft] {
        var drafts: [Draft] = []
        drafts.reserveCapacity(table.count)
        var withoutInput: [Int] = []
        var withoutAnswer: [Int] = []
        for row in 0..<table.count {
            let draft = try draft(row: row)
            if isEmpty(draft.input) {
                withoutInput.append(draft.line)
            } else if needsAnswers, draft.answer == nil {
                withoutAnswer.append(draft.line)
            } else {
                drafts.append(draft)
            }
        }
        let answerName = kind == .classification ? "label" : "completion"
        try report(withoutInput, inputName, item: text?.name ?? image?.name ?? messages?.name, &warnings)
        try report(withoutAnswer, answerName, item: answer?.name ?? messages?.name, &warnings)
        return drafts
    }

    /// The input, answer and task of one row.
    func draft(row: Int) throws -> Draft {
        var draft = try draftWithoutTask(row: row)
        let name = try task?.text(in: table, row: row).trimmedOfWhitespace()
        draft.task = name?.isEmpty == true ? nil : name
        return draft
    }

    private func draftWithoutTask(row: Int) throws -> Draft {
        let line = table.line(ofRow: row)
        if let messages {
            let turns: [Message]
            do {
                turns = try Conversation.messages(messages.value(in: table, row: row))
            } catch let error as HoneError {
                throw HoneError(error.code, error.message, file: table.file, line: line, item: messages.name)
            }
            let tools = try toolList(row: row)
            guard let last = turns.last else {
                return Draft(index: row, line: line, input: .messages([]), answer: nil)
            }
            guard last.role == .assistant else {
                return Draft(index: row, line: line, input: .messages(turns, tools: tools), answer: nil)
            }
            let answer = last.content.isEmpty ? nil : last.content
            return Draft(index: row, line: line, input: .messages(turns.dropLast(), tools: tools), answer: answer)
        }
        let input: Example.Input
        if let image {
            input = .image(try reference(image, row: row))
        } else {
            let first = try firstText(row: row)
            if kind == .generation {
                input = .prompt(first)
            } else if let textPair {
                input = .pair(first, try textPair.text(in: table, row: row))
            } else {
                input = .text(first)
            }
        }
        var answer = try self.answer?.text(in: table, row: row)
        if kind == .classification { answer = answer?.trimmedOfWhitespace() }
        return Draft(index: row, line: line, input: input, answer: answer?.isEmpty == true ? nil : answer)
    }

    /// The tools of a row: a list, or a text that holds one.
    private func toolList(row: Int) throws -> [JSON] {
        guard let tools else { return [] }
        var value = tools.value(in: table, row: row)
        if let text = value.string {
            value =
                text.isEmpty
                ? .null : try JSON.parse(line: Array(text.utf8)[...], number: table.line(ofRow: row), file: table.file)
        }
        if value.isNull { return [] }
        guard let list = value.array, list.allSatisfy({ $0.object != nil }) else {
            throw HoneError(
                .badData, "tools are a list of objects", file: table.file, line: table.line(ofRow: row),
                item: tools.name)
        }
        return list
    }

    /// The image whose path a row has, as seen from the folder of the table.
    private func reference(_ column: ColumnReference, row: Int) throws -> ImageReference {
        let written = try column.text(in: table, row: row).trimmedOfWhitespace()
        if written.isEmpty { return ImageReference(path: "") }
        func problem(_ sentence: String) -> HoneError {
            HoneError(.badData, sentence, file: table.file, line: table.line(ofRow: row), item: column.name)
        }
        guard written.utf8.count <= 4_096, !written.utf8.contains(0) else {
            throw problem("the path of an image has at most 4,096 bytes and no NUL byte")
        }
        let path = DataFile.path(written, relativeTo: DataFile.folder(of: table.file))
        guard case .file = DataFile.kind(path: path) else {
            throw problem("there is no image file \(path); paths are as seen from the folder of the data file")
        }
        return ImageReference(path: path, hash: try FileHash.sha256(ofFile: path))
    }

    private func firstText(row: Int) throws -> String {
        if let template {
            return try template.render { try templateColumns[$0]?.text(in: table, row: row) ?? "" }
        }
        return try text?.text(in: table, row: row) ?? ""
    }

    private func isEmpty(_ input: Example.Input) -> Bool {
        switch input {
        case .text(let text), .prompt(let text): text.allSatisfy(\.isWhitespace)
        case .pair(let first, let second): first.allSatisfy(\.isWhitespace) && second.allSatisfy(\.isWhitespace)
        case .messages(let turns, _): turns.isEmpty
        case .image(let image): image.path.isEmpty
        }
    }

    private func report(_ lines: [Int], _ what: String, item: String?, _ warnings: inout [String]) throws {
        guard let first = lines.first else { return }
        let place = item.map { " in \(Wording.column($0))" } ?? ""
        guard lines.count * 2 < table.count else {
            throw HoneError(
                .badData, "\(grouped(lines.count)) of \(grouped(table.count)) rows have no \(what)\(place)",
                file: table.file, line: first, item: item)
        }
        warnings.append(
            "\(table.file): \(counted(lines.count, "row")) without \(what)\(place) left out (\(listed(lines: lines)))")
    }
}
