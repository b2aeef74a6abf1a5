import Foundation
import HoneFormats

/// The folder of a comparison: `comparison.json` says what was compared, `records.jsonl` has one line a measurement.
struct ComparisonStore {
    let folder: String
    /// What was measured before.
    private(set) var records: [ComparisonRecord.Key: ComparisonRecord] = [:]

    private var file: String { folder + "/records.jsonl" }

    /// Opens or makes the folder.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where it holds another comparison.
    init(folder: String, identity: JSON) throws {
        self.folder = folder
        let description = folder + "/comparison.json"
        try AtomicFolder.makeWithParents(folder)
        if FileStatus.exists(description) {
            let found = try JSON.read(file: description)
            for name in identity.object?.keys ?? [] where name != "data" && found[name] != identity[name] {
                throw HoneError(
                    .mismatch, "holds a comparison made otherwise (\(name)); name another folder", file: folder,
                    item: "--out")
            }
            for name in identity["data"]?.object?.keys ?? [] {
                if let other = found["data"]?[name], other != identity["data"]?[name] {
                    throw HoneError(
                        .mismatch, "holds a comparison on other data of the name \(name)", file: folder, item: "--out")
                }
            }
            var whole = found.object ?? JSONObject()
            var data = found["data"]?.object ?? JSONObject()
            for name in identity["data"]?.object?.keys ?? [] { data[name] = identity["data"]?[name] }
            whole["data"] = .object(data)
            try AtomicFile.write(JSON.object(whole).text(pretty: true) + "\n", to: description)
        } else {
            try AtomicFile.write(identity.text(pretty: true) + "\n", to: description)
        }
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return }
        var whole = ""
        for (number, line) in text.split(separator: "\n").enumerated() {
            // A line that was cut by a crash is measured again.
            guard let json = try? JSON.parse(String(line)) else { continue }
            let record = try ComparisonRecord(json: json, file: file, line: number + 1)
            records[record.key] = record
            whole += line + "\n"
        }
        if whole != text { try AtomicFile.write(whole, to: file) }
    }

    /// Adds a record.
    func write(_ record: ComparisonRecord) throws {
        if !FileStatus.exists(file) { try AtomicFile.write("", to: file) }
        guard let handle = FileHandle(forWritingAtPath: file) else {
            throw HoneError(.fileSystem, "cannot be opened for writing", file: file)
        }
        defer { try? handle.close() }
        do {
            try handle.seekToEnd()
            try handle.write(contentsOf: Data((record.json.text() + "\n").utf8))
        } catch {
            throw HoneError(.fileSystem, "cannot be written", file: file)
        }
    }
}
