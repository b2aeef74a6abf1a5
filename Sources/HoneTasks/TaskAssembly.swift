import HoneFormats

/// Puts a task together: reads the files, finds what they are, draws the splits, checks them against one another.
struct TaskAssembly {
    private struct Part {
        var file: TaskFile
        /// The task that all of its rows belong to.
        var task: String?
        var table: Table
        var drafts: [Draft] = []
    }

    /// The definition as given, and from `assemble` on with everything filled in that was found.
    private var definition: TaskDefinition
    /// What columns there are is found in the first file.
    private var data: [Part]
    private var validation: [Part]
    private var test: [Part]
    private var warnings: [String] = []
    private var duplicates = DuplicateCounts()

    init(files: TaskFiles, definition: TaskDefinition) throws {
        self.definition = definition
        data = try Self.read(files.data, role: .data)
        validation = try files.validation.map { try Self.read($0, role: .validation) } ?? []
        test = try files.test.map { try Self.read($0, role: .test) } ?? []
    }

    private static func read(_ text: String, role: TaskFile.Role) throws -> [Part] {
        guard let files = try NamedFiles(text) else { return [try read(text, task: nil, role: role)] }
        return try files.parts.map { try read($0.path, task: $0.name, role: role) }
    }

    private static func read(_ path: String, task: String?, role: TaskFile.Role) throws -> Part {
        let bytes = try DataFile.bytes(path: path, limit: TableLimits().fileBytes)
        let table = try TableReader.table(from: bytes, file: path)
        return Part(
            file: TaskFile(role: role, path: path, rows: table.count, sha256: FileHash.sha256(of: bytes)),
            task: task, table: table)
    }

    mutating func assemble() throws -> TaskData {
        let first = data[0]
        let resolution = try TaskDetector(table: first.table).resolve(definition)
        definition.kind = resolution.kind
        definition.columns = resolution.columns
        definition.template = resolution.template
        definition.seed = definition.seed ?? 0
        definition.data = try Self.text(data)
        definition.validation = try validation.isEmpty ? nil : Self.text(validation)
        definition.test = try test.isEmpty ? nil : Self.text(test)

        data = try withDrafts(data)
        if let empty = data.first(where: { $0.task != nil && $0.drafts.isEmpty }) {
            throw HoneError(.badData, "the task has no rows", file: empty.file.path, item: empty.task)
        }
        validation = try withDrafts(validation)
        test = try withDrafts(test)
        let labels = try labelIndex(order: resolution.labelOrder)
        if resolution.kind == .classification { definition.labels = labels.names }

        try refuseOneClass()
        let (split, trainKeys) = try makeSplit(labels: labels)
        let check = SplitCheck(split: split, trainKeys: trainKeys, kind: resolution.kind, labels: labels.names)
        duplicates.withinTrain = check.repeated.count
        duplicates.conflicting = check.conflicting.count
        try check.refuse(file: first.file.path, label: resolution.columns.label)
        warnings += check.warnings(file: first.file.path)
        if split.test.isEmpty { warnings.append("no test split: give --test, or a share for it in a task.yaml") }
        if split.validation.isEmpty { warnings.append("no validation split: there are too few rows to draw one") }

        let parts = data + validation + test
        let files = parts.map(\.file)
        var hashed = parts.map { "\($0.file.role.rawValue):\($0.task.map { $0 + ":" } ?? "")\($0.file.sha256)" }
            .joined(separator: "\n")
        let images = parts.flatMap(\.drafts).compactMap { draft in
            if case .image(let image) = draft.input { image.hash } else { nil }
        }
        if !images.isEmpty { hashed += "\nimages:" + FileHash.sha256(of: images.joined(separator: "\n")) }
        return TaskData(
            definition: definition, kind: resolution.kind,
            labels: resolution.kind == .classification ? labels.names : [], tasks: taskNames(split), split: split,
            verdict: verdict(resolution, labels: labels.names),
            splitSummary: splitSummary(split), warnings: warnings, files: files, duplicates: duplicates,
            dataHash: FileHash.sha256(of: hashed))
    }

    /// The text that names the files of some parts from the root.
    private static func text(_ parts: [Part]) throws -> String {
        let files = parts.compactMap { part in part.task.map { NamedFiles.Part(name: $0, path: part.file.path) } }
        return try files.isEmpty ? DataFile.absolute(parts[0].file.path) : NamedFiles(parts: files).absoluteText()
    }

