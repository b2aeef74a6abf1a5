import Foundation
import HoneFormats
import HoneModels
import HoneTorch

/// A graft as a file: safetensors with two tensors a weight, `NAME.indices` (`int64`) and `NAME.values` (`float32`), under
/// Hugging Face's names and as places in the flattened tensor of the model's own file; the task's head beside them. So
/// `state[name].view(-1)[indices] = values` is all that another program needs.
///
/// The texts of the file's header hold how many coordinates there are to choose from, the hash of the base at the
/// coordinates, and what was measured.
public struct GraftFile {
    /// The graft.
    public var graft: Graft
    /// The head of a classifier, which was frozen while the model was tuned; empty where the task has none.
    public var head: ParameterSet
    /// The names of the classes, or the answers that a generator chooses among.
    public var labels: [String]
    /// What was measured when it was made.
    public var scores: JSON
    /// The base model's folder as it was when the graft was made.
    public var model: String?

    /// A graft with what belongs to it.
    public init(_ graft: Graft, head: ParameterSet = ParameterSet(), labels: [String] = [], scores: JSON = .null) {
        self.graft = graft
        self.head = head
        self.labels = labels
        self.scores = scores
    }

    private static let indices = ".indices"
    private static let values = ".values"

    /// Writes the file, atomically.
    public func write(to path: String, for model: BaseModel) throws {
        var tensors = try GraftFile.tensors(graft, for: model)
        tensors += head.all.map { ($0.name, $0.tensor) }
        try TensorFiles.write(tensors, metadata: metadata(model), to: path)
    }

    /// The tensors of a graft under the names and in the layout of a model's own files.
    static func tensors(_ graft: Graft, for model: BaseModel) throws -> [(name: String, tensor: Tensor)] {
        let names = Dictionary(
            uniqueKeysWithValues: model.family.weightNames(model.configuration).map { ($0.name, $0) })
        return try withoutGradients {
            try graft.parts.flatMap { part -> [(name: String, tensor: Tensor)] in
                guard let name = names[part.name] else { return [] }
                let (indices, values) = try moved(
                    part.indices.to(.cpu), part.values.detached().to(.cpu), shape: part.shape, name.toFile)
                return [(name.source + GraftFile.indices, indices), (name.source + GraftFile.values, values)]
            }
        }
    }

    /// Coordinates and values in another layout of the same weight.
    private static func moved(
        _ indices: Tensor, _ values: Tensor, shape: [Int], _ layout: (Tensor) throws -> Tensor
    ) throws -> (indices: Tensor, values: Tensor) {
        let count = shape.reduce(1, *)
        let taken = try Tensor.zeros([count], .bool)
        try taken.copyInPlace(Tensor.full([indices.count], 1, .bool), at: indices)
        let whole = try Tensor.zeros([count]).scattering(values, at: indices, dimension: 0)
        let places = try layout(taken.reshaped(shape)).contiguous().reshaped([-1]).nonZero().reshaped([-1])
        return (places, try layout(whole.reshaped(shape)).contiguous().reshaped([-1]).selecting(places))
    }

    func metadata(_ model: BaseModel) -> [String: String] {
        var json = JSONObject()
        json["version"] = 1
        json["model"] = .string(model.folder)
        json["k"] = .integer(graft.count)
        json["n"] = .integer(graft.selected)
        if let base = graft.base {
            json["base_sha256"] = .string(base.hash)
            json["base_dtype"] = .string(base.dtype.safetensorsType.rawValue)
        }
        json["labels"] = .array(labels.map { .string($0) })
        if !scores.isNull { json["scores"] = scores }
        return ["format": "pt", "graft": JSON.object(json).text()]
    }

    /// Where the graft of a path is: the file itself, or that of an adapter or run folder.
    public static func file(_ path: String) throws -> String {
        guard FileStatus.isFolder(path) else { return path }
        for inner in ["/weights.safetensors", "/adapter/weights.safetensors"] where FileStatus.exists(path + inner) {
            return path + inner
        }
        throw HoneError(.usage, "holds no graft", file: path)
    }

