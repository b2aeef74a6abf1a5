import Foundation
import HoneFormats

/// The chat templates of a model folder, by name.
///
/// As in transformers: `chat_template.jinja` and the files of `chat_templates` come first; without them counts the
/// `chat_template` of `tokenizer_config.json`, a text or a list of named ones, and last that of `chat_template.json`.
public struct ChatTemplateFolder: Sendable {
    /// A template as it lies in the folder, not parsed yet.
    public struct Entry: Sendable {
        /// `default`, `tool_use` and so on.
        public var name: String
        /// The text of the template.
        public var source: String
        /// The file that it stands in.
        public var file: String
    }

    /// All templates, in no particular order.
    public private(set) var entries: [Entry] = []
    /// Special tokens by the names that templates know.
    public private(set) var specialTokens: [String: String] = [:]

    private static let sizeLimit = 1 << 20

    /// Looks through a folder.
    ///
    /// - Throws: `HoneError` that names the file, where one is damaged or longer than 1 MiB.
    public init(_ folder: String) throws { try self.init(folder, files: TokenizerFolder(folder)) }

    init(_ folder: String, files: TokenizerFolder) throws {
        for role in TokenizerFolder.roles {
            if let token = files.token(role) { specialTokens["\(role)_token"] = token }
        }
        // Further tokens by name, such as `image_token`.
        for (name, value) in files.config?["extra_special_tokens"]?.object?.pairs ?? [] {
            if let token = value.string ?? value["content"]?.string { specialTokens[name] = token }
        }
        try readFiles(folder)
        let config = folder + "/tokenizer_config.json"
        if entries.isEmpty, let value = files.config?["chat_template"] { add(value, file: config) }
        let processor = folder + "/chat_template.json"
        if entries.isEmpty, FileManager.default.fileExists(atPath: processor) {
            if let value = try JSON.read(file: processor)["chat_template"] { add(value, file: processor) }
        }
    }

    private mutating func readFiles(_ folder: String) throws {
        var paths = [("default", folder + "/chat_template.jinja")]
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder + "/chat_templates")) ?? []
        for name in names.sorted() where name.hasSuffix(".jinja") {
            paths.append((String(name.dropLast(6)), folder + "/chat_templates/" + name))
        }
        for (name, path) in paths where FileManager.default.fileExists(atPath: path) {
            guard let text = String(validating: try FileBytes.read(path, limit: Self.sizeLimit), as: UTF8.self) else {
                throw HoneError(.badFile, "is not valid UTF-8", file: path)
            }
            entries.append(Entry(name: name, source: text, file: path))
        }
    }

    private mutating func add(_ value: JSON, file: String) {
        if let text = value.string { entries.append(Entry(name: "default", source: text, file: file)) }
        for named in value.array ?? [] {
            guard let name = named["name"]?.string, let text = named["template"]?.string else { continue }
            entries.append(Entry(name: name, source: text, file: file))
        }
    }

    /// The template of a name; without one, `tool_use` where tools are given and there is such a template, or `default`.
    ///
    /// - Throws: `HoneError` with `.usage` where the folder has several templates and none of them is the one wanted; as
    ///   `ChatTemplate` where it cannot be read. `nil` where the folder has no template.
    public func template(named name: String? = nil, hasTools: Bool = false) throws -> ChatTemplate? {
        guard !entries.isEmpty else { return nil }
        let wanted = name.map { [$0] } ?? (hasTools ? ["tool_use", "default"] : ["default"])
        guard let entry = wanted.lazy.compactMap({ name in entries.first { $0.name == name } }).first else {
            throw HoneError(
                .usage,
                "has no chat template “\(wanted.last ?? "")”, only \(entries.map(\.name).joined(separator: ", "))",
                file: entries[0].file)
        }
        return try ChatTemplate(entry.source, file: entry.file, specialTokens: specialTokens)
    }
}
