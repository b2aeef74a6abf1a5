import HoneFormats
import HoneTorch

/// Reads the weights of a Hugging Face folder into Hone's names.
enum WeightLoader {
    /// All weights of a configuration.
    ///
    /// - Throws: `HoneError` that names the tensor which is missing, unused, misshapen or not finite.
    static func load(
        _ files: WeightFolder, family: any ModelFamily.Type, configuration: TransformerConfiguration, dtype: DType,
        device: Device
    ) throws -> [String: Tensor] {
        let folder = files.path
        // Task models put a prefix before the names of the model itself; both spellings are found.
        var sources: [String: String] = [:]
        for name in files.names {
            let bare = name.hasPrefix(family.prefix) ? String(name.dropFirst(family.prefix.count)) : name
            if let other = sources.updateValue(name, forKey: bare) {
                throw HoneError(.mismatch, "is there a second time as \(other)", file: folder, item: name)
            }
        }
        var weights: [String: Tensor] = [:]
        let shapes = Dictionary(uniqueKeysWithValues: configuration.weightShapes.map { ($0.name, $0.shape) })
        for weight in family.weightNames(configuration) {
            guard let source = sources.removeValue(forKey: weight.source), let file = files.file(of: source) else {
                if weight.isOptional, let shape = shapes[weight.name] {
                    weights[weight.name] = try Tensor.zeros(shape, dtype, on: device)
                    continue
                }
                throw HoneError(.mismatch, "the weight is missing", file: folder, item: weight.source)
            }
            var tensor = try TensorFiles.tensor(source, in: file)
            guard tensor.dtype.isFloatingPoint else {
                throw HoneError(
                    .unsupported, "weights of type \(tensor.dtype) are not supported", file: file.path, item: source)
            }
            tensor = try weight.fromFile(tensor)
            guard let shape = shapes[weight.name], tensor.shape == shape else {
                throw HoneError(
                    .mismatch, "has shape \(tensor.shape), the config asks for \(shapes[weight.name] ?? [])",
                    file: file.path, item: source)
            }
            weights[weight.name] = try tensor.to(dtype).to(device)
        }
        if let unused = sources.keys.sorted().first(where: { !family.ignores($0) }) {
            throw HoneError(
                .mismatch, "the config has no place for this weight (\(sources.count) such)", file: folder, item: unused
            )
        }
        try checkFinite(weights, folder: folder)
        return weights
    }

    /// One pass at memory speed: a weight that is not finite is named instead of surfacing as a strange loss.
    private static func checkFinite(_ weights: [String: Tensor], folder: String) throws {
        try withoutGradients {
            for name in weights.keys.sorted() {
                guard let tensor = weights[name] else { continue }
                // A sum is finite unless an element is not, or the sum overflows; only then is every element looked at.
                if try tensor.sum().to(.float64).item().isFinite { continue }
                if try tensor.isFinite().all().item() == 0 {
                    throw HoneError(.notFinite, "holds numbers that are not finite", file: folder, item: name)
                }
            }
        }
    }
}
