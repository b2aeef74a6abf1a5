import HoneFormats

/// What a table was found to be.
struct TaskResolution {
    var kind: TaskKind
    var columns: ColumnMapping
    var template: Template?
    /// The columns that are not used, in the order of the table.
    var ignored: [String] = []
    /// A column of whole numbers that mirrors the label: the labels take its order.
    var labelOrder: String?
}

/// Finds from names and values what kind of task a table holds and which columns matter, and refuses to guess where two
/// answers are equally good.
struct TaskDetector {
    let table: Table
    let profiles: [ColumnProfile]
    private let names: [String: Int]

    init(table: Table) {
        self.table = table
        profiles = ColumnProfile.profiles(of: table)
        names = Dictionary(
            table.columns.enumerated().map { (ColumnVocabulary.normal($1), $0) },
            uniquingKeysWith: { first, _ in first })
    }

    /// The kind and columns of the table, where the definition leaves them open.
    ///
    /// - Throws: `HoneError` that lists the columns and shows what to write in a `task.yaml`.
    func resolve(_ definition: TaskDefinition) throws -> TaskResolution {
        for (_, column) in definition.columns.entries { _ = try ColumnReference.find(column, in: table) }
        for column in definition.template?.columns ?? [] { _ = try ColumnReference.find(column, in: table) }
        var resolution = try unfinished(definition)
        resolution.columns.task = definition.columns.task ?? taskColumn(besides: resolution)
        var used = Set(resolution.columns.entries.map(\.column)).union(resolution.template?.columns ?? [])
        // A path uses the column that it starts from.
        used.formUnion(used.compactMap { ColumnReference($0, in: table).map { table.columns[$0.position] } })
        resolution.ignored = table.columns.filter { !used.contains($0) }
        if resolution.kind == .classification, let label = resolution.columns.label {
            resolution.labelOrder = resolution.ignored.first { column in
                profile(column)?.isWhole == true && mirrors(column, label)
            }
        }
        return resolution
    }

    /// The column `task` or `task_name`, where it has short names in all rows and is not what the rows ask or answer.
    private func taskColumn(besides resolution: TaskResolution) -> String? {
        let used = Set(resolution.columns.entries.map(\.column)).union(resolution.template?.columns ?? [])
        return ["task", "task_name"].lazy.compactMap(named).first {
            $0.isText && $0.couldBeLabels && $0.present == table.count && !used.contains($0.name)
        }?.name
    }

    private func unfinished(_ definition: TaskDefinition) throws -> TaskResolution {
        let given = definition.columns
        let isClassification =
            given.text != nil || given.image != nil || given.label != nil || definition.labels != nil
        let isGeneration =
            given.prompt != nil || given.completion != nil || given.messages != nil || given.tools != nil
        let kind = definition.kind ?? (isClassification ? .classification : isGeneration ? .generation : nil)
        switch kind {
        case .classification: return try classification(given, template: definition.template)
        case .generation: return try generation(given, template: definition.template)
        case nil: return try open(template: definition.template)
        }
    }

    /// Nothing is said about kind and columns, except perhaps a template.
    private func open(template: Template?) throws -> TaskResolution {
        if template == nil, let conversation = conversationColumn() {
            return TaskResolution(kind: .generation, columns: .init(messages: conversation, tools: toolColumn()))
        }
        if template == nil, try imageColumn() != nil { return try classification(.init(), template: nil) }
        if let choices = profiles.first(where: {
            ColumnVocabulary.choices.contains(ColumnVocabulary.normal($0.name)) && $0.lists > 0
        }) {
            throw HoneError(
                .unsupported,
                "the lists in \(Wording.column(choices.name)) look like multiple choice, which is not read yet; name "
                    + "other columns in a task.yaml, for example `columns: {prompt: question, completion: answer}`",
                file: table.file, item: choices.name)
        }
        if let plain = generationPair(ColumnVocabulary.plainGeneration) {
            if let label = named("label"), label.couldBeLabels { throw ambiguity(label: label.name, plain) }
            return try generation(plain, template: template, isFound: true)
        }
        let label = try labelColumn(excluding: Set(template?.columns ?? []))
        if let likely = generationPair(ColumnVocabulary.likelyGeneration) {
            let target = likely.completion.flatMap(profile)
            if target?.isPlainlyLabels == true, label == nil || label == likely.completion {
                let text = try promptSource(likely, template: template)
                return TaskResolution(
                    kind: .classification, columns: .init(text: text.column, label: likely.completion),
                    template: text.template)
            }
            guard let label, label != likely.completion else {
                return try generation(likely, template: template, isFound: true)
            }
            if ColumnVocabulary.normal(label) != "label" { throw ambiguity(label: label, likely) }
        }
        return try classification(.init(label: label), template: template)
    }

    private func ambiguity(label: String, _ generation: ColumnMapping) -> HoneError {
        let prompt = Wording.looksLikeName(generation.prompt ?? "") ? generation.prompt ?? "" : "prompt"
        let completion = generation.completion ?? "completion"
        return HoneError(
            .badData,
            "the rows could be for classification or for generation (\(Wording.columns(table.columns))); say in a "
                + "task.yaml `columns: {text: \(prompt), label: \(label)}` or "
                + "`columns: {prompt: \(prompt), completion: \(completion)}`",
            file: table.file)
    }

    /// The profile of a column by its exact name.
    func profile(_ column: String) -> ColumnProfile? {
        table.position(of: column).map { profiles[$0] }
    }

    /// The profile of the column whose name is this one in normal form.
    func named(_ normal: String) -> ColumnProfile? { names[normal].map { profiles[$0] } }

    /// Whether two columns say the same in different words: each value of one goes with one value of the other.
    func mirrors(_ first: String, _ second: String) -> Bool {
        guard let one = table.position(of: first), let other = table.position(of: second), one != other,
            let distinct = profiles[one].distinct, distinct == profiles[other].distinct
        else { return false }
        var partners: [String: String] = [:]
        for row in 0..<table.count {
            guard let key = ColumnReference.text(of: table[row, one]),
                let value = ColumnReference.text(of: table[row, other]), key.isEmpty == value.isEmpty
            else { return false }
            if let partner = partners.updateValue(value, forKey: key), partner != value { return false }
        }
        return Set(partners.values).count == partners.count
    }
}
