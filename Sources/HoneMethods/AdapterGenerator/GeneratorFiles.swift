import Foundation
import HoneFormats
import HoneTorch

/// A generator on disk: `generator.json` (table of tensors, tasks), `generator.safetensors` (network, task vectors and tables of
/// statistics), and of each task a folder with what an adapter needs besides its tensors: `tasks/NAME/`.
extension AdapterGenerator {
    private static let description = "/generator.json"
    private static let tensorFile = "/generator.safetensors"

    /// Where what a task's adapters have besides their tensors is kept.
    public static func taskFolder(_ name: String, in folder: String) -> String { folder + "/tasks/" + name }

    /// Writes into a folder that exists.
    ///
    /// - Parameter companions: for each task an adapter folder whose configuration and head are kept.
    public func write(to folder: String, companions: [String: String]) throws {
        var tensors = network.tensors.map { (name: "network." + $0.name, tensor: $0.tensor) }
        tensors.append(("condition.mean", try Tensor(conditionMean)))
        if let outer {
            tensors.append(("outer.means", try Tensor(outer.means)))
            tensors.append(("outer.deviations", try Tensor(outer.deviations)))
        }
        for task in tasks {
            tensors.append(("task.\(task.name).vector", try Tensor(task.condition)))
            if scaling == .task || task.name == tasks.first?.name {
                tensors.append(("task.\(task.name).means", try Tensor(task.statistics.means)))
                tensors.append(("task.\(task.name).deviations", try Tensor(task.statistics.deviations)))
            }
        }
        for (name, source) in companions {
            let target = AdapterGenerator.taskFolder(name, in: folder)
            try AtomicFolder.makeWithParents(target)
            for file in ["adapter_config.json", "hone.json", "head.safetensors"]
            where FileStatus.exists(source + "/" + file) {
                try AtomicFile.write(Data(FileBytes.read(source + "/" + file)), to: target + "/" + file)
            }
        }
        try TensorFiles.write(tensors, metadata: ["format": "pt"], to: folder + AdapterGenerator.tensorFile)
        try AtomicFile.write(json.text(pretty: true) + "\n", to: folder + AdapterGenerator.description)
    }

    private var json: JSON {
        [
            "version": 1, "length": .integer(layout.count), "padded": .integer(network.shape.padded),
            "latent": .integer(network.shape.latent), "condition": .integer(network.shape.condition),
            "stages": .integer(network.shape.stages), "parameters": .integer(network.shape.parameterCount),
            "scaling": .string(scaling.rawValue), "condition_scale": .number(conditionScale),
            "tensors": layout.json,
            "tasks": .array(
                tasks.map { task in
                    [
                        "name": .string(task.name), "adapters": .integer(task.adapters), "spread": .number(task.spread),
                    ]
                }),
        ]
    }

    /// Reads a folder.
    ///
    /// - Throws: `HoneError` for a folder that is none, or damaged.
    public static func read(_ folder: String) throws -> AdapterGenerator {
        let file = folder + description
        guard FileStatus.isFolder(folder) else {
            throw HoneError(.usage, "there is no such generator folder", file: folder)
        }
        let json = try JSON.read(file: file)
        func integer(_ field: String) throws -> Int {
            guard let value = json[field]?.integer, (1...1 << 32).contains(value) else {
                throw HoneError(.badFile, "the field is missing or wrong", file: file, item: field)
            }
            return value
        }
        guard try integer("version") <= 1 else {
            throw HoneError(.unsupported, "was written by a newer version of Hone", file: file)
        }
        guard let scaling = json["scaling"]?.string.flatMap(Scaling.init), let scale = json["condition_scale"]?.number,
            scale > 1e-30, scale < 1e30, let listed = json["tasks"]?.array, !listed.isEmpty
        else { throw HoneError(.badFile, "a field is missing or wrong", file: file, item: "scaling or tasks") }
        let layout = try AdapterLayout(json: json["tensors"] ?? .null, file: file)
        let path = folder + tensorFile
        let tensors = try Dictionary(
            TensorFiles.read(path).map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
        func numbers<Number: TensorElement>(_ name: String, count: Int) throws -> [Number] {
            guard let tensor = tensors[name], tensor.shape == [count] else {
                throw HoneError(.badFile, "the tensor is missing or misshapen", file: path, item: name)
            }
            guard try tensor.isFinite().all().item() == 1 else {
                throw HoneError(.notFinite, "holds numbers that are not finite", file: path, item: name)
            }
            return try tensor.elements()
        }
        let length = layout.count + (scaling == .generated ? 2 * layout.entries.count : 0)
        let shape = try GeneratorShape(length: length, condition: integer("condition"), latent: integer("latent"))
        var own: [String: Tensor] = [:]
        for (name, tensor) in tensors where name.hasPrefix("network.") { own[String(name.dropFirst(8))] = tensor }
        let network = try GeneratorNetwork(shape, tensors: own, file: path)
        func table(_ task: String) throws -> AdapterStatistics {
            AdapterStatistics(
                means: try numbers("task.\(task).means", count: layout.entries.count),
                deviations: try numbers("task.\(task).deviations", count: layout.entries.count))
        }
        let names = listed.compactMap { $0["name"]?.string }
        guard names.count == listed.count, let first = names.first else {
            throw HoneError(.badFile, "a task has no name", file: file, item: "tasks")
        }
        guard Set(names).count == names.count else {
            throw HoneError(.badFile, "two tasks have one name", file: file, item: "tasks")
        }
        let tasks = try zip(listed, names).map { task, name in
            try SafeName.check(name, from: file)
            return Task(
                name: name, condition: try numbers("task.\(name).vector", count: shape.condition),
                statistics: try table(scaling == .task ? name : first), adapters: task["adapters"]?.integer ?? 0,
                spread: task["spread"]?.number ?? .nan)
        }
        var outer: AdapterStatistics?
        if scaling == .generated {
            outer = AdapterStatistics(
                means: try numbers("outer.means", count: 2 * layout.entries.count),
                deviations: try numbers("outer.deviations", count: 2 * layout.entries.count))
        }
        return AdapterGenerator(
            layout: layout, scaling: scaling, network: network, tasks: tasks,
            conditionMean: try numbers("condition.mean", count: shape.condition), conditionScale: scale, outer: outer)
    }

    /// Writes an adapter folder with generated tensors: PEFT's, with the configuration and head of a task that was learned.
    ///
    /// - Parameters:
    ///   - folder: a folder that exists.
    ///   - source: the folder whose configuration and head are taken: that of a task in the generator's own folder
    ///     (`taskFolder`), or of an adapter.
    public static func writeAdapter(
        _ tensors: [(name: String, tensor: Tensor)], to folder: String, like source: String
    ) throws {
        guard FileStatus.exists(source + "/adapter_config.json") else {
            throw HoneError(.badFile, "is missing", file: source + "/adapter_config.json")
        }
        for (name, tensor) in tensors where try tensor.isFinite().all().item() != 1 {
            throw HoneError(
                .notFinite, "what the generator makes of it is not finite; its folder is damaged", item: name)
        }
        for file in ["adapter_config.json", "hone.json", "head.safetensors"]
        where FileStatus.exists(source + "/" + file) {
            try AtomicFile.write(Data(FileBytes.read(source + "/" + file)), to: folder + "/" + file)
        }
        try TensorFiles.write(tensors, metadata: ["format": "pt"], to: folder + "/adapter_model.safetensors")
    }
}
