import HoneFormats
import HoneModels
import HoneTorch

/// What a method leaves behind: parameters and what is needed to attach them again.
public struct Adapter {
    /// The method with its settings.
    public var method: any Method
    /// What the task looks like.
    public var task: TaskShape
    /// The names of the classes, in classification.
    public var labels: [String]
    /// The method's tensors and the task's head.
    public var parameters: ParameterSet
    /// Worked examples, for in-context methods.
    public var demonstrations: [Demonstration]
    /// How examples are turned into tokens.
    public var encoding: ExampleEncoder.Options

    /// An adapter from its parts.
    public init(
        method: any Method, task: TaskShape, labels: [String], parameters: ParameterSet,
        demonstrations: [Demonstration] = [], encoding: ExampleEncoder.Options
    ) {
        self.method = method
        self.task = task
        self.labels = labels
        self.parameters = parameters
        self.demonstrations = demonstrations
        self.encoding = encoding
    }

    /// The base as it is, for a task: nothing is attached, and there is no head.
    public static func bare(
        task: TaskShape, labels: [String] = [], encoding: ExampleEncoder.Options = .init()
    ) throws -> Adapter {
        // Without parameters every method that stands in for weights is the base.
        Adapter(
            method: try Methods.make("full"), task: task, labels: labels, parameters: ParameterSet(), encoding: encoding
        )
    }

    /// The base as it is with this adapter's task and head.
    public var detached: Adapter {
        get throws {
            var bare = try Adapter.bare(task: task, labels: labels, encoding: encoding)
            for parameter in parameters.all where parameter.group == .head {
                bare.parameters.set(parameter.name, parameter.tensor, group: .head)
            }
            return bare
        }
    }

    /// A fresh adapter: the method's initial parameters and a fresh head where the task needs one.
    ///
    /// - Parameter earlier: another adapter's method and tensors to go on from, as the method says.
    public static func initial(
        _ method: any Method, for model: BaseModel, task: TaskShape, labels: [String],
        encoding: ExampleEncoder.Options, seed: UInt64,
        from earlier: (method: any Method, parameters: ParameterSet)? = nil
    ) throws -> Adapter {
        var (method, encoding) = (method, encoding)
        if let routing = method as? any TaskRoutingMethod {
            method = routing.routing(among: encoding.tasks)
        } else {
            encoding.tasks = []
        }
        let part = try model.part(for: task, type(of: method))
        try method.checkFit(part.configuration, task)
        guard task != .generation || model.configuration.hasLanguageHead else {
            throw HoneError(
                .mismatch, "this model is an encoder, and only a model that generates text can do a generation task",
                item: method.name)
        }
        var random = RandomStream(seed: seed, name: "initialisation")
        var parameters: ParameterSet
        if let earlier {
            (method, parameters) = try method.continuing(
                earlier.method, earlier.parameters, for: part, random: &random)
            try method.checkFit(part.configuration, task)
            if !(method is any TaskRoutingMethod) { encoding.tasks = [] }
        } else {
            parameters = try method.initialParameters(for: part, random: &random)
        }
        if case .classification(let classes) = task, type(of: method).card.training == .gradient {
            var headRandom = RandomStream(seed: seed, name: "head initialisation")
            try ClassificationHead.initialise(&parameters, classes: classes, model: model, random: &headRandom)
        }
        if model.configuration.decoder != nil { encoding.marksCompletions = true }
        return Adapter(method: method, task: task, labels: labels, parameters: parameters, encoding: encoding)
    }

    /// Writes the adapter into a folder that exists.
    public func write(to path: String, for model: BaseModel) throws {
        let folder = AdapterFolderWriter(path: path)
        try method.write(parameters, for: model, task: task, to: folder)
        let head = parameters.all.filter { $0.group == .head }
        if !head.isEmpty {
            try folder.writeTensors(head.map { ($0.name, $0.tensor) }, file: "head.safetensors")
        }
        try AtomicFile.write(try description(for: model).text(pretty: true) + "\n", to: path + "/hone.json")
    }

    private func description(for model: BaseModel) throws -> JSON {
        [
            "version": 1,
            "method": .string(method.name),
            "settings": method.settings.json,
            "task": task == .generation ? "generation" : "classification",
            "labels": .array(labels.map { .string($0) }),
            "head": .array(parameters.all.filter { $0.group == .head }.map { .string($0.name) }),
            "maximum_length": .integer(encoding.maximumLength),
            "marks_completions": .bool(encoding.marksCompletions),
            "chat_template": .bool(encoding.usesChatTemplate),
            "tasks": .array(encoding.tasks.map { .string($0) }),
            "base": ["folder": .string(model.folder), "sha256": .string(try model.fingerprint)],
            "demonstrations": .array(
                demonstrations.map { ["input": .string($0.input), "target": .string($0.target)] }),
        ]
    }

