import HoneFormats
import HoneModels
import HoneTorch

/// Writes the parts of an adapter folder.
///
/// Methods that PEFT has become `adapter_config.json` and `adapter_model.safetensors`; others `weights.safetensors` with
/// Hugging Face's names. Beside them lie `hone.json` (method, settings, base) and, for classification,
/// `head.safetensors`.
public struct AdapterFolderWriter {
    /// The folder, which exists already.
    public let path: String

    /// A writer into a folder that exists.
    public init(path: String) { self.path = path }

    /// Writes tensors in the order of the file format.
    public func writeTensors(_ tensors: [(name: String, tensor: Tensor)], file: String) throws {
        try TensorFiles.write(tensors, metadata: ["format": "pt"], to: path + "/" + file)
    }

    /// Writes what a method trained into a file of Hone's own.
    func write(_ parameters: ParameterSet) throws {
        let own = parameters.all.filter { $0.group != .head }
        try writeTensors(own.map { ($0.name, try $0.tensor.detached()) }, file: "weights.safetensors")
    }

    /// Writes a PEFT configuration and its tensors; base model and task are filled in.
    func writePEFT(
        _ method: AdapterConfiguration.Method, tensors: [(name: String, tensor: Tensor)], model: BaseModel,
        task: TaskShape
    ) throws {
        let writer: AdapterConfiguration.TaskType =
            model.configuration.decoder == nil ? .causalLanguageModel : .sequenceToSequence
        let generates = task == .generation && model.configuration.hasLanguageHead
        let configuration = AdapterConfiguration(
            method: method, taskType: generates ? writer : .featureExtraction,
            baseModel: model.location.repository ?? model.folder)
        try configuration.write(folder: path)
        try writeTensors(tensors, file: AdapterConfiguration.weightsFileName)
    }
}

/// Reads the parts of an adapter folder, whoever wrote it.
public struct AdapterFolderReader {
    /// The folder.
    public let path: String
    /// `hone.json`, where Hone wrote the folder.
    public let description: JSON?
    /// The file that holds the method's tensors.
    public let tensorFile: String
    private let tensors: SafetensorsFile?

    /// Opens a folder.
    ///
    /// - Throws: `HoneError` for a folder that holds no adapter, or one as pickle.
    public init(path: String) throws {
        self.path = path
        guard FileStatus.isFolder(path) else {
            throw HoneError(.fileSystem, "there is no such adapter folder", file: path)
        }
        // Not `? :` with `nil`, which would be taken for JSON's own null.
        if FileStatus.exists(path + "/hone.json") {
            description = try JSON.read(file: path + "/hone.json")
        } else {
            description = Optional<JSON>.none
        }
        let isPEFT = FileStatus.exists(path + "/adapter_config.json")
        tensorFile = path + (isPEFT ? "/adapter_model.safetensors" : "/weights.safetensors")
        if FileStatus.exists(tensorFile) {
            tensors = try SafetensorsFile(path: tensorFile)
        } else if isPEFT {
            let pickle = FileStatus.exists(path + "/adapter_model.bin")
            throw HoneError(
                .badFile,
                pickle
                    ? "has its tensors only as pickle (adapter_model.bin), which can run code; load it with PEFT and save it "
                        + "again as safetensors" : "adapter_model.safetensors is missing", file: path)
        } else {
            tensors = nil
            guard description != nil else {
                throw HoneError(
                    .badFile, "holds neither adapter_config.json nor hone.json; a run has its adapter in `adapter`",
                    file: path)
            }
        }
    }

    /// The names of the method's tensors.
    public var tensorNames: [String] { tensors?.entries.map(\.name) ?? [] }

    /// One of the method's tensors, mapped from the file.
    ///
    /// - Throws: `HoneError` that names a tensor which is missing or not finite.
    public func tensor(_ name: String) throws -> Tensor {
        guard let tensors else { throw HoneError(.badFile, "the tensors are missing", file: tensorFile, item: name) }
        let tensor = try TensorFiles.tensor(name, in: tensors)
        guard tensor.dtype.isFloatingPoint else {
            throw HoneError(.badFile, "holds no floating-point numbers", file: tensorFile, item: name)
        }
        guard try tensor.isFinite().all().item() == 1 else {
            throw HoneError(.notFinite, "holds numbers that are not finite", file: tensorFile, item: name)
        }
        return tensor
    }

