import Foundation

/// The weights of a model on disk: one safetensors file, or several with an index that says which holds what.
public struct WeightFolder: Sendable {
    /// The folder, or the single file, that was opened.
    public let path: String
    /// The files, in the order of their names.
    public let files: [SafetensorsFile]
    /// The names of all tensors: of a single file in the order of its bytes, of several in the order of the index.
    public let names: [String]
    /// Tensors that the files hold and the index does not list; they cannot be reached from here.
    public let unlisted: [String]
    private let table: [ExactString: Int]

    /// Opens the weights of a folder, or a single safetensors file.
    ///
    /// Looked for, in this order: `<stem>.safetensors`, `<stem>.safetensors.index.json`.
    ///
    /// - Parameters:
    ///   - path: a folder, or a safetensors file.
    ///   - stem: the beginning of the file's name: `model`, or `adapter_model` for PEFT.
    /// - Throws: `HoneError`: `.fileSystem` when nothing is there, with advice where only pickle files are; `.badFile` when
    ///   a shard is missing or anything is not as its format promises.
    public static func open(_ path: String, stem: String = "model") throws -> WeightFolder {
        if !isFolder(path) { return try WeightFolder(path: path, file: SafetensorsFile(path: path)) }
        let single = FolderPath.join(path, "\(stem).safetensors")
        if exists(single) { return try WeightFolder(path: path, file: SafetensorsFile(path: single)) }
        let index = FolderPath.join(path, "\(stem).safetensors.index.json")
        if exists(index) { return try WeightFolder(path: path, index: index) }
        for name in ["pytorch_model.bin", "pytorch_model.bin.index.json", "\(stem).bin", "\(stem).pt"]
        where exists(FolderPath.join(path, name)) {
            throw HoneError(
                .badFile, "the folder has its weights only as pickle (\(name)). \(ForeignFormat.pickleAdvice(name))",
                file: path)
        }
        throw HoneError(
            .fileSystem, "the folder has neither \(stem).safetensors nor \(stem).safetensors.index.json", file: path)
    }

    /// The tensor of a name; `nil` where there is none.
    public func entry(named name: String) -> SafetensorsEntry? {
        file(of: name)?.entry(named: name)
    }

    /// The file that holds a tensor; `nil` where there is none.
    public func file(of name: String) -> SafetensorsFile? {
        table[ExactString(name)].map { files[$0] }
    }

    /// All tensors, in the order of `names`.
    public var entries: [SafetensorsEntry] { names.compactMap { entry(named: $0) } }

    /// Hands the bytes of a tensor to a closure; see `SafetensorsFile.withBytes(of:_:)`.
    ///
    /// - Throws: `HoneError` (`.badFile`) where there is no such tensor; the errors of `body`.
    public func withBytes<Result>(
        of name: String, _ body: (UnsafeRawBufferPointer) throws -> Result
    ) throws -> Result {
        guard let file = file(of: name) else {
            throw HoneError(
                .badFile, "there is no such tensor in the weights", file: path,
                item: "tensor \(SafetensorsHeader.quoted(name))")
        }
        return try file.withBytes(of: name, body)
    }

    private init(path: String, file: SafetensorsFile) throws {
        self.path = path
        files = [file]
        names = file.entries.map(\.name)
        unlisted = []
        table = Dictionary(uniqueKeysWithValues: names.map { (ExactString($0), 0) })
    }

    private init(path: String, index: String) throws {
        guard let map = try JSON.read(file: index)["weight_map"]?.object else {
            throw HoneError(.badFile, "the index has no weight_map", file: index, item: "weight_map")
        }
        var fileNames: Set<String> = []
        for (name, value) in map.pairs {
            guard let fileName = value.string else {
                throw HoneError(
                    .badFile, "the file of this tensor is \(value.kind), not a string", file: index,
                    item: "tensor \(SafetensorsHeader.quoted(name))")
            }
            if fileNames.insert(fileName).inserted { try SafeName.check(fileName, from: index) }
        }
        guard !fileNames.isEmpty else { throw HoneError(.badFile, "the weight_map is empty", file: index) }
        let sorted = fileNames.sorted()
        let missing = sorted.filter { !Self.exists(FolderPath.join(path, $0)) }
        guard missing.isEmpty else {
            let shown = missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? ", …" : "")
            throw HoneError(
                .badFile,
                "\(missing.count) of the \(sorted.count) files that the index names are missing: \(shown); download them",
                file: index)
        }
        let files = try sorted.map { try SafetensorsFile(path: FolderPath.join(path, $0)) }
        let numbers = Dictionary(uniqueKeysWithValues: sorted.enumerated().map { ($1, $0) })
        var table: [ExactString: Int] = [:]
        for (name, value) in map.pairs {
            guard let fileName = value.string, let number = numbers[fileName],
                files[number].entry(named: name) != nil
            else {
                throw HoneError(
                    .badFile, "the index promises this tensor in \(value.string ?? "a file"), which does not have it",
                    file: index, item: "tensor \(SafetensorsHeader.quoted(name))")
            }
            table[ExactString(name)] = number
        }
        self.path = path
        self.files = files
        self.table = table
        names = map.keys
        unlisted = files.flatMap { $0.entries.map(\.name) }.filter { table[ExactString($0)] == nil }
    }

    private static func exists(_ path: String) -> Bool {
        var status = stat()
        return !path.utf8.contains(0) && stat(path, &status) == 0
    }

    private static func isFolder(_ path: String) -> Bool {
        var status = stat()
        return !path.utf8.contains(0) && stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
