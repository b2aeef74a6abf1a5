import HoneFormats
import HoneModels
import HoneTorch

/// A method that reads one vector from prompts with worked examples and puts it at the end of prompts without.
public protocol PromptEndVectorMethod: Method {}

extension PromptEndVectorMethod {
    /// Yes: the vector is read from prompts.
    public var hasStages: Bool { true }

    /// What acts at one token cannot be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Where the vector goes.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        PromptEndVector.figures(parameters)
    }

    /// Writes the vector, and what else the method keeps.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try PromptEndVector.write(parameters, to: folder)
    }
}

/// What methods share that put one vector into the residual stream at the last token of a prompt: at which layer, and the file.
enum PromptEndVector {
    /// The setting that names the layer.
    static let layer = Setting(
        "layer", .integer(-1, -1...1023),
        "The layer behind which the vector is put, from 0; -1 for the one that does best on validation rows, or on training rows."
    )

    private static let suffix = ".vector"
    /// How many training rows layers are compared on, where there are no others.
    private static let mostRows = 100

    /// Refuses a layer that does not exist.
    static func check(_ settings: MethodSettings, _ model: TransformerConfiguration, method: String) throws {
        guard settings.integer("layer") < model.layerCount else {
            throw HoneError(
                .mismatch, "the model has the layers 0 to \(model.layerCount - 1)", item: "\(method) layer")
        }
    }

    /// No vector, where it is to be: a third of the way up unless a layer is named.
    static func setInitial(_ parameters: inout ParameterSet, _ settings: MethodSettings, for model: BaseModel) throws {
        let wanted = settings.integer("layer")
        let zero = try Tensor.zeros([model.configuration.width], on: model.transformer.device)
        parameters.set(name(wanted >= 0 ? wanted : model.configuration.layerCount / 3), zero, group: .state)
    }

    private static func name(_ layer: Int) -> String { "layers.\(layer)" + suffix }

    /// Takes the vector out, wherever it is.
    private static func clear(_ parameters: inout ParameterSet) {
        for parameter in parameters.all where parameter.name.hasSuffix(suffix) { parameters.remove(parameter.name) }
    }

    /// Puts a vector at the layer that the settings name, or at the one that does best.
    static func place(
        _ vector: Tensor, in parameters: inout ParameterSet, of method: any Method, _ context: TrainingContext
    ) throws {
        try place(in: &parameters, of: method, context) { _ in vector }
    }

    /// The same for a vector that differs from layer to layer.
    static func place(
        in parameters: inout ParameterSet, of method: any Method, _ context: TrainingContext,
        vector: (_ layer: Int) throws -> Tensor
    ) throws {
        let wanted = method.settings.integer("layer")
        let layers = wanted >= 0 ? wanted..<wanted + 1 : 0..<context.model.configuration.layerCount
        var best: (parameters: ParameterSet, score: Double, loss: Double, layer: Int)?
        for layer in layers {
            try context.checkStop()
            var tried = parameters
            clear(&tried)
            tried.set(name(layer), try vector(layer).detached().to(.float32).contiguous().cloned(), group: .state)
            let found = layers.count > 1 ? try score(tried, method, context) : (score: 0, loss: 0)
            if best.map({ (found.score, -found.loss) > ($0.score, -$0.loss) }) ?? true {
                best = (tried, found.score, found.loss, layer)
            }
        }
        guard let best else { return }
        parameters = best.parameters
        try context.note("the vector goes behind layer \(best.layer)")
    }

    /// How well parameters do on validation rows; without any, on some of the training rows.
    private static func score(_ parameters: ParameterSet, _ method: any Method, _ context: TrainingContext) throws -> (
        score: Double, loss: Double
    ) {
        if let validate = context.validate { return try validate(parameters) }
        let adapter = Adapter(
            method: method, task: context.task, labels: context.labels, parameters: parameters,
            encoding: context.encoding)
        let rows = Array(context.rows.prefix(mostRows))
        let losses = try Specialist(base: context.model, adapter: adapter).targetLosses(rows)
        let loss = losses.reduce(0) { $0 + $1.loss } / Double(max(1, losses.reduce(0) { $0 + $1.tokens }))
        return (-loss, loss)
    }

    /// The vector and its site.
    private static func found(_ parameters: ParameterSet) -> (site: String, vector: Tensor)? {
        parameters.all.first { $0.name.hasSuffix(suffix) }.map { (String($0.name.dropLast(suffix.count)), $0.tensor) }
    }

    /// A change of the state at the last token of each prompt.
    static func attachments(_ parameters: ParameterSet, _ change: @escaping (Tensor, Tensor) throws -> Tensor) throws
        -> Attachments
    {
        guard let (site, vector) = found(parameters) else { return Attachments() }
        var attachments = Attachments()
        attachments.states[site] = [
            PromptEndEdit { own in try change(own.to(.float32), vector.unsqueezed(0)).to(own.dtype) }
        ]
        return attachments
    }

    /// Where the vector goes.
    static func figures(_ parameters: ParameterSet) -> [MethodFigure] {
        guard let (site, vector) = found(parameters), let length = try? vector.norm().item() else { return [] }
        return [
            MethodFigure(
                "The vector",
                .sentences([
                    "A vector of length \(format3(length)) acts behind \(site), at the last token of the prompt."
                ]))
        ]
    }

    static func write(_ parameters: ParameterSet, to folder: AdapterFolderWriter) throws {
        try folder.writeTensors(
            parameters.all.filter { $0.group == .state }.map { ($0.name, $0.tensor) }, file: "weights.safetensors")
    }

    static func read(_ folder: AdapterFolderReader, into parameters: inout ParameterSet, for model: BaseModel) throws {
        let width = model.configuration.width
        let names = (0..<model.configuration.layerCount).map(name)
        guard let own = folder.tensorNames.first(where: names.contains) else {
            throw HoneError(.badFile, "holds no vector for a layer of this model", file: folder.tensorFile)
        }
        parameters.set(own, try folder.tensor(own, shape: [width]).to(model.transformer.device), group: .state)
    }
}
