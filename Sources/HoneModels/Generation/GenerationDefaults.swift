import Foundation
import HoneFormats

/// What a model's folder says about writing with it.
public struct GenerationDefaults: Hashable, Sendable {
    /// The tokens that end a text: those of `generation_config.json`, or of `config.json` where it names none, and the tokenizer's
    /// end token.
    public var endIds: Set<Int>

    /// Reads what the folder of a model says.
    ///
    /// - Throws: `HoneError` with code `.badFile` that names the file and the field.
    public init(_ model: BaseModel) throws {
        var ids: [Int]?
        for name in ["generation_config.json", "config.json"] where ids == nil {
            let file = model.folder + "/" + name
            guard FileManager.default.fileExists(atPath: file) else { continue }
            ids = try GenerationDefaults.endIds(JSON.read(file: file), file: file)
        }
        endIds = Set(ids ?? [])
        if let end = try model.tokenizer.eosId { endIds.insert(end) }
    }

    /// One token number, a list of them, or none.
    private static func endIds(_ json: JSON, file: String) throws -> [Int]? {
        guard let value = json["eos_token_id"], !value.isNull else { return nil }
        let values = value.array ?? [value]
        let ids = values.compactMap(\.integer).filter { $0 >= 0 }
        guard ids.count == values.count, ids.count <= 1024 else {
            throw HoneError(
                .badFile, "must be a token number or a list of them", file: file, item: "eos_token_id")
        }
        return ids
    }
}
