import Foundation
import HoneFormats
import HoneModels
import HoneTorch

/// Trains the weights and biases of the norms and nothing else (Zhao et al. 2023, section 3).
public struct LayerNormTuning: WeightTraining {
    /// What it is.
    public static let card = MethodCard(
        name: "layernorm", title: "LayerNorm tuning",
        summary: "Trains the norms of the model; every matrix stays frozen.",
        advice:
            "Very small, and fits models without biases, such as Llama, where BitFit does not. Where there is room for more "
            + "parameters, LoRA reaches further.",
        paper: "Zhao, Tu, Wei, Mei and Xie 2023, arXiv 2312.11420", peftType: "LN_TUNING", training: .gradient,
        costRank: 3, learningRates: [3e-3, 1e-3, 1e-2])

    private static let suffix = ".ln_tuning_layers"

    /// The values of the settings: none.
    public let settings: MethodSettings

    /// LayerNorm tuning with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// What belongs to a norm.
    public func trains(_ name: String, of model: TransformerConfiguration) -> Bool {
        name.split(separator: ".").dropLast().last == "norm"
    }

    /// Writes PEFT's `LN_TUNING` folder: modules by their full names, so that nothing else matches.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        var tensors: [(name: String, tensor: Tensor)] = []
        var targets: [String] = []
        for (norm, module, _) in model.family.modulesOfNorms(model.configuration)
        where parameters[norm + ".weight"] != nil {
            for part in ["weight", "bias"] {
                guard let tensor = parameters["\(norm).\(part)"] else { continue }
                tensors.append(("\(PEFTModules.wrapper)\(module)\(LayerNormTuning.suffix).\(part)", tensor))
            }
            targets.append(module)
        }
        try folder.writePEFT(
            .layerNormTuning(LayerNormTuningConfiguration(targetModules: .names(targets.sorted()))), tensors: tensors,
            model: model, task: task)
    }

    /// Reads PEFT's `LN_TUNING` folder, whoever wrote it.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: LayerNormTuning, parameters: ParameterSet)
    {
        guard case .layerNormTuning(let configuration) = try folder.peftConfiguration("LN_TUNING") else {
            preconditionFailure("the reader has checked the type")
        }
        try PEFTModules.refuseSaved(
            configuration.modulesToSave, file: folder.path + "/" + AdapterConfiguration.fileName)
        let modules = model.family.modulesOfNorms(model.configuration)
        let norms = PEFTModules.sites(of: model, among: modules)
        let shapes = Dictionary(uniqueKeysWithValues: model.configuration.weightShapes.map { ($0.name, $0.shape) })
        var found: [String: Tensor] = [:]
        for name in folder.tensorNames where !folder.isHead(name) {
            guard let place = name.range(of: suffix + ".", options: .backwards) else {
                throw HoneError(.mismatch, "is no tensor of LayerNorm tuning", file: folder.tensorFile, item: name)
            }
            guard let norm = norms[String(name[..<place.lowerBound])],
                let shape = shapes["\(norm).\(name[place.upperBound...])"]
            else {
                throw HoneError(
                    .mismatch, "the base model has no such norm; this adapter is for another base",
                    file: folder.tensorFile, item: name)
            }
            let tensor = try folder.tensor(name).to(.float32).to(model.transformer.device).cloned()
            guard tensor.shape == shape else {
                throw HoneError(
                    .mismatch, "shape \(tensor.shape) does not fit the base's \(shape)", file: folder.tensorFile,
                    item: name)
            }
            found["\(norm).\(name[place.upperBound...])"] = tensor
        }
        guard !found.isEmpty else { throw HoneError(.badFile, "holds no norms", file: folder.tensorFile) }
        try PEFTModules.checkComplete(configuration.targetModules, for: model, among: modules, folder: folder) {
            norm in
            ["\(norm).weight", "\(norm).bias"].allSatisfy { shapes[$0] == nil || found[$0] != nil }
        }
        // The order of training is that of the model, not of the file.
        var parameters = ParameterSet()
        for (name, _) in model.configuration.weightShapes {
            if let tensor = found[name] { parameters.set(name, tensor) }
        }
        return (try LayerNormTuning(folder.settings(card)), parameters)
    }
}
