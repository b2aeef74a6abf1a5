import HoneFormats

/// A file that a task was read from.
public struct TaskFile: Sendable, Hashable {
    /// What the file is for.
    public enum Role: String, Sendable, Hashable {
        /// Training rows, or all rows.
        case data
        /// Validation rows.
        case validation
        /// Test rows.
        case test
    }

    /// What the file is for.
    public var role: Role
    /// The path, as the user named it.
    public var path: String
    /// How many rows it has.
    public var rows: Int
    /// SHA-256 of its bytes, in hexadecimal.
    public var sha256: String
}

/// How many rows repeat others; the texts are compared without case, runs of white space and Unicode spelling.
public struct DuplicateCounts: Sendable, Hashable {
    /// Training rows left out because a validation row has the same input.
    public var trainInValidation = 0
    /// Training rows left out because a test row has the same input.
    public var trainInTest = 0
    /// Test rows whose input is also a validation row.
    public var validationInTest = 0
    /// Training rows that repeat an earlier training row.
    public var withinTrain = 0
    /// Inputs that stand in the training rows with different labels.
    public var conflicting = 0

    /// No duplicates.
    public init() {}
}

/// A task with everything read: what it is, its examples by split, and what was noticed on the way.
///
///     let data = try TaskData.load(path: "tickets.csv")
///     print(data.verdict)    // classification: column `text` → `label`, 7 labels, 420 rows
public struct TaskData: Sendable {
    /// The definition with everything filled in that was found; with it `load(definition:)` gives the same data again.
    public let definition: TaskDefinition
    /// What kind of task it is.
    public let kind: TaskKind
    /// The labels in their order; empty for generation.
    public let labels: [String]
    /// The names of the tasks that the rows belong to, in the order in which they come; empty where rows have none.
    public let tasks: [String]
    /// The examples by what they are for.
    public let split: Split
    /// One sentence: what was found, by which columns, how many rows, what is ignored.
    public let verdict: String
    /// One sentence: how many rows each split has and where they come from.
    public let splitSummary: String
    /// What a careful person would want to know: rows left out, duplicates, conflicting labels, classes without rows.
    public let warnings: [String]
    /// The files read.
    public let files: [TaskFile]
    /// Duplicate rows found.
    public let duplicates: DuplicateCounts
    /// SHA-256, in hexadecimal, over the roles and hashes of the files: equal where the data are equal.
    public let dataHash: String

    /// How many training examples each label has, in the order of the labels.
    public var trainCounts: [Int] {
        var counts = labels.map { _ in 0 }
        for example in split.train {
            if let label = example.label, counts.indices.contains(label) { counts[label] += 1 }
        }
        return counts
    }

    /// The description for a run's folder: definition, files, hashes, sizes, warnings; no texts of examples.
    public var json: JSON {
        let fileList = files.map { file -> JSON in
            [
                "role": .string(file.role.rawValue), "path": .string(file.path), "rows": .integer(file.rows),
                "sha256": .string(file.sha256),
            ]
        }
        return [
            "definition": definition.json,
            "verdict": .string(verdict),
            "files": .array(fileList),
            "sha256": .string(dataHash),
            "rows": [
                "train": .integer(split.train.count), "validation": .integer(split.validation.count),
                "test": .integer(split.test.count),
            ],
            "warnings": .array(warnings.map(JSON.string)),
        ]
    }

