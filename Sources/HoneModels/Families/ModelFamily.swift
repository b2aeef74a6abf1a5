import HoneFormats
import HoneTorch

/// How one weight is called, and lies, in a Hugging Face model.
public struct WeightName: Hashable, Sendable {
    /// Hone's name, such as `layers.0.attention.query.weight`.
    public var name: String
    /// Hugging Face's name without the prefix of a task model, such as `encoder.layer.0.attention.self.query.weight`.
    public var source: String
    /// Whether the file holds `[inputs, outputs]`.
    public var isTransposed = false
    /// Whether the file holds it behind one more dimension of length one.
    public var isBatched = false
    /// Whether a file may lack it; it is zero then.
    public var isOptional = false

    /// What a file holds, as Hone has it.
    public func fromFile(_ tensor: Tensor) throws -> Tensor {
        if isTransposed, tensor.rank == 2 { return try tensor.transpose(0, 1).contiguous() }
        if isBatched, tensor.rank > 1, tensor.size(0) == 1 { return try tensor.squeezed(0) }
        return tensor
    }

    /// What Hone has, as a file holds it.
    public func toFile(_ tensor: Tensor) throws -> Tensor {
        if isTransposed, tensor.rank == 2 { return try tensor.transpose(0, 1).contiguous() }
        return isBatched ? try tensor.unsqueezed(0) : tensor
    }
}

/// A family of models: how its Hugging Face config and weight names map onto the one transformer.
///
/// Adding a family is one file with one conforming type, its fixture, and one entry in `ModelFamilies.all`.
public protocol ModelFamily: Sendable {
    /// The values of `model_type` that the family reads.
    static var modelTypes: [String] { get }
    /// What stands before the weight names of task models (`bert.`); it is taken off where it is there.
    static var prefix: String { get }
    /// Whether PEFT's names of modules carry the prefix, as they do where the task model is the model itself.
    static var prefixesAdapters: Bool { get }
    /// Reads a config.
    ///
    /// - Throws: `HoneError` that names a field which is missing, out of bounds or asks for something not supported.
    static func configuration(_ config: ConfigReader) throws -> TransformerConfiguration
    /// The names of all weights of a configuration.
    static func weightNames(_ configuration: TransformerConfiguration) -> [WeightName]
    /// What PEFT calls the module whose weights a file has under this name; the same, where nothing else is said.
    static func module(ofFile name: String) -> String
    /// Whether a weight of the file is rightly left unused: buffers, poolers, heads of other tasks.
    static func ignores(_ source: String) -> Bool
}

/// The families that Hone reads.
public enum ModelFamilies {
    /// Every family; a new one is added here.
    public static let all: [any ModelFamily.Type] = [
        BART.self, BERT.self, DeiT.self, DistilBERT.self, GPT2.self, GPTNeoX.self, Llama.self, Mistral.self, MPNet.self,
        OPT.self, Qwen2.self, Qwen3.self, RoBERTa.self, T5.self, ViT.self,
    ]

    /// The family of a `model_type`.
    ///
    /// - Throws: `HoneError` with code `.unsupported` that lists what is supported.
    public static func family(_ modelType: String) throws -> any ModelFamily.Type {
        guard let family = all.first(where: { $0.modelTypes.contains(modelType) }) else {
            let known = all.flatMap { $0.modelTypes }.joined(separator: ", ")
            throw HoneError(.unsupported, "`\(modelType)` is not supported; supported are \(known)", item: "model_type")
        }
        return family
    }
}

extension ModelFamily {
    /// The name of the file.
    public static func module(ofFile name: String) -> String { name }

    /// The linear maps of the transformer with PEFT's names for them, and the names that files have.
    public static func modules(_ configuration: TransformerConfiguration) -> [PEFTModule] {
        let linear = Set(configuration.linearSites.map(\.path))
        return modules(configuration) { linear.contains($0) }
    }

    /// The norms of the transformer in the same way, in the order of the weights.
    public static func modulesOfNorms(_ configuration: TransformerConfiguration) -> [PEFTModule] {
        modules(configuration) { $0 == "norm" || $0.hasSuffix(".norm") }
    }

    private static func modules(
        _ configuration: TransformerConfiguration, where wanted: (String) -> Bool
    ) -> [PEFTModule] {
        weightNames(configuration).compactMap { weight in
            guard weight.name.hasSuffix(".weight"), weight.source.hasSuffix(".weight") else { return nil }
            let site = String(weight.name.dropLast(7))
            guard wanted(site) else { return nil }
            let file = String(weight.source.dropLast(7))
            let prefix = prefixesAdapters ? prefix : ""
            return (site, prefix + module(ofFile: file), prefix + file)
        }
    }
}

/// A module of a model: Hone's path of it, PEFT's name, and the name that files have.
public typealias PEFTModule = (site: String, module: String, file: String)