    private mutating func withDrafts(_ parts: [Part]) throws -> [Part] {
        try parts.map { part in
            let reader = try ExampleReader(table: part.table, definition: definition, needsAnswers: true)
            var part = part
            part.drafts = try reader.drafts(needsAnswers: true, warnings: &warnings)
            return part
        }
    }

    /// The tasks of the training rows, as they come; one whose rows are all held out has nothing to learn from.
    private mutating func taskNames(_ split: Split) -> [String] {
        var seen: Set<String> = []
        let names = split.train.compactMap(\.task).filter { seen.insert($0).inserted }
        for name in Set((split.validation + split.test).compactMap(\.task)).subtracting(names).sorted() {
            warnings.append("the task \(Wording.label(name)) has no training rows")
        }
        return names
    }

    /// The labels in order; those of validation and test count too, so that none is lost.
    private mutating func labelIndex(order: String?) throws -> LabelIndex {
        guard definition.kind == .classification else { return LabelIndex(names: []) }
        if let names = definition.labels { return LabelIndex(names: names) }
        var found: Set<String> = []
        for part in data + validation + test { found.formUnion(part.drafts.compactMap(\.answer)) }
        let table = data[0].table
        let reference = definition.columns.label.flatMap { ColumnReference($0, in: table) }
        // A column beside one file's labels orders no others.
        let index = LabelIndex.found(found, table: table, label: reference, order: data.count == 1 ? order : nil)
        var spelling: [String: String] = [:]
        for name in index.names {
            if let other = spelling.updateValue(name, forKey: name.lowercased()) {
                warnings.append(
                    "the labels \(Wording.label(other)) and \(Wording.label(name)) differ only in case; "
                        + "they count as two")
            }
        }
        return index
    }

    private func refuseOneClass() throws {
        let drafts = data.flatMap(\.drafts)
        guard definition.kind == .classification, let first = drafts.first,
            drafts.allSatisfy({ $0.answer == first.answer })
        else { return }
        throw HoneError(
            .badData,
            "all \(grouped(drafts.count)) rows have the label \(Wording.label(first.answer ?? "")); "
                + "at least two labels are needed",
            file: data[0].file.path, line: first.line, item: definition.columns.label)
    }

    private func examples(_ parts: [Part], labels: LabelIndex) throws -> [Example] {
        try parts.flatMap { try examples($0, labels: labels) }
    }

    private func examples(_ part: Part, labels: LabelIndex) throws -> [Example] {
        try part.drafts.map { draft in
            let answer = draft.answer ?? ""
            let target =
                definition.kind == .generation
                ? Example.Target.completion(answer)
                : .label(
                    try labels.index(of: answer, file: part.file.path, line: draft.line, item: definition.columns.label)
                )
            return Example(
                index: draft.index, file: part.file.path, line: draft.line, input: draft.input, target: target,
                task: part.task ?? draft.task)
        }
    }

    private mutating func makeSplit(labels: LabelIndex) throws -> (split: Split, trainKeys: [InputKey]) {
        var train = try examples(data, labels: labels)
        var validationRows = try examples(validation, labels: labels)
        var testRows = try examples(test, labels: labels)
        var keys = train.map { InputKey($0) }
        let validationKeys = Set(validationRows.map { InputKey($0) })
        let testRowKeys = testRows.map { InputKey($0) }
        let testKeys = Set(testRowKeys)
        let shared = zip(testRows, testRowKeys).filter { validationKeys.contains($1) }.map(\.0)
        duplicates.validationInTest = shared.count
        if !shared.isEmpty {
            warnings.append(
                "\(test.first?.file.path ?? ""): \(counted(shared.count, "test row")) also in validation "
                    + "(\(listed(lines: shared.map(\.line))))")
        }
        leaveOut(of: &train, &keys, validation: validationKeys, test: testKeys)

        // Each text is drawn by its first row only, so that its copies cannot fall on both sides.
        var seen: Set<InputKey> = []
        let firsts = train.indices.filter { seen.insert(keys[$0]).inserted }
        let drawing = SplitDrawing(
            seed: definition.seed ?? 0,
            validationShare: validation.isEmpty ? definition.splits.validation : 0,
            testShare: !test.isEmpty || (!validation.isEmpty && definition.splits.test == nil)
                ? 0 : definition.splits.test)
        // Each task keeps its share of every split.
        let tasks = Dictionary(
            uniqueKeysWithValues: Set(train.compactMap(\.task)).sorted().enumerated().map { ($1, $0 + 1) })
        let classes = labels.names.count + 1
        let drawn = drawing.draw(
            classes: firsts.map { (train[$0].task.flatMap { tasks[$0] } ?? 0) * classes + (train[$0].label ?? 0) })
        let forValidation = Set(drawn.validation.map { firsts[$0] })
        let forTest = Set(drawn.test.map { firsts[$0] })
        if !forValidation.isEmpty { validationRows = forValidation.sorted().map { train[$0] } }
        if !forTest.isEmpty { testRows = forTest.sorted().map { train[$0] } }
        let drawnValidationKeys = Set(forValidation.map { keys[$0] })
        let drawnTestKeys = Set(forTest.map { keys[$0] })
        let rest = train.indices.filter { !forValidation.contains($0) && !forTest.contains($0) }
        train = rest.map { train[$0] }
        keys = rest.map { keys[$0] }
        leaveOut(of: &train, &keys, validation: drawnValidationKeys, test: drawnTestKeys)
        return (Split(train: train, validation: validationRows, test: testRows), keys)
    }

