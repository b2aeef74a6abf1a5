import Foundation
import HoneFormats
import HoneTorch

extension TransformerConfiguration {
    /// Whether attention's output projections have biases, or can be given some in the family's own format.
    public var canHoldOutputBiases: Bool { attentionOutputBias || mayHaveAttentionBiases }

    /// The same configuration with biases of attention's maps, where weights of these names need them and the family has a word
    /// for them in `config.json`.
    public func holding(_ names: some Sequence<String>) -> TransformerConfiguration {
        guard mayHaveAttentionBiases, !attentionOutputBias,
            names.contains(where: { $0.hasSuffix("attention.output.bias") })
        else { return self }
        var grown = self
        grown.attentionInputBias = true
        grown.attentionOutputBias = true
        return grown
    }

    /// Weights that a folded adapter needs and the model lacks: biases of attention's other maps, which come with those of the
    /// output projections and are zero.
    public func completing(_ weights: [String: Tensor]) throws -> [String: Tensor] {
        let own = Set(weightShapes.map(\.name))
        var all = weights
        for (name, shape) in holding(weights.keys).weightShapes where !own.contains(name) && all[name] == nil {
            all[name] = try Tensor.zeros(shape)
        }
        return all
    }
}

extension BaseModel {
    /// New weights that the model's files do not have and a grown configuration does, by Hone's names.
    func grownWeights(_ weights: [String: Tensor], besides file: SafetensorsFile) throws -> [(
        name: String, tensor: SafetensorsTensor
    )] {
        let own = Set(configuration.weightShapes.map(\.name))
        let grown = configuration.holding(weights.keys)
        // Beside their kind: with or without the prefix of task models, in the files' type.
        let sample = file.entries.first { $0.name.contains("layers.") }
        let prefix = sample.map { $0.name.hasPrefix(family.prefix) } ?? true ? family.prefix : ""
        let dtype = DType(sample?.dtype ?? .float32)
        return try family.weightNames(grown).compactMap { name in
            guard !own.contains(name.name), let new = weights[name.name] else { return nil }
            let plain = try withoutGradients {
                try name.toFile(new.detached().to(.cpu).to(dtype)).contiguous()
            }
            let tensor = SafetensorsTensor(
                name: prefix + name.source, dtype: sample?.dtype ?? .float32, shape: plain.shape
            ) { sink in try plain.withBytes(sink) }
            return (name.name, tensor)
        }
    }

    /// Says in a written folder that attention's maps have biases, and where they are.
    func declareAttentionBiases(_ names: [String], in file: String, of folder: String) throws {
        let config = folder + "/config.json"
        guard var object = try JSON.read(file: config).object else { return }
        object["attention_bias"] = true
        try AtomicFile.write(JSON.object(object).text(pretty: true) + "\n", to: config)
        let index = folder + "/model.safetensors.index.json"
        guard FileStatus.exists(index), var whole = try JSON.read(file: index).object,
            var map = whole["weight_map"]?.object
        else { return }
        for name in names { map[name] = .string((file as NSString).lastPathComponent) }
        whole["weight_map"] = .object(map)
        try AtomicFile.write(JSON.object(whole).text(pretty: true) + "\n", to: index)
    }
}
