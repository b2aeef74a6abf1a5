import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// An adapter's folder, as Hone, PEFT or a generator of adapters leaves it, opened with its base.
struct OpenedAdapter {
    /// The adapter. One that PEFT alone wrote does not say what it is for: it generates text.
    let adapter: Adapter
    /// Its base.
    let base: BaseModel
    /// Whether the folder says what the adapter is for.
    let saysItsTask: Bool

    /// Whether a folder is an adapter's, and not a model's or a run's.
    static func isAdapter(_ path: String) -> Bool {
        let isOther = ["/config.json", "/run.json"].contains { FileStatus.exists(path + $0) }
        return !isOther && ["/adapter_config.json", "/hone.json"].contains { FileStatus.exists(path + $0) }
    }

    /// Opens a folder.
    ///
    /// - Parameter named: the base model's folder or name; where it is left out, what the folder says itself.
    /// - Throws: `HoneError` where the folder is damaged, does not say its base, or is for another one.
    init(
        path: String, model named: String?, hub: HubClient? = nil, dtype: DType = .float32, exact: Bool = false
    ) throws {
        let folder = try AdapterFolderReader(path: path)
        saysItsTask = folder.description != nil
        var name = named ?? folder.description?["base"]?["folder"]?.string
        if name == nil, !saysItsTask {
            name = try AdapterConfiguration.read(folder: path).baseModel
        }
        guard let name else {
            throw HoneError(
                .usage, "the folder does not say what its base model is; give it", file: path, item: "--model")
        }
        base = try BaseModel(DefaultModel.location(name, hub: hub), dtype: dtype, exact: exact)
        if saysItsTask {
            adapter = try Adapter.read(path, for: base)
        } else {
            let (method, parameters) = try Adapter.readMethod(folder, for: base)
            adapter = Adapter(
                method: method, task: .generation, labels: [], parameters: parameters,
                encoding: .init(maximumLength: base.maximumLength, marksCompletions: base.configuration.decoder != nil))
        }
    }

    /// How rows of its task are read: from the columns that files usually have, since the folder does not name them.
    var definition: TaskDefinition {
        var columns = ColumnMapping()
        if adapter.task == .generation {
            if adapter.encoding.usesChatTemplate {
                columns.messages = "messages"
            } else {
                (columns.prompt, columns.completion) = ("prompt", "completion")
            }
        } else {
            columns.label = "label"
            if base.configuration.patches == nil { columns.text = "text" } else { columns.image = "image" }
        }
        if !adapter.encoding.tasks.isEmpty { columns.task = "task" }
        let isGeneration = adapter.task == .generation
        return TaskDefinition(
            kind: isGeneration ? .generation : .classification, columns: columns,
            labels: isGeneration ? nil : adapter.labels, splits: SplitFractions(validation: 0, test: 0))
    }
}
