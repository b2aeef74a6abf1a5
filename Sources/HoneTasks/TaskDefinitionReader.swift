import HoneFormats

extension TaskDefinition {
    /// The definition in a `task.yaml`. Paths in it are as seen from the file's folder and come back so that they
    /// can be opened from the working folder.
    ///
    /// - Throws: `HoneError` with the file and the line: unknown keys, wrong types, values out of range, bad YAML.
    public init(file path: String) throws {
        let bytes = try DataFile.bytes(path: path, limit: YAMLReader.maximumBytes)
        try self.init(yaml: bytes, file: path)
        let folder = DataFile.folder(of: path)
        data = try data.map { try NamedFiles.text($0, relativeTo: folder) }
        validation = try validation.map { try NamedFiles.text($0, relativeTo: folder) }
        test = try test.map { try NamedFiles.text($0, relativeTo: folder) }
    }

    /// The definition in the text of a `task.yaml`, its paths as they are written.
    ///
    /// - Parameter file: The file's name for messages.
    /// - Throws: `HoneError` with the file and the line.
    public init(yaml bytes: [UInt8], file: String) throws {
        try self.init(YAMLReader.tree(bytes, file: file), file: file)
    }

    /// The definition that `json` wrote.
    ///
    /// - Parameter file: The file it comes from, for messages.
    /// - Throws: `HoneError` for unknown keys, wrong types and values out of range.
    public init(json: JSON, file: String? = nil) throws {
        try self.init(SettingTree(json), file: file)
    }

    init(_ tree: SettingTree, file: String?) throws {
        self.init()
        let reader = SettingReader(file: file)
        for entry in try reader.map(tree, item: nil, keys: Self.keys) {
            let (key, value) = (entry.key, entry.value)
            if case .null = value.value { continue }
            switch key {
            case "name": name = try reader.string(value, item: key)
            case "kind": kind = try reader.choice(value, item: key, among: TaskKind.allCases)
            case "data": data = try reader.path(value, item: key)
            case "validation": validation = try reader.path(value, item: key)
            case "test": test = try reader.path(value, item: key)
            case "columns": columns = try Self.columns(value, reader: reader)
            case "template":
                do {
                    template = try Template(reader.string(value, item: key))
                } catch let error as HoneError {
                    throw reader.failure(error.message, at: value, item: key)
                }
            case "labels": labels = try Self.labels(value, reader: reader)
            case "metrics": metrics = try Self.metrics(value, reader: reader)
            case "splits": splits = try Self.splits(value, reader: reader)
            case "seed": seed = try reader.seed(value, item: key)
            default: break
            }
        }
        try checkTogether(tree, reader: reader)
    }

    private func checkTogether(_ tree: SettingTree, reader: SettingReader) throws {
        let forClassification = columns.entries.filter { ["text", "text_pair", "image", "label"].contains($0.role) }
        let forGeneration = columns.entries.filter { ["prompt", "completion", "messages", "tools"].contains($0.role) }
        if let first = forClassification.first, let second = forGeneration.first {
            throw reader.failure(
                "`\(first.role)` belongs to classification and `\(second.role)` to generation; keep one kind", at: tree,
                item: "columns")
        }
        if kind == .classification, let wrong = forGeneration.first {
            throw reader.failure(
                "`\(wrong.role)` belongs to generation, the kind is classification", at: tree, item: "columns")
        }
        if kind == .generation, let wrong = forClassification.first {
            throw reader.failure(
                "`\(wrong.role)` belongs to classification, the kind is generation", at: tree, item: "columns")
        }
        if columns.messages != nil, columns.prompt != nil || columns.completion != nil || template != nil {
            throw reader.failure("`messages` excludes `prompt`, `completion` and a template", at: tree, item: "columns")
        }
        if columns.image != nil, columns.text != nil || columns.textPair != nil || template != nil {
            throw reader.failure("`image` excludes `text`, `text_pair` and a template", at: tree, item: "columns")
        }
        if columns.tools != nil, columns.prompt != nil || columns.completion != nil || template != nil {
            throw reader.failure("`tools` belong to `messages`", at: tree, item: "columns")
        }
        if template != nil, let column = columns.text ?? columns.prompt {
            throw reader.failure(
                "a template takes the place of the column \(Wording.column(column)); keep one of them", at: tree,
                item: "template")
        }
        if kind == .generation, labels != nil {
            throw reader.failure("labels belong to classification, the kind is generation", at: tree, item: "labels")
        }
    }

    private static func columns(_ tree: SettingTree, reader: SettingReader) throws -> ColumnMapping {
        var mapping = ColumnMapping()
        for entry in try reader.map(tree, item: "columns", keys: ColumnMapping.roles) {
            let column = try reader.string(entry.value, item: "columns.\(entry.key)")
            guard mapping.set(entry.key, to: column) else { continue }
        }
        return mapping
    }