    /// Whether a PEFT tensor is a task head saved beside the adapter.
    func isHead(_ name: String) -> Bool {
        name.hasPrefix("base_model.model.classifier.") || name.hasPrefix("base_model.model.score.")
    }

    /// Tensors of the folder by their names and shapes, in this order, and nothing beside them.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the first tensor that is missing, too many or misshapen.
    func parameters(_ shapes: [(name: String, shape: [Int])], on device: Device) throws -> ParameterSet {
        let known = Set(shapes.map(\.name))
        for name in tensorNames where !known.contains(name) {
            throw HoneError(.mismatch, "the method has no such tensor on this base", file: tensorFile, item: name)
        }
        var parameters = ParameterSet()
        for (name, shape) in shapes {
            let tensor = try tensor(name).to(.float32).to(device).cloned()
            guard tensor.shape == shape else {
                throw HoneError(
                    .mismatch, "has shape \(tensor.shape), the base needs \(shape)", file: tensorFile, item: name)
            }
            parameters.set(name, tensor)
        }
        return parameters
    }

    /// Whether the folder is in PEFT's format.
    var isPEFT: Bool { tensorFile.hasSuffix(AdapterConfiguration.weightsFileName) }

    /// The PEFT configuration, which must be of a type.
    func peftConfiguration(_ type: String) throws -> AdapterConfiguration.Method {
        let file = path + "/adapter_config.json"
        let configuration = try AdapterConfiguration.read(folder: path)
        guard configuration.method.peftType == type else {
            throw HoneError(.mismatch, "is of type \(configuration.method.peftType), not \(type)", file: file)
        }
        return configuration.method
    }

    /// The settings that `hone.json` remembers.
    func settings(_ card: MethodCard) throws -> MethodSettings {
        try settings(card, description?["settings"] ?? .null, file: path + "/hone.json")
    }

    /// Settings that a file of the folder asks for; what is out of bounds is the file's fault, not that of an option.
    func settings(_ card: MethodCard, _ json: JSON, file: String) throws -> MethodSettings {
        do {
            return try MethodSettings(card, json: json)
        } catch let error as HoneError {
            throw HoneError(.badFile, error.message, file: file, item: error.item)
        }
    }

    /// Refuses a base model other than the one that the folder remembers; PEFT's folders remember none.
    ///
    /// - Throws: `HoneError` with code `.mismatch`.
    public func checkBase(_ model: BaseModel) throws {
        guard let expected = description?["base"]?["sha256"]?.string else { return }
        let found = try model.fingerprint
        guard expected != found else { return }
        throw HoneError(
            .mismatch,
            "this adapter was made for another base model (weights \(expected.prefix(12))…, not "
                + "\(found.prefix(12))…)", file: path)
    }

    /// The method that wrote the folder: as `hone.json` says, or by PEFT's type.
    ///
    /// - Throws: `HoneError` with code `.unsupported` for a PEFT type that Hone does not have.
    public func method() throws -> any Method.Type {
        if let description {
            guard let name = description["method"]?.string else {
                throw HoneError(
                    .badFile, "the field is missing or wrong", file: path + "/hone.json", item: "method")
            }
            do {
                return try Methods.named(name)
            } catch let error as HoneError {
                throw HoneError(.unsupported, error.message, file: path + "/hone.json", item: error.item)
            }
        }
        let file = path + "/adapter_config.json"
        let json = try JSON.read(file: file)
        guard let type = json["peft_type"]?.string else {
            throw HoneError(.badFile, "the field is missing", file: file, item: "peft_type")
        }
        guard let method = Methods.all.first(where: { $0.card.peftType == type }) else {
            let known = Methods.all.compactMap { $0.card.peftType }.joined(separator: ", ")
            throw HoneError(
                .unsupported, "adapters of type \(type) are not supported; supported are \(known)", file: file)
        }
        return method
    }
}