    /// Reads a file, for the model that it is to be put into.
    ///
    /// - Throws: `HoneError`: `.badFile` or `.notFinite` for a damaged file, `.mismatch` for another base.
    public static func read(_ path: String, for model: BaseModel) throws -> GraftFile {
        let folder = path
        let path = try file(path)
        var found = try contents(path, layouts: model)
        do {
            try found.graft.check(model.transformer)
        } catch let error as HoneError {
            throw error.inFile(path)
        }
        let starts = Dictionary(
            uniqueKeysWithValues: model.configuration.weightShapes.enumerated().map { ($1.name, $0) })
        found.graft.parts.sort { starts[$0.name, default: 0] < starts[$1.name, default: 0] }
        if folder != path {
            // An adapter folder keeps its head in a file of its own.
            let adapter = try Adapter.read((path as NSString).deletingLastPathComponent, for: model)
            found.labels = adapter.labels
            for parameter in adapter.parameters.all where parameter.group == .head {
                found.head.set(parameter.name, parameter.tensor, group: .head)
            }
        }
        found.head = try moved(found.head, to: model)
        return found
    }

    /// The head and the labels of a file, for a model that may hold other values than the graft's base did: one that has learned
    /// another task since, for example. The coordinates are left out.
    ///
    /// - Throws: `HoneError`: `.badFile` for a damaged file, `.mismatch` where the head is for states of another width.
    public static func readHead(_ path: String, for model: BaseModel) throws -> GraftFile {
        guard !FileStatus.isFolder(path) else { return try read(path, for: model) }
        var found = try contents(path, layouts: nil)
        try check(found.head, for: model, file: path)
        found.head = try moved(found.head, to: model)
        found.graft.parts = []
        return found
    }

    private static func check(_ head: ParameterSet, for model: BaseModel, file: String) throws {
        let width = model.configuration.width
        guard let weight = head[ClassificationHead.weight], weight.shape.last != width else { return }
        throw HoneError(
            .mismatch, "reads states of \(weight.shape.last ?? 0) numbers; the model's have \(width)", file: file,
            item: ClassificationHead.weight)
    }

    private static func moved(_ head: ParameterSet, to model: BaseModel) throws -> ParameterSet {
        var moved = ParameterSet()
        for parameter in head.all {
            moved.set(parameter.name, try parameter.tensor.to(model.transformer.device), group: .head)
        }
        return moved
    }

    /// Reads a file without a model, for what needs none: names and places are those of the model's own file.
    public static func read(_ path: String) throws -> GraftFile { try contents(file(path), layouts: nil) }