    /// Reads a folder that Hone wrote.
    ///
    /// - Throws: `HoneError` where the folder is damaged or belongs to another base model.
    public static func read(_ path: String, for model: BaseModel) throws -> Adapter {
        let folder = try AdapterFolderReader(path: path)
        let file = path + "/hone.json"
        guard let json = folder.description else {
            throw HoneError(
                .badFile, "hone.json is missing; an adapter of PEFT alone goes into --init-adapter", file: path)
        }
        func refused(_ field: String) -> HoneError {
            HoneError(.badFile, "the field is missing or wrong", file: file, item: field)
        }
        guard let version = json["version"]?.integer, version >= 1 else { throw refused("version") }
        guard version <= 1 else {
            throw HoneError(.unsupported, "was written by a newer version of Hone (format \(version))", file: file)
        }
        try folder.checkBase(model)
        guard let labels = json["labels"]?.array?.map(\.string), !labels.contains(where: { $0 == nil }) else {
            throw refused("labels")
        }
        guard let length = json["maximum_length"]?.integer, (1...1 << 24).contains(length) else {
            throw refused("maximum_length")
        }
        guard let marks = json["marks_completions"]?.bool else { throw refused("marks_completions") }
        let names = labels.compactMap { $0 }
        let task: TaskShape
        switch json["task"]?.string {
        case "generation": task = .generation
        case "classification":
            guard !names.isEmpty else { throw refused("labels") }
            task = .classification(classes: names.count)
        default: throw refused("task")
        }
        if case .classification = task, Set(names).count != names.count || names.count < 2 { throw refused("labels") }
        var (method, parameters) = try readMethod(folder, for: model, task: task)
        if case .classification(let classes) = task, type(of: method).card.training != .none {
            let hasScale = json["head"]?.array?.contains(.string(ClassificationHead.scale)) ?? false
            try readHead(
                path + "/head.safetensors", classes: classes, hasScale: hasScale, model: model, into: &parameters)
        }
        let demonstrations = try (json["demonstrations"]?.array ?? []).map { shot in
            guard let input = shot["input"]?.string, let target = shot["target"]?.string else {
                throw refused("demonstrations")
            }
            return Demonstration(input: input, target: target)
        }
        return Adapter(
            method: method, task: task, labels: names, parameters: parameters, demonstrations: demonstrations,
            encoding: .init(
                maximumLength: length, marksCompletions: marks,
                // Runs of before had plain lines.
                usesChatTemplate: json["chat_template"]?.bool ?? false,
                tasks: try taskNames(json, file: file)))
    }

    /// The names of the tasks that a description has; none where it is of before there were any.
    static func taskNames(_ description: JSON, file: String) throws -> [String] {
        guard let field = description["tasks"] else { return [] }
        let names = (field.array ?? []).compactMap(\.string)
        guard let list = field.array, names.count == list.count, Set(names).count == names.count else {
            throw HoneError(.badFile, "the field is missing or wrong", file: file, item: "tasks")
        }
        return names
    }

    /// The head of an adapter that Hone wrote for the same labels; empty where there is none.
    public static func head(_ path: String, for model: BaseModel, labels: [String]) throws -> [Parameter] {
        guard FileStatus.exists(path + "/hone.json"), FileStatus.exists(path + "/head.safetensors"),
            let whole = try? read(path, for: model), whole.labels == labels
        else { return [] }
        return whole.parameters.all.filter { $0.group == .head }
    }

    /// The method and its tensors alone, from a folder that Hone or PEFT wrote.
    ///
    /// - Parameter task: what it is for, where that is known: see `BaseModel.part(for:_:)`.
    public static func readMethod(_ folder: AdapterFolderReader, for model: BaseModel, task: TaskShape? = nil) throws
        -> (method: any Method, parameters: ParameterSet)
    {
        let found = try folder.method()
        let model = try task.map { try model.part(for: $0, found) } ?? model
        func open(_ type: (some Method).Type) throws -> (method: any Method, parameters: ParameterSet) {
            do {
                let found = try type.read(folder, for: model)
                return (found.method, found.parameters)
            } catch let error as HoneError {
                throw error.inFile(folder.tensorFile)
            }
        }
        return try open(found)
    }

    private static func readHead(
        _ file: String, classes: Int, hasScale: Bool, model: BaseModel, into parameters: inout ParameterSet
    ) throws {
        let tensors = try SafetensorsFile(path: file)
        var expected = [
            (ClassificationHead.weight, [classes, model.configuration.width]), (ClassificationHead.bias, [classes]),
        ]
        if hasScale { expected.append((ClassificationHead.scale, [1])) }
        for (name, shape) in expected {
            let tensor = try TensorFiles.tensor(name, in: tensors).to(.float32).to(model.transformer.device).cloned()
            guard tensor.shape == shape else {
                throw HoneError(.mismatch, "has shape \(tensor.shape), not \(shape)", file: file, item: name)
            }
            guard try tensor.isFinite().all().item() == 1 else {
                throw HoneError(.notFinite, "holds numbers that are not finite", file: file, item: name)
            }
            parameters.set(name, tensor, group: .head)
        }
    }
}

extension BaseModel {
    /// The part of a model that a method works on for a task: of an encoder-decoder that classifies with a head, the encoder,
    /// whose vectors the head looks at; otherwise all of it.
    public func part(for task: TaskShape, _ method: any Method.Type) throws -> BaseModel {
        guard configuration.decoder != nil, task != .generation, method.card.training != .none else { return self }
        return replacing(transformer: try transformer.encoder)
    }
}
