import HoneFormats
import HoneModels
import HoneTorch

/// (IA)³: what chosen linear maps give, or are given, is multiplied by trained vectors that start at one (Liu et al. 2022,
/// section 3.3).
///
/// Keys and values are scaled as they come out, `y ⊙ l` with `l [outputs, 1]`; the feed-forward sublayer's inner vector as it goes
/// into the last map, `W · (l ⊙ x) + b` with `l [1, inputs]`. The shape of a vector tells which it is, as in PEFT's files.
public struct IA3: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "ia3", title: "Scaled activations ((IA)³)",
        summary: "Multiplies keys, values and feed-forward activations by trained vectors; the base stays frozen.",
        advice:
            "A few vectors a layer: smaller than LoRA by a factor of ten, and merges at no cost. Made for few rows; with many, "
            + "LoRA reaches further.",
        paper: "Liu et al. 2022, arXiv 2205.05638", peftType: "IA3", training: .gradient, costRank: 3,
        learningRates: [1e-2, 3e-3, 3e-2],
        settings: [
            Setting(
                "targets", .words(["usual"]),
                "The maps to scale, by the ends of their names (key,value); `usual` for keys, values and mlp.down (one map of "
                    + "queries, keys and values where a model has one), `all` for every map of the layers."),
            Setting(
                "inputs", .words(["mlp.down"]),
                "Those of them whose input is scaled in place of their output, by the ends of their names."),
            LinearTargets.layersSetting,
        ])

    /// What `usual` stands for.
    private static let usual = [
        "attention.key", "attention.value", "attention.input", "crossAttention.key", "crossAttention.value", "mlp.down",
    ]
    private static let suffix = ".ia3_l"

    /// The values of the settings.
    public let settings: MethodSettings

    /// (IA)³ with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// The vectors' names and shapes for a model: `[outputs, 1]`, or `[1, inputs]` where the input is scaled.
    ///
    /// - Throws: `HoneError` with code `.mismatch` for maps or layers that the model does not have.
    func shapes(_ model: TransformerConfiguration) throws -> [(name: String, shape: [Int])] {
        let inputs = settings.words("inputs")
        return try LinearTargets.resolve(settings, in: model, for: IA3.card.name, usual: IA3.usual).map { target in
            let isInput = inputs.contains { LinearTargets.matches(target.path, $0) }
            return (target.path + IA3.suffix, isInput ? [1, target.inputs] : [target.outputs, 1])
        }
    }

    /// Refuses maps and layers that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws { _ = try shapes(model) }

    /// Ones.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        var parameters = ParameterSet()
        for (name, shape) in try shapes(model.configuration) {
            parameters.set(name, try Tensor.full(shape, 1, on: model.transformer.device))
        }
        return parameters
    }

    private static func sites(_ parameters: ParameterSet) -> [(path: String, scale: Scale)] {
        parameters.all.filter { $0.name.hasSuffix(suffix) }.map {
            (String($0.name.dropLast(suffix.count)), Scale(vector: $0.tensor))
        }
    }

    /// One vector a map.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        for (path, scale) in IA3.sites(parameters) { attachments.linear[path] = [scale] }
        return attachments
    }

    /// `diag(l) · W` and `l ⊙ b`, or `W · diag(l)`.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? {
        try withoutGradients {
            var merged: [String: Tensor] = [:]
            for (path, scale) in IA3.sites(parameters) {
                guard let weight = model.weights[path + ".weight"] else { continue }
                let (scaled, bias) = try scale.folded(weight, model.weights[path + ".bias"])
                merged[path + ".weight"] = scaled
                if let bias, !scale.isInput { merged[path + ".bias"] = bias }
            }
            return merged
        }
    }

    /// The product with a vector, of what comes out of a map or of what goes in.
    private struct Scale: LinearAttachment {
        let vector: Tensor
        var isInput: Bool { vector.size(0) == 1 && vector.size(1) != 1 }

        private func scaled(_ tensor: Tensor) throws -> Tensor {
            try tensor * vector.reshaped([-1]).to(tensor.dtype)
        }

        func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
            isInput ? output : try scaled(output)
        }

        var changesInput: Bool { isInput }
        func entering(_ input: Tensor) throws -> Tensor { isInput ? try scaled(input) : input }

        var actsOnTokens: Bool { true }
        var isDeterministic: Bool { true }

        func folded(_ weight: Tensor, _ bias: Tensor?) throws -> (weight: Tensor, bias: Tensor?) {
            let own = try vector.detached()
            let scaled = try (weight.to(.float32) * own).to(weight.dtype)
            guard let bias, !isInput else { return (scaled, bias) }
            return (scaled, try (bias.to(.float32) * own.reshaped([-1])).to(bias.dtype))
        }

        var isFoldable: Bool { true }
        func folded(into map: LinearMap) throws -> LinearMap? {
            let (weight, bias) = try folded(map.weight, map.bias)
            return map.replacing(weight: weight, bias: bias)
        }
    }
}

