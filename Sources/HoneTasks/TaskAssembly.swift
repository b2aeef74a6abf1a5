import HoneFormats

/// Puts a task together: reads the files, finds what they are, draws the splits, checks them against one another.
struct TaskAssembly {
    private struct Part {
        var file: TaskFile
        var table: Table
        var drafts: [Draft] = []
    }

    /// The definition as given, and from `assemble` on with everything filled in that was found.
    private var definition: TaskDefinition
    private var data: Part
    private var validation: Part?
    private var test: Part?
    private var warnings: [String] = []
    private var duplicates = DuplicateCounts()

    init(files: TaskFiles, definition: TaskDefinition) throws {
        self.definition = definition
        data = try Self.read(files.data, role: .data)
        validation = try files.validation.map { try Self.read($0, role: .validation) }
        test = try files.test.map { try Self.read($0, role: .test) }
    }

    private static func read(_ path: String, role: TaskFile.Role) throws -> Part {
        let bytes = try DataFile.bytes(path: path, limit: TableLimits().fileBytes)
        let table = try TableReader.table(from: bytes, file: path)
        return Part(
            file: TaskFile(role: role, path: path, rows: table.count, sha256: FileHash.sha256(of: bytes)),
            table: table)
    }

    mutating func assemble() throws -> TaskData {
        let resolution = try TaskDetector(table: data.table).resolve(definition)
        definition.kind = resolution.kind
        definition.columns = resolution.columns
        definition.template = resolution.template
        definition.seed = definition.seed ?? 0
        definition.data = DataFile.absolute(data.file.path)
        definition.validation = validation.map { DataFile.absolute($0.file.path) }
        definition.test = test.map { DataFile.absolute($0.file.path) }

        data.drafts = try drafts(of: data)
        if let part = validation {
            let drafts = try drafts(of: part)
            validation?.drafts = drafts
        }
        if let part = test {
            let drafts = try drafts(of: part)
            test?.drafts = drafts
        }
        let labels = try labelIndex(order: resolution.labelOrder)
        if resolution.kind == .classification { definition.labels = labels.names }

        try refuseOneClass()
        let (split, trainKeys) = try makeSplit(labels: labels)
        let check = SplitCheck(split: split, trainKeys: trainKeys, kind: resolution.kind, labels: labels.names)
        duplicates.withinTrain = check.repeated.count
        duplicates.conflicting = check.conflicting.count
        try check.refuse(file: data.file.path, label: resolution.columns.label)
        warnings += check.warnings(file: data.file.path)
        if split.test.isEmpty { warnings.append("no test split: give --test, or a share for it in a task.yaml") }
        if split.validation.isEmpty { warnings.append("no validation split: there are too few rows to draw one") }

        let files = [data.file] + [validation?.file, test?.file].compactMap { $0 }
        var hashed = files.map { "\($0.role.rawValue):\($0.sha256)" }.joined(separator: "\n")
        let images = [data, validation, test].compactMap { $0 }.flatMap(\.drafts).compactMap { draft in
            if case .image(let image) = draft.input { image.hash } else { nil }
        }
        if !images.isEmpty { hashed += "\nimages:" + FileHash.sha256(of: images.joined(separator: "\n")) }
        return TaskData(
            definition: definition, kind: resolution.kind,
            labels: resolution.kind == .classification ? labels.names : [],
            split: split, verdict: verdict(resolution, labels: labels.names),
            splitSummary: splitSummary(split), warnings: warnings, files: files, duplicates: duplicates,
            dataHash: FileHash.sha256(of: hashed))
    }

    private mutating func drafts(of part: Part) throws -> [Draft] {
        let reader = try ExampleReader(table: part.table, definition: definition, needsAnswers: true)
        return try reader.drafts(needsAnswers: true, warnings: &warnings)
    }

    /// The labels in order; those of validation and test count too, so that none is lost.
    private mutating func labelIndex(order: String?) throws -> LabelIndex {
        guard definition.kind == .classification else { return LabelIndex(names: []) }
        if let names = definition.labels { return LabelIndex(names: names) }
        var found: Set<String> = []
        for part in [data, validation, test].compactMap({ $0 }) { found.formUnion(part.drafts.compactMap(\.answer)) }
        let reference = definition.columns.label.flatMap { ColumnReference($0, in: data.table) }
        let index = LabelIndex.found(found, table: data.table, label: reference, order: order)
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
        guard definition.kind == .classification, let first = data.drafts.first,
            data.drafts.allSatisfy({ $0.answer == first.answer })
        else { return }
        throw HoneError(
            .badData,
            "all \(grouped(data.drafts.count)) rows have the label \(Wording.label(first.answer ?? "")); "
                + "at least two labels are needed",
            file: data.file.path, line: first.line, item: definition.columns.label)
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
                index: draft.index, file: part.file.path, line: draft.line, input: draft.input, target: target)
        }
    }

    private mutating func makeSplit(labels: LabelIndex) throws -> (split: Split, trainKeys: [InputKey]) {
        var train = try examples(data, labels: labels)
        var validationRows = try validation.map { try examples($0, labels: labels) } ?? []
        var testRows = try test.map { try examples($0, labels: labels) } ?? []
        var keys = train.map { InputKey($0.input) }
        let validationKeys = Set(validationRows.map { InputKey($0.input) })
        let testRowKeys = testRows.map { InputKey($0.input) }
        let testKeys = Set(testRowKeys)
        let shared = zip(testRows, testRowKeys).filter { validationKeys.contains($1) }.map(\.0)
        duplicates.validationInTest = shared.count
        if !shared.isEmpty {
            warnings.append(
                "\(test?.file.path ?? ""): \(counted(shared.count, "test row")) also in validation "
                    + "(\(listed(lines: shared.map(\.line))))")
        }
        leaveOut(of: &train, &keys, validation: validationKeys, test: testKeys)

        // Each text is drawn by its first row only, so that its copies cannot fall on both sides.
        var seen: Set<InputKey> = []
        let firsts = train.indices.filter { seen.insert(keys[$0]).inserted }
        let drawing = SplitDrawing(
            seed: definition.seed ?? 0,
            validationShare: validation != nil ? 0 : definition.splits.validation,
            testShare: test != nil || (validation != nil && definition.splits.test == nil) ? 0 : definition.splits.test)
        let drawn = drawing.draw(classes: firsts.map { train[$0].label ?? 0 })
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
                "\(data.file.path): \(counted(rows.count, "row")) also in \(name), left out of training "
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
        sentence += ", \(counted(data.table.count, "row"))"
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
            + part("validation", split.validation, isGiven: validation != nil) + ", "
            + part("test", split.test, isGiven: test != nil)
    }
}