    /// Leaves training rows out whose input is a validation or test row's, and says so.
    private mutating func leaveOut(
        of train: inout [Example], _ keys: inout [InputKey], validation: Set<InputKey>, test: Set<InputKey>
    ) {
        guard !validation.isEmpty || !test.isEmpty else { return }
        let inTest = train.indices.filter { test.contains(keys[$0]) }
        let inValidation = train.indices.filter { validation.contains(keys[$0]) && !test.contains(keys[$0]) }
        duplicates.trainInTest += inTest.count
        duplicates.trainInValidation += inValidation.count
        for (rows, name) in [(inValidation, "validation"), (inTest, "test")] where !rows.isEmpty {
            warnings.append(
                "\(data[0].file.path): \(counted(rows.count, "row")) also in \(name), left out of training "
                    + "(\(listed(lines: rows.map { train[$0].line })))")
        }
        let kept = train.indices.filter { !test.contains(keys[$0]) && !validation.contains(keys[$0]) }
        train = kept.map { train[$0] }
        keys = kept.map { keys[$0] }
    }

    private func verdict(_ resolution: TaskResolution, labels: [String]) -> String {
        let columns = resolution.columns
        let source: String
        if let template = resolution.template {
            let shown = template.source.replacing("\n", with: "\\n")
            source = shown.count <= 80 ? "template `\(shown)`" : "template of \(Wording.columns(template.columns))"
        } else if let pair = columns.textPair {
            source = "columns \(Wording.column(columns.text ?? "")) + \(Wording.column(pair))"
        } else if let image = columns.image {
            source = "images in column \(Wording.column(image))"
        } else if let messages = columns.messages {
            source =
                "conversations in column \(Wording.column(messages))"
                + (columns.tools.map { " with tools in \(Wording.column($0))" } ?? "")
        } else {
            source = "column \(Wording.column(columns.text ?? columns.prompt ?? ""))"
        }
        var sentence = "\(resolution.kind.rawValue): \(source)"
        if let target = columns.label ?? columns.completion { sentence += " → \(Wording.column(target))" }
        if resolution.kind == .classification {
            sentence += ", \(counted(labels.count, "label"))"
            if let order = resolution.labelOrder { sentence += " in the order of \(Wording.column(order))" }
        }
        sentence += ", \(counted(data.reduce(0) { $0 + $1.table.count }, "row"))"
        if data.count > 1 || data[0].task != nil {
            sentence += " of \(counted(data.count, "task"))"
        } else if let column = resolution.columns.task {
            sentence +=
                " of \(counted(Set(data[0].drafts.map(\.task)).count, "task")) in column \(Wording.column(column))"
        }
        if !resolution.ignored.isEmpty {
            var names = resolution.ignored.prefix(6).map {
                Wording.looksLikeName($0) ? $0 : "a column with a long name"
            }
            if resolution.ignored.count > 6 { names.append("\(resolution.ignored.count - 6) more") }
            sentence += "; ignored: \(names.joined(separator: ", "))"
        }
        return sentence
    }

    private func splitSummary(_ split: Split) -> String {
        func part(_ name: String, _ rows: [Example], isGiven: Bool) -> String {
            rows.isEmpty ? "no \(name)" : "\(name) \(grouped(rows.count)) (\(isGiven ? "given" : "drawn"))"
        }
        return "train \(grouped(split.train.count)), "
            + part("validation", split.validation, isGiven: !validation.isEmpty) + ", "
            + part("test", split.test, isGiven: !test.isEmpty)
    }
}
