import HoneFormats

/// Which columns of a table hold what. A name may also be a path into nested JSON, such as `answers.text.0`.
public struct ColumnMapping: Sendable, Hashable {
    /// The text to classify.
    public var text: String?
    /// The second of two texts to classify together.
    public var textPair: String?
    /// The path of the image to classify, as seen from the folder of the data file.
    public var image: String?
    /// The label.
    public var label: String?
    /// The prompt to go on from.
    public var prompt: String?
    /// The text that should follow the prompt.
    public var completion: String?
    /// A list of turns with `role` and `content`, the last one by the assistant.
    public var messages: String?
    /// The tools that may be called in a row's conversation: a list of JSON schemas, or a text that holds one.
    public var tools: String?
    /// The name of the task that a row belongs to, where the data are of several.
    public var task: String?

    /// A mapping of some columns.
    public init(
        text: String? = nil, textPair: String? = nil, image: String? = nil, label: String? = nil,
        prompt: String? = nil, completion: String? = nil, messages: String? = nil, tools: String? = nil,
        task: String? = nil
    ) {
        self.text = text
        self.textPair = textPair
        self.image = image
        self.label = label
        self.prompt = prompt
        self.completion = completion
        self.messages = messages
        self.tools = tools
        self.task = task
    }

    /// The roles and columns that are set, in a fixed order, with the names that `task.yaml` uses.
    var entries: [(role: String, column: String)] {
        [
            ("text", text), ("text_pair", textPair), ("image", image), ("label", label), ("prompt", prompt),
            ("completion", completion), ("messages", messages), ("tools", tools), ("task", task),
        ].compactMap { role, column in column.map { (role, $0) } }
    }

    /// Sets the column of a role by the name that `task.yaml` uses; returns whether there is such a role.
    mutating func set(_ role: String, to column: String) -> Bool {
        switch role {
        case "text": text = column
        case "text_pair": textPair = column
        case "image": image = column
        case "label": label = column
        case "prompt": prompt = column
        case "completion": completion = column
        case "messages": messages = column
        case "tools": tools = column
        case "task": task = column
        default: return false
        }
        return true
    }

    /// The names that `task.yaml` uses for the roles.
    static let roles = ["text", "text_pair", "image", "label", "prompt", "completion", "messages", "tools", "task"]
}

/// The shares of the rows that are set aside where no files are given for them.
public struct SplitFractions: Sendable, Hashable {
    /// The share for validation, from 0 up to but not including 1; `nil` stands for the default.
    public var validation: Double?
    /// The share for the test, from 0 up to but not including 1; `nil` stands for the default.
    public var test: Double?

    /// Shares that are not set stand for the defaults: 0.1 each, at most 2,000 rows each, and no test rows where a
    /// validation file is given.
    public init(validation: Double? = nil, test: Double? = nil) {
        self.validation = validation
        self.test = test
    }
}

/// A task as `task.yaml` describes it. What is not set is found from the data.
///
///     kind: classification
///     data: tickets.csv
///     columns: {text: message, label: team}
///     labels: [billing, delivery, login]
///     splits: {validation: 0.1, test: 0.2}
///     seed: 7
public struct TaskDefinition: Sendable, Hashable {
    /// A name for reports.
    public var name: String?
    /// What kind of task it is.
    public var kind: TaskKind?
    /// The file with the training rows (or all rows), or a folder; or several files of a task each: `a=one.csv,b=two.csv`.
    public var data: String?
    /// The file with the validation rows.
    public var validation: String?
    /// The file with the test rows.
    public var test: String?
    /// Which columns hold what.
    public var columns: ColumnMapping
    /// How the text or the prompt is made of columns, instead of one column.
    public var template: Template?
    /// The labels in their order; in data they may also stand as numbers that count from 0 into this list.
    public var labels: [String]?
    /// The names of the metrics to report; the first one decides.
    public var metrics: [String]
    /// The shares of the rows that are set aside.
    public var splits: SplitFractions
    /// What the draw of the splits depends on, besides the data.
    public var seed: UInt64?

    /// A definition; what is not set is found from the data.
    public init(
        name: String? = nil, kind: TaskKind? = nil, data: String? = nil, validation: String? = nil,
        test: String? = nil, columns: ColumnMapping = .init(), template: Template? = nil, labels: [String]? = nil,
        metrics: [String] = [], splits: SplitFractions = .init(), seed: UInt64? = nil
    ) {
        self.name = name
        self.kind = kind
        self.data = data
        self.validation = validation
        self.test = test
        self.columns = columns
        self.template = template
        self.labels = labels
        self.metrics = metrics
        self.splits = splits
        self.seed = seed
    }

    /// The keys of `task.yaml`, in the order in which they are written.
    static let keys = [
        "name", "kind", "data", "validation", "test", "columns", "template", "labels", "metrics", "splits", "seed",
    ]

    /// The definition as JSON, with the keys of `task.yaml`; `init(json:)` reads it again.
    public var json: JSON {
        var object = JSONObject()
        object["name"] = name.map(JSON.string)
        object["kind"] = kind.map { .string($0.rawValue) }
        object["data"] = data.map(JSON.string)
        object["validation"] = validation.map(JSON.string)
        object["test"] = test.map(JSON.string)
        if !columns.entries.isEmpty {
            var mapping = JSONObject()
            for (role, column) in columns.entries { mapping[role] = .string(column) }
            object["columns"] = .object(mapping)
        }
        object["template"] = template.map { .string($0.source) }
        object["labels"] = labels.map { .array($0.map(JSON.string)) }
        if !metrics.isEmpty { object["metrics"] = .array(metrics.map(JSON.string)) }
        var shares = JSONObject()
        shares["validation"] = splits.validation.map(JSON.number)
        shares["test"] = splits.test.map(JSON.number)
        if shares.count > 0 { object["splits"] = .object(shares) }
        // A seed above the range of whole numbers in JSON is written as a string.
        object["seed"] = seed.map { Int(exactly: $0).map(JSON.integer) ?? .string(String($0)) }
        return .object(object)
    }
}
