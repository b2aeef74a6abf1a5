import HoneFormats
import HoneHub
import HoneMethods
import HoneModels

/// What a run's or an adapter's folder holds.
public struct AdapterInspection {
    /// The method with its settings.
    public let method: any Method
    /// Its tensors, and the head's.
    public let parameters: ParameterSet
    /// What its method shows of what it learned.
    public let figures: [MethodFigure]
    /// Names with values, in words.
    public let facts: [(name: String, value: String)]

    /// Opens a run's folder, or an adapter's that Hone or PEFT wrote.
    ///
    /// - Parameter model: the base model, where the folder does not say.
    /// - Throws: `HoneError` where the folder or its base cannot be read.
    public init(path: String, model named: String? = nil, hub: HubClient? = nil) throws {
        if FileStatus.exists(RunFolder(path: path).description) {
            let saved = try SavedRun(path: path, model: named, hub: hub)
            try self.init(saved.specialist.adapter, of: saved.specialist.base)
            return
        }
        let opened = try OpenedAdapter(path: path, model: named, hub: hub)
        try self.init(opened.adapter, of: opened.base)
    }

    private init(_ adapter: Adapter, of model: BaseModel) throws {
        method = adapter.method
        parameters = adapter.parameters
        figures = try adapter.figures(of: model)
        let whole = model.configuration.parameterCount
        let share = Double(parameters.count) / Double(max(1, whole)) * 100
        var facts: [(String, String)] = [
            ("method", type(of: method).card.title), ("settings", method.settings.json.text()),
            ("base", "\(model.location.name), \(whole) parameters"),
            ("trained", "\(parameters.count) parameters, \(decimals(share, 4)) % of the base's"),
        ]
        if !adapter.labels.isEmpty {
            facts.append(("labels", "\(adapter.labels.count): \(adapter.labels.prefix(12).joined(separator: ", "))"))
        }
        self.facts = facts.map { (name: $0.0, value: $0.1) }
    }

    /// All of it as JSON.
    public var json: JSON {
        var object = JSONObject()
        object["method"] = .string(method.name)
        object["settings"] = method.settings.json
        object["trained_parameters"] = .integer(parameters.count)
        object["tensors"] = .array(
            parameters.all.map { parameter in
                [
                    "name": .string(parameter.name), "group": .string(parameter.group.rawValue),
                    "shape": .array(parameter.tensor.shape.map { .integer($0) }),
                ]
            })
        object["figures"] = .array(figures.map(\.json))
        return .object(object)
    }
}
