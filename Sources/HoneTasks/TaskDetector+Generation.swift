import HoneFormats

extension TaskDetector {
    /// A generation task of which some columns are given.
    ///
    /// - Parameter isFound: Whether the columns were found by name and not chosen by the user: only then is a prompt
    ///   joined with a second text that belongs to it.
    func generation(_ given: ColumnMapping, template: Template?, isFound: Bool = false) throws -> TaskResolution {
        if let messages = given.messages {
            return TaskResolution(
                kind: .generation, columns: .init(messages: messages, tools: given.tools ?? toolColumn()))
        }
        if given.prompt == nil, given.completion == nil, template == nil, let conversation = conversationColumn() {
            return TaskResolution(
                kind: .generation, columns: .init(messages: conversation, tools: given.tools ?? toolColumn()))
        }
        var columns = ColumnMapping(prompt: given.prompt, completion: given.completion)
        let found =
            generationPair(ColumnVocabulary.plainGeneration) ?? generationPair(ColumnVocabulary.likelyGeneration)
        columns.completion = columns.completion ?? completionColumn() ?? found?.completion
        guard columns.completion != nil else { throw noCompletion("completion") }
        let source: (column: String?, template: Template?)
        if columns.prompt != nil || template != nil {
            source = try promptSource(columns, template: template, joinsAdditions: isFound)
        } else if let prompt = found?.prompt ?? promptColumn(excluding: columns.completion) {
            columns.prompt = prompt
            source = try promptSource(columns, template: nil)
        } else {
            throw noCompletion("prompt")
        }
        columns.prompt = source.column
        return TaskResolution(kind: .generation, columns: columns, template: source.template)
    }

    /// The column that holds conversations, if there is one.
    func conversationColumn() -> String? {
        profiles.first {
            $0.holdsMessages && ColumnVocabulary.conversations.contains(ColumnVocabulary.normal($0.name))
        }?.name
    }

    /// The column that holds the tools of conversations, if there is one.
    func toolColumn() -> String? {
        guard let tools = named("tools"), tools.present > 0, tools.lists + tools.strings == tools.present else {
            return nil
        }
        return tools.name
    }

    /// The first pair of a prompt and a completion in a list of names whose values can be texts.
    func generationPair(_ pairs: [(prompt: String, completions: [String])]) -> ColumnMapping? {
        for pair in pairs {
            guard let prompt = named(pair.prompt), prompt.isText else { continue }
            for name in pair.completions {
                if let completion = named(name), completion.isScalar {
                    return ColumnMapping(prompt: prompt.name, completion: completion.name)
                }
            }
        }
        return nil
    }

    /// The prompt of a pair: its column, or a template that joins it with a second text that belongs to it.
    func promptSource(
        _ columns: ColumnMapping, template: Template?, joinsAdditions: Bool = true
    ) throws -> (column: String?, template: Template?) {
        if let template { return (nil, template) }
        guard joinsAdditions, let prompt = columns.prompt else { return (columns.prompt, nil) }
        for entry in ColumnVocabulary.additions where entry.prompt == ColumnVocabulary.normal(prompt) {
            guard let addition = named(entry.addition), addition.isText, addition.name != columns.completion else {
                continue
            }
            let names = entry.isFirst ? [addition.name, prompt] : [prompt, addition.name]
            return (nil, try Template(names.map { "{\($0)}" }.joined(separator: entry.joint)))
        }
        return (prompt, nil)
    }

    private func completionColumn() -> String? {
        ["completion", "response", "output", "answer", "target", "summary", "solution"].lazy.compactMap(named)
            .first { $0.isScalar }?.name
    }

    private func promptColumn(excluding completion: String?) -> String? {
        let names = ["prompt", "instruction", "question", "input", "text", "source", "query", "problem"]
        if let named = names.lazy.compactMap(named).first(where: { $0.isText && $0.name != completion }) {
            return named.name
        }
        let others = profiles.filter { $0.isText && $0.name != completion }
        return others.count == 1 ? others.first?.name : nil
    }

    private func noCompletion(_ role: String) -> HoneError {
        let first = likelyText
        let last = nestedAnswer ?? example(excluding: [first])
        return HoneError(
            .badData,
            "no column looks like the \(role); the columns are \(Wording.columns(table.columns)). Say in a task.yaml "
                + "which one is, for example `columns: {prompt: \(first), completion: \(last)}`",
            file: table.file)
    }
}
