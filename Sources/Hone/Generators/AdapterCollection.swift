import Foundation
import Glibc
import HoneFormats
import HoneMethods
import HoneTorch

/// Low-rank adapters on disk, by task: what a generator learns from.
public struct AdapterCollection {
    /// The adapters of one task.
    public struct Task {
        /// The task's name.
        public var name: String
        /// Its adapter folders, in the order of their names.
        public var folders: [String]
    }

    /// The tasks, in order of their names.
    public let tasks: [Task]

    /// The adapter folders that patterns name, such as `runs/*/adapters/step-*`.
    ///
    /// A folder's task is the run that it lies in: the part of its path before `adapters`, or else the folder above it.
    ///
    /// - Throws: `HoneError` with code `.usage` where a pattern names no folder.
    public init(_ patterns: [String]) throws {
        var found: [String: [String]] = [:]
        for pattern in patterns {
            let folders = AdapterCollection.matches(pattern).filter(FileStatus.isFolder)
            guard !folders.isEmpty else {
                throw HoneError(.usage, "names no folder", file: pattern, item: "--adapters")
            }
            for folder in folders { found[AdapterCollection.task(folder), default: []].append(folder) }
        }
        tasks = found.keys.sorted().map { Task(name: $0, folders: Array(Set(found[$0] ?? [])).sorted()) }
    }

    private static func task(_ path: String) -> String {
        let parts = path.split(separator: "/").map(String.init)
        if let place = parts.lastIndex(of: "adapters"), place > 0 { return parts[place - 1] }
        return parts.count > 1 ? parts[parts.count - 2] : "task"
    }

    private static func matches(_ pattern: String) -> [String] {
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0 else { return [] }
        return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
    }

    /// The tensors of a PEFT LoRA folder.
    ///
    /// - Throws: `HoneError`: `.mismatch` for an adapter of another type, `.notFinite` that names a tensor.
    public static func tensors(_ folder: String) throws -> [(name: String, tensor: Tensor)] {
        let configuration = try AdapterConfiguration.read(folder: folder)
        guard configuration.method.peftType == "LORA" else {
            throw HoneError(
                .mismatch, "is of type \(configuration.method.peftType); a generator learns from LORA", file: folder)
        }
        return try TensorFiles.read(folder + "/" + AdapterConfiguration.weightsFileName).map { name, tensor in
            guard try tensor.isFinite().all().item() == 1 else {
                throw HoneError(.notFinite, "holds numbers that are not finite", file: folder, item: name)
            }
            return (name, try tensor.to(.float32))
        }
    }

    /// What a generator learns from, each task with its vector in `FOLDER/NAME.safetensors`.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where some are of another base model than others.
    public func examples(vectors folder: String) throws -> [GeneratorExamples] {
        let files = tasks.flatMap { $0.folders + [folder + "/" + $0.name + ".safetensors"] }.filter(FileStatus.exists)
        var first: (path: String, base: String)?
        for file in files {
            guard let own = try AdapterCollection.base(of: file) else { continue }
            if let first { try AdapterCollection.check(own, of: file, sameAs: first) } else { first = (file, own) }
        }
        return try tasks.map { task in
            let file = folder + "/" + task.name + ".safetensors"
            guard FileStatus.exists(file) else {
                throw HoneError(
                    .usage, "there is no task vector for `\(task.name)`; `hone taskvec --out` makes one", file: file,
                    item: "--taskvecs")
            }
            return GeneratorExamples(
                name: task.name, condition: try TaskEmbedding.read(file),
                adapters: try task.folders.map { ($0, try AdapterCollection.tensors($0)) })
        }
    }

    /// Checks that an adapter folder, a generator's folder or a task vector is of the base model that another is of, where both
    /// tell.
    public static func checkBase(of path: String, sameAs other: String) throws {
        guard let own = try base(of: path), let given = try base(of: other) else { return }
        try check(own, of: path, sameAs: (other, given))
    }

    private static func check(_ own: String, of path: String, sameAs other: (path: String, base: String)) throws {
        guard own != other.base else { return }
        throw HoneError(.mismatch, "is of another base model than \(other.path)", file: path)
    }

    /// The fingerprint of the base model of an adapter folder, a generator's folder or a task vector; `nil` where it does not tell.
    private static func base(of path: String) throws -> String? {
        guard FileStatus.isFolder(path) else { return try SafetensorsFile(path: path).metadata["base"] }
        var described = path + "/hone.json"
        if let first = (try? FileManager.default.contentsOfDirectory(atPath: path + "/tasks"))?.min() {
            described = AdapterGenerator.taskFolder(first, in: path) + "/hone.json"
        }
        return FileStatus.exists(described) ? try JSON.read(file: described)["base"]?["sha256"]?.string : nil
    }

    /// What a person should know.
    public var warnings: [String] {
        tasks.filter { $0.folders.count < 2 }.map {
            "the task `\($0.name)` has a single adapter: the generator learns no spread of it"
        }
    }
}