    private static func contents(_ path: String, layouts model: BaseModel?) throws -> GraftFile {
        let file = try SafetensorsFile(path: path)
        func damaged(_ sentence: String, _ item: String? = nil) -> HoneError {
            HoneError(.badFile, sentence, file: path, item: item)
        }
        var tensors: [String: Tensor] = [:]
        for entry in file.entries {
            let tensor = try TensorFiles.tensor(entry.name, in: file).cloned()
            guard try !tensor.dtype.isFloatingPoint || tensor.isFinite().all().item() == 1 else {
                throw HoneError(.notFinite, "holds numbers that are not finite", file: path, item: entry.name)
            }
            tensors[entry.name] = tensor
        }
        guard let text = file.metadata["graft"] else { throw damaged("is no graft: its header does not say so") }
        let json = try JSON.parse(text, file: path)
        guard let version = json["version"]?.integer, let count = json["k"]?.integer, let total = json["n"]?.integer,
            count >= 0, total >= count
        else { throw damaged("the header's description of the graft is not whole", "graft") }
        guard version <= 1 else {
            throw HoneError(.unsupported, "was written by a newer version of Hone (format \(version))", file: path)
        }
        var base: Graft.Base?
        if let hash = json["base_sha256"]?.string, let type = json["base_dtype"]?.string.flatMap(SafetensorsType.init) {
            base = Graft.Base(hash: hash, dtype: DType(type))
        }
        let names = model.map { model in
            Dictionary(uniqueKeysWithValues: model.family.weightNames(model.configuration).map { ($0.source, $0) })
        }
        let shapes = model.map { model in
            Dictionary(uniqueKeysWithValues: model.configuration.weightShapes.map { ($0.name, $0.shape) })
        }
        var parts: [Graft.Part] = []
        var head = ParameterSet()
        for entry in file.entries where !entry.name.hasSuffix(values) {
            guard let tensor = tensors[entry.name] else { continue }
            if [ClassificationHead.weight, ClassificationHead.bias, ClassificationHead.scale].contains(entry.name) {
                head.set(entry.name, try tensor.to(.float32), group: .head)
                continue
            }
            guard entry.name.hasSuffix(indices) else { throw damaged("does not belong to a graft", entry.name) }
            let source = String(entry.name.dropLast(indices.count))
            guard let own = tensors[source + values], own.shape == tensor.shape, tensor.rank == 1,
                tensor.dtype == .int64, own.dtype == .float32, tensor.count > 0
            else { throw damaged("coordinates and values do not go together", source) }
            let places = try tensor.elements(Int.self)
            guard places[0] >= 0, zip(places, places.dropFirst()).allSatisfy({ $0 < $1 }) else {
                throw HoneError(
                    .badFile, "coordinates do not rise, or lie below 0", file: path, item: source)
            }
            var part = Graft.Part(name: source, shape: [], indices: tensor, values: own)
            if let model, let names, let shapes {
                guard let name = names[source], let shape = shapes[name.name] else {
                    throw HoneError(
                        .mismatch, "the base model has no such weight; this graft is for another base", file: path,
                        item: source)
                }
                part = try inPlace(part, name, shape, last: places.last ?? 0, file: path)
                part.indices = try part.indices.to(model.transformer.device)
                part.values = try part.values.to(model.transformer.device)
            }
            parts.append(part)
        }
        guard parts.reduce(0, { $0 + $1.indices.count }) == count else {
            throw damaged("does not hold the \(count) coordinates that its header tells of")
        }
        let labels = json["labels"]?.array?.compactMap(\.string) ?? []
        if !head.all.isEmpty {
            let weight = head[ClassificationHead.weight]?.shape ?? []
            guard weight.count == 2, weight[0] == labels.count, weight[1] > 0,
                head[ClassificationHead.bias].map({ $0.shape == [labels.count] }) ?? true,
                head[ClassificationHead.scale].map({ $0.count == 1 }) ?? true
            else { throw damaged("the head is not one for the \(labels.count) labels", ClassificationHead.weight) }
            if let model { try check(head, for: model, file: path) }
        }
        var found = GraftFile(
            Graft(parts: parts, selected: total, base: base), head: head, labels: labels,
            scores: json["scores"] ?? .null)
        found.model = json["model"]?.string
        return found
    }

    /// A part in Hone's layout, its coordinates checked against the weight.
    private static func inPlace(
        _ part: Graft.Part, _ name: WeightName, _ shape: [Int], last: Int, file: String
    ) throws -> Graft.Part {
        guard last < shape.reduce(1, *) else {
            throw HoneError(
                .mismatch, "coordinates lie outside the base's \(shape); this graft is for another base", file: file,
                item: part.name)
        }
        let stored = try name.toFile(Tensor.empty(shape)).shape
        let (indices, values) = try moved(part.indices, part.values, shape: stored, name.fromFile)
        return Graft.Part(name: name.name, shape: shape, indices: indices, values: values)
    }
}

extension GraftFile {
    /// Writes the base model's folder with the graft in place; a classifier's head lies beside it as `Specialist.export` leaves it.
    ///
    /// - Throws: `HoneError` where nothing may be written there.
    public func apply(to base: BaseModel, at path: String) throws {
        let weights = try withoutGradients { try graft.weights(base.transformer) }
        try base.write(to: path, replacing: weights) { folder in
            try ExportedHead.write(head.all, labels: labels, pooling: base.pooling, to: folder)
        }
    }
}
