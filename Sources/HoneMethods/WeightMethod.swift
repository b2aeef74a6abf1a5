import HoneFormats
import HoneModels
import HoneTorch

/// A method that trains copies of some of the model's own weights and nothing else: all that it says is which.
public protocol WeightTraining: Method {
    /// Whether a weight of a model, by Hone's name, is trained.
    func trains(_ name: String, of model: TransformerConfiguration) -> Bool
}

extension WeightTraining {
    /// Copies of the weights.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        try WeightMethod.initialParameters(for: model) { trains($0, of: model.configuration) }
    }

    /// The trained weights in place of the base's.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        WeightMethod.attachments(parameters)
    }

    /// The trained weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try WeightMethod.merged(parameters, model: model)
    }

    /// Writes the weights under their Hugging Face names.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try WeightMethod.write(parameters, for: model, to: folder)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: Self, parameters: ParameterSet)
    {
        let method = try Self(folder.settings(card))
        let parameters = try WeightMethod.read(folder, for: model) { method.trains($0, of: model.configuration) }
        return (method, parameters)
    }
}

/// What methods share that train copies of the model's own weights.
enum WeightMethod {
    /// `float32` copies of the weights whose names are wanted.
    static func initialParameters(for model: BaseModel, where wanted: (String) -> Bool) throws -> ParameterSet {
        var parameters = ParameterSet()
        for (name, _) in model.configuration.weightShapes where wanted(name) {
            guard let weight = model.transformer.weights[name] else { continue }
            parameters.set(name, try weight.to(.float32).cloned())
        }
        return parameters
    }

    static func attachments(_ parameters: ParameterSet) -> Attachments {
        var attachments = Attachments()
        for parameter in parameters.all where parameter.group == .adapter {
            attachments.weights[parameter.name] = parameter.tensor
        }
        return attachments
    }

    static func merged(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor] {
        try withoutGradients {
            var merged: [String: Tensor] = [:]
            for parameter in parameters.all where parameter.group == .adapter {
                merged[parameter.name] = try parameter.tensor.detached().to(model.dtype)
            }
            return merged
        }
    }

    static func write(_ parameters: ParameterSet, for model: BaseModel, to folder: AdapterFolderWriter) throws {
        let names = Dictionary(
            uniqueKeysWithValues: model.family.weightNames(model.configuration).map { ($0.name, $0) })
        var tensors: [(name: String, tensor: Tensor)] = []
        for parameter in parameters.all where parameter.group == .adapter {
            guard let name = names[parameter.name] else { continue }
            tensors.append((name.source, try name.toFile(parameter.tensor.detached())))
        }
        try folder.writeTensors(tensors, file: "weights.safetensors")
    }

    /// Reads what `write` has written.
    ///
    /// - Parameter wanted: the weights that the method trains; one that is not in the file is named and refused.
    static func read(_ folder: AdapterFolderReader, for model: BaseModel, where wanted: (String) -> Bool) throws
        -> ParameterSet
    {
        let names = Dictionary(
            uniqueKeysWithValues: model.family.weightNames(model.configuration).map { ($0.source, $0) })
        let shapes = Dictionary(uniqueKeysWithValues: model.configuration.weightShapes.map { ($0.name, $0.shape) })
        var found: [String: Tensor] = [:]
        for source in folder.tensorNames {
            guard let name = names[source] else {
                throw HoneError(
                    .mismatch, "the base model has no such weight; this adapter is for another base",
                    file: folder.tensorFile, item: source)
            }
            let tensor = try name.fromFile(folder.tensor(source))
            guard tensor.shape == shapes[name.name] else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit the base's \(shapes[name.name] ?? [])",
                    file: folder.tensorFile, item: source)
            }
            found[name.name] = try tensor.to(.float32).to(model.transformer.device).contiguous().cloned()
        }
        var parameters = ParameterSet()
        for (name, _) in model.configuration.weightShapes {
            if let tensor = found[name] {
                parameters.set(name, tensor)
            } else if wanted(name), !isReplacedHead(name, folder) {
                throw HoneError(
                    .mismatch, "the weight is missing; the file is not whole", file: folder.tensorFile, item: name)
            }
        }
        return parameters
    }

    /// Whether the classification head stands where the language-model head would be.
    private static func isReplacedHead(_ name: String, _ folder: AdapterFolderReader) -> Bool {
        name == ClassificationHead.weight && folder.description?["task"]?.string == "classification"
    }
}