extension IA3 {
    /// Writes PEFT's `IA3` folder: modules by their full names, so that nothing else matches.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let modules = PEFTModules.names(of: model)
        var tensors: [(name: String, tensor: Tensor)] = []
        var (all, inner): ([String], [String]) = ([], [])
        for (path, scale) in IA3.sites(parameters) {
            guard let module = modules[path] else { continue }
            tensors.append(("base_model.model.\(module).ia3_l", scale.vector))
            all.append(module)
            if scale.isInput { inner.append(module) }
        }
        let configuration = IA3Configuration(
            targetModules: .names(all.sorted()), feedForwardModules: .names(inner.sorted()),
            isFanInFanOut: PEFTModules.areTransposed(in: model))
        try folder.writePEFT(.ia3(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `IA3` folder, whoever wrote it.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: IA3, parameters: ParameterSet)
    {
        guard case .ia3(let configuration) = try folder.peftConfiguration("IA3") else {
            preconditionFailure("the reader has checked the type")
        }
        try PEFTModules.refuseSaved(
            configuration.modulesToSave, file: folder.path + "/" + AdapterConfiguration.fileName)
        let sites = PEFTModules.sites(of: model)
        let shapes = Dictionary(
            uniqueKeysWithValues: LinearTargets.all(model.configuration).map { ($0.path, ($0.outputs, $0.inputs)) })
        var found = ParameterSet()
        for name in folder.tensorNames.sorted() where !folder.isHead(name) {
            guard name.hasSuffix(suffix) else {
                throw HoneError(.mismatch, "is no tensor of (IA)³", file: folder.tensorFile, item: name)
            }
            let module = String(name.dropLast(suffix.count))
            guard let site = sites[module], let (outputs, inputs) = shapes[site] else {
                if PEFTModules.isUnused(module, by: model) { continue }
                throw HoneError(
                    .mismatch, "the base model has no such module; this adapter is for another base",
                    file: folder.tensorFile, item: name)
            }
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).cloned()
            guard tensor.shape == [outputs, 1] || tensor.shape == [1, inputs] else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit the base's \(outputs) x \(inputs) matrix",
                    file: folder.tensorFile, item: name)
            }
            found.set(site + suffix, tensor)
        }
        guard !found.all.isEmpty else { throw HoneError(.badFile, "holds no vectors", file: folder.tensorFile) }
        try PEFTModules.checkComplete(configuration.targetModules, for: model, folder: folder) {
            found[$0 + suffix] != nil
        }
        // The order of training is that of the forward pass, not of the file.
        var ordered = ParameterSet()
        var (all, inner): ([JSON], [JSON]) = ([], [])
        for site in model.configuration.linearSites {
            guard let tensor = found[site.path + suffix] else { continue }
            ordered.set(site.path + suffix, tensor)
            all.append(.string(site.path))
            if Scale(vector: tensor).isInput { inner.append(.string(site.path)) }
        }
        let settings =
            folder.description != nil
            ? try folder.settings(card)
            : try folder.settings(card, ["targets": .array(all), "inputs": .array(inner)], file: folder.tensorFile)
        return (IA3(settings), ordered)
    }
}