    private static func labels(_ tree: SettingTree, reader: SettingReader) throws -> [String] {
        guard case .list(let elements) = tree.value else {
            throw reader.failure("a list of names is needed, this is \(tree.kind)", at: tree, item: "labels")
        }
        guard elements.count >= 2 else {
            throw reader.failure("at least two labels are needed", at: tree, item: "labels")
        }
        var seen: Set<String> = []
        return try elements.map { element in
            let name = try reader.scalar(element, item: "labels")
            guard seen.insert(name).inserted else {
                throw reader.failure("the label \(Wording.label(name)) stands twice", at: element, item: "labels")
            }
            return name
        }
    }

    private static func metrics(_ tree: SettingTree, reader: SettingReader) throws -> [String] {
        guard case .list(let elements) = tree.value else { return [try reader.string(tree, item: "metrics")] }
        return try elements.map { try reader.string($0, item: "metrics") }
    }

    private static func splits(_ tree: SettingTree, reader: SettingReader) throws -> SplitFractions {
        var splits = SplitFractions()
        for entry in try reader.map(tree, item: "splits", keys: ["validation", "test"]) {
            let share = try reader.share(entry.value, item: "splits.\(entry.key)")
            if entry.key == "validation" { splits.validation = share } else { splits.test = share }
        }
        guard (splits.validation ?? 0) + (splits.test ?? 0) < 1 else {
            throw reader.failure("the shares leave no rows to train on", at: tree, item: "splits")
        }
        return splits
    }
}

/// Takes values out of a tree of settings, with the place in every error.
struct SettingReader {
    let file: String?

    func failure(_ message: String, at tree: SettingTree, item: String?) -> HoneError {
        HoneError(.usage, message, file: file, line: tree.line, item: item)
    }

    func map(
        _ tree: SettingTree, item: String?, keys: [String]
    ) throws -> [(key: String, line: Int?, value: SettingTree)] {
        guard case .map(let pairs) = tree.value else {
            throw failure("`key: value` lines are needed, this is \(tree.kind)", at: tree, item: item)
        }
        for pair in pairs where !keys.contains(pair.key) {
            throw HoneError(
                .usage,
                "there is no setting \(Wording.column(pair.key))\(Wording.suggestion(for: pair.key, among: keys)); "
                    + "the settings here are \(Wording.columns(keys))",
                file: file, line: pair.line, item: item)
        }
        return pairs
    }

    /// A string that is not empty.
    func string(_ tree: SettingTree, item: String) throws -> String {
        guard case .string(let text) = tree.value else {
            throw failure("a string is needed, this is \(tree.kind)", at: tree, item: item)
        }
        guard !text.isEmpty else { throw failure("the string is empty", at: tree, item: item) }
        return text
    }

    /// A string that can be a path.
    func path(_ tree: SettingTree, item: String) throws -> String {
        let text = try string(tree, item: item)
        guard !text.utf8.contains(0), text.utf8.count <= 4_096 else {
            throw failure("the path holds a NUL byte or is longer than 4,096 bytes", at: tree, item: item)
        }
        return text
    }

    /// The text of a string, number or truth value, as it is written.
    func scalar(_ tree: SettingTree, item: String) throws -> String {
        switch tree.value {
        case .string(let text) where !text.isEmpty: return text
        case .other(_, let text): return text
        default: throw failure("a name is needed, this is \(tree.kind) or empty", at: tree, item: item)
        }
    }

    func choice<Choice: RawRepresentable>(
        _ tree: SettingTree, item: String, among choices: [Choice]
    ) throws -> Choice where Choice.RawValue == String {
        let text = try string(tree, item: item)
        let names = choices.map(\.rawValue)
        guard let choice = Choice(rawValue: text) else {
            throw failure(
                "there is no \(item) \(Wording.column(text))\(Wording.suggestion(for: text, among: names)); "
                    + "there are \(Wording.columns(names))", at: tree, item: item)
        }
        return choice
    }

    func share(_ tree: SettingTree, item: String) throws -> Double {
        guard case .other(let json, _) = tree.value, let share = json.number else {
            throw failure("a number from 0 to below 1 is needed, this is \(tree.kind)", at: tree, item: item)
        }
        guard share >= 0, share < 1 else {
            throw failure("a number from 0 to below 1 is needed, such as 0.1", at: tree, item: item)
        }
        return share
    }

    func seed(_ tree: SettingTree, item: String) throws -> UInt64 {
        let text: String
        switch tree.value {
        case .other(_, let written): text = written
        case .string(let written): text = written
        default: text = ""
        }
        guard let seed = UInt64(text) else {
            throw failure("a whole number from 0 to \(UInt64.max) is needed", at: tree, item: item)
        }
        return seed
    }
}