    /// Reads a task.
    ///
    /// Files that are given are respected, rows for what is missing are drawn from the data: 10 % for validation and
    /// 10 % for the test, at most 2,000 each, by class. Where a validation file is given and no test file, no test rows
    /// are drawn unless the definition's `splits` ask for them. Training rows whose input also stands in validation or
    /// test are left out.
    ///
    /// - Parameters:
    ///   - path: A data file (`.csv`, `.tsv`, `.jsonl`, `.json`), a folder with `train`, `validation` and `test` files,
    ///     or a `task.yaml`. Several files are a task each: `reviews=a.csv,questions=b.csv`; without names they are called
    ///     after the files. Validation and test rows can be named in the same way.
    ///   - validation: A file with validation rows; wins over what is found at `path`.
    ///   - test: A file with test rows; wins over what is found at `path`.
    ///   - seed: What the draw depends on; without one the definition's, else 0.
    ///   - definition: Settings that take the place of those in a `task.yaml`, its paths apart.
    /// - Throws: `HoneError` with file, line and column where they are known.
    public static func load(
        path: String, validation: String? = nil, test: String? = nil, seed: UInt64? = nil,
        definition: TaskDefinition? = nil
    ) throws -> TaskData {
        var settings = TaskDefinition()
        let described = TaskFiles.isDefinition(path) ? path : TaskFiles.definition(inFolder: path)
        if let described {
            settings = try TaskDefinition(file: described)
            settings.data = settings.data ?? DataFile.folder(of: described)
        } else {
            settings.data = path
        }
        if let definition {
            let found = settings
            settings = definition
            settings.data = found.data
            settings.validation = found.validation ?? definition.validation
            settings.test = found.test ?? definition.test
        }
        settings.validation = validation ?? settings.validation
        settings.test = test ?? settings.test
        settings.seed = seed ?? settings.seed
        return try load(definition: settings)
    }

    /// Reads a task from a definition that names its data, such as the one of an earlier run.
    ///
    /// - Throws: `HoneError` with file, line and column where they are known.
    public static func load(definition: TaskDefinition) throws -> TaskData {
        guard let path = definition.data else {
            throw HoneError(.usage, "the definition names no data", item: "data")
        }
        guard !TaskFiles.isDefinition(path) else {
            throw HoneError(.usage, "`data` names another task.yaml; name a data file or a folder", file: path)
        }
        var files = try TaskFiles.find(path)
        files.validation = definition.validation ?? files.validation
        files.test = definition.test ?? files.test
        try files.checkDistinct()
        var assembly = try TaskAssembly(files: files, definition: definition)
        return try assembly.assemble()
    }
}

extension TaskDefinition {
    /// Reads rows of a file by this definition, for evaluation on other data or for prediction.
    ///
    /// - Parameters:
    ///   - path: A data file, or several of a task each: `reviews=a.csv,questions=b.csv`.
    ///   - needsTargets: Whether each row must have a label or completion; without, targets that are missing or are
    ///     no label of the task are `unknown`.
    /// - Returns: The examples, and warnings about rows left out.
    /// - Throws: `HoneError` with file, line and column; also where this definition is not one with kind and columns.
    public func examples(
        file path: String, needsTargets: Bool = true
    ) throws -> (examples: [Example], warnings: [String]) {
        var examples: [Example] = []
        var warnings: [String] = []
        for part in try NamedFiles(path)?.parts.map({ ($0.path, $0.name as String?) }) ?? [(path, nil)] {
            examples += try rows(
                file: part.0, task: part.1, needsTargets: needsTargets, warnings: &warnings)
        }
        return (examples, warnings)
    }

    private func rows(file path: String, task: String?, needsTargets: Bool, warnings: inout [String]) throws
        -> [Example]
    {
        let table = try TableReader.read(file: path)
        let reader = try ExampleReader(table: table, definition: self, needsAnswers: needsTargets)
        let drafts = try reader.drafts(needsAnswers: needsTargets, warnings: &warnings)
        let index = LabelIndex(names: labels ?? [])
        return try drafts.map { draft -> Example in
            var target = Example.Target.unknown
            if let answer = draft.answer {
                if reader.kind == .generation {
                    target = .completion(answer)
                } else if needsTargets {
                    target = .label(try index.index(of: answer, file: path, line: draft.line, item: columns.label))
                } else {
                    target = index.index(of: answer).map(Example.Target.label) ?? .unknown
                }
            }
            return Example(
                index: draft.index, file: path, line: draft.line, input: draft.input, target: target,
                task: task ?? draft.task)
        }
    }

    /// The input of one row given as an object, such as the body of a request.
    ///
    /// - Throws: `HoneError` where a column is missing or holds no text.
    public func input(of row: JSONObject) throws -> Example.Input {
        var table = Table(file: "the row")
        try table.append(object: row, line: 1, limits: .init())
        return try ExampleReader(table: table, definition: self, needsAnswers: false).draft(row: 0).input
    }
}
