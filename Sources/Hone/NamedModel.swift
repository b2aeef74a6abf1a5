import HoneFormats
import HoneHub
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// What a model that writes computes with.
public enum WritingType: String, Sendable, CaseIterable {
    /// `float32`
    case f32
    /// Weights and cache in `bfloat16`.
    case bf16
    /// Linear maps and head as int8 numbers with a scale for each 64 neighbours, the rest in `bfloat16`.
    case int8

    /// The type of the base's weights.
    public var dtype: DType { self == .f32 ? .float32 : .bfloat16 }
}

/// A model by what a user names: the folder of a model, or of a run, whose specialist is then taken.
public struct NamedModel {
    /// The folder.
    public let path: String
    /// The base model.
    public let base: BaseModel
    /// The base model, with a run's adapter attached.
    public let transformer: Transformer
    /// The run, where it is one.
    public let run: SavedRun?

    /// Opens a model (a folder, or a name on the Hub; the default encoder where nothing is named), or the folder of a run or an
    /// adapter.
    ///
    /// - Parameters:
    ///   - text: what the user names.
    ///   - base: the base model of a run, where it is no longer where the run found it.
    ///   - dtype: what the base computes in.
    ///   - exact: whether only libtorch's own operators are used.
    ///   - task: which task of a run that tells several apart.
    /// - Throws: `HoneError` where nothing is there, or it is damaged: the reader's own.
    public init(
        _ text: String?, base: String? = nil, dtype: DType = .float32, exact: Bool = false, task: String? = nil
    ) throws {
        let path = text ?? DefaultModel.name
        self.path = path
        let folder = RunFolder(path: path)
        if FileStatus.exists(folder.description) || FileStatus.exists(folder.checkpoints)
            || OpenedAdapter.isAdapter(path)
        {
            let run = try SavedRun(path: path, model: base, dtype: dtype, exact: exact, task: task)
            self.run = run
            self.base = run.specialist.base
            transformer = try run.specialist.transformer
        } else {
            for (item, given) in [("--model", base), ("--task", task)] where given != nil {
                throw HoneError(.usage, "is for runs; this is a model's own folder", file: path, item: item)
            }
            run = nil
            self.base = try BaseModel(NamedModel.location(text), dtype: dtype, exact: exact)
            transformer = self.base.transformer
        }
    }

    /// Where a model lies; an argument that is no folder and no name of the Hub with an owner was typed wrong.
    public static func location(_ text: String?, hub: HubClient? = nil) throws -> ModelLocation {
        do {
            return try DefaultModel.location(text, hub: hub)
        } catch let error as HoneError where text.map({ !$0.contains("/") }) ?? false {
            throw HoneError(.usage, error.message, file: error.file)
        }
    }

    /// A generator of texts.
    ///
    /// - Parameter quantises: whether it reads int8 weights, see `Generator.quantised`.
    /// - Throws: `HoneError` with code `.mismatch` for a run that classifies, `.unsupported` for a model that has no int8 form.
    public func generator(quantises: Bool = false) throws -> Generator {
        let generator = try plainGenerator()
        guard quantises else { return generator }
        guard !base.configuration.computesExactly else {
            throw HoneError(.usage, "libtorch's own operators have no int8 weights; take f32 or bf16", item: "--exact")
        }
        return try generator.quantised()
    }

    private func plainGenerator() throws -> Generator {
        guard let specialist = run?.specialist else { return try Generator(base, transformer: transformer) }
        guard specialist.adapter.task == .generation else {
            throw HoneError(.mismatch, "this run classifies; `hone predict` asks it", file: path)
        }
        return Generator(
            transformer, tokenizer: try base.tokenizer, padId: base.padId, endIds: try specialist.endIds)
    }

    /// An encoder of sentences.
    public func sentenceEncoder(promptName: String? = nil) throws -> SentenceEncoder {
        try SentenceEncoder(base, transformer: transformer, promptName: promptName)
    }

    /// A text as the tokens to go on from: with the model's own special tokens, or as the run was trained on prompts.
    ///
    /// - Parameter isTrusted: whether text such as `<|end|>` becomes the special token of that name.
    /// - Throws: as `ExampleEncoder.prompt`.
    public func prompt(_ text: String, isTrusted: Bool = false) throws -> [Int] {
        if let run {
            let example = Example(index: 0, file: "", line: 1, input: .prompt(text), target: .unknown)
            return try run.specialist.encoder.prompt(example)
        }
        let tokenizer = try base.tokenizer
        let ids = tokenizer.encode(text, trusted: isTrusted)
        return ids.isEmpty ? [tokenizer.bosId ?? tokenizer.eosId ?? 0] : ids
    }
}

/// Texts in a file: a line each of a `.txt`, or one column of a table.
public enum TextFile {
    /// The texts of a file, in their order. Blank lines of a `.txt` are passed over.
    ///
    /// - Parameter columns: the names of the column, of which the first that is there is taken.
    /// - Throws: `HoneError` that names the file, and the line of a row that has no text.
    public static func texts(_ path: String, columns: [String]) throws -> [String] {
        guard !path.lowercased().hasSuffix(".txt") else {
            guard let content = String(validating: try FileBytes.read(path), as: UTF8.self) else {
                throw HoneError(.badFile, "is not UTF-8 text", file: path)
            }
            return lines(content)
        }
        let table = try TableReader.read(file: path)
        guard let column = columns.first(where: { table.position(of: $0) != nil }) else {
            throw HoneError(
                .badData, "a column \(columns.map { "`\($0)`" }.joined(separator: " or ")) is needed", file: path)
        }
        return try table.rows.map { row in
            guard let text = row[column].string else {
                throw HoneError(.badData, "has no text in `\(column)`", file: path, line: row.line)
            }
            return text
        }
    }

    /// The lines of a text that are not blank.
    public static func lines(_ text: String) -> [String] {
        text.split(whereSeparator: \.isNewline).map(String.init).filter { !$0.allSatisfy(\.isWhitespace) }
    }
}
