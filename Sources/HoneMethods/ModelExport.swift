import HoneFormats
import HoneModels
import HoneTorch

extension Specialist {
    /// Writes the specialist as a model folder of its own: the base's, with the adapter folded into its weights.
    ///
    /// A classifier's head, which no Hugging Face layout has in this form, lies beside it as `classification_head.safetensors`
    /// (`head.weight`, `head.bias`, and where it looks at directions `head.scale`; the labels are in its metadata): scores are
    /// those of the linear map of the pooled states.
    ///
    /// - Parameter path: where the folder shall be; nothing may be there yet, except an empty folder.
    /// - Throws: `HoneError` with code `.mismatch` for a method that cannot be folded into weights.
    public func export(to path: String) throws {
        let method = adapter.method
        guard let merged = try method.mergedWeights(adapter.parameters, model: base.transformer) else {
            throw HoneError(
                .mismatch, "what this method learns cannot be folded into the model's weights; use the run itself",
                item: method.name)
        }
        let head = adapter.parameters.all.filter { $0.group == .head }
        try base.write(to: path, replacing: merged) { folder in
            try ExportedHead.write(head, labels: adapter.labels, pooling: base.pooling, to: folder)
        }
    }
}

/// A classifier's head beside an exported model.
public enum ExportedHead {
    private static let fileName = "classification_head.safetensors"

    /// Writes a head into a model folder; nothing where there is none.
    static func write(_ head: [Parameter], labels: [String], pooling: BaseModel.Pooling, to folder: String) throws {
        guard !head.isEmpty else { return }
        let labels = JSON.array(labels.map { .string($0) }).text()
        try TensorFiles.write(
            head.map { ($0.name, $0.tensor) },
            metadata: ["format": "pt", "labels": labels, "pooling": pooling.rawValue], to: folder + "/" + fileName)
    }

    /// The head that a model folder has and its labels; both empty where it has none.
    ///
    /// - Throws: `HoneError` for a damaged file.
    public static func read(_ folder: String) throws -> (head: ParameterSet, labels: [String]) {
        let path = folder + "/" + fileName
        var head = ParameterSet()
        guard FileStatus.exists(path) else { return (head, []) }
        let file = try SafetensorsFile(path: path)
        for (name, tensor) in try TensorFiles.read(path) { head.set(name, tensor, group: .head) }
        let labels = try file.metadata["labels"].map { try JSON.parse($0, file: path) }
        return (head, labels?.array?.compactMap(\.string) ?? [])
    }
}
