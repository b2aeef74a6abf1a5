import Foundation
import HoneFormats

/// The folder of a comparison: `comparison.json` says what was compared, `records.jsonl` has one line a measurement.
///
/// Several processes may work in one folder: a measurement is claimed by a lock on a file in `.claims`, and what others have
/// measured is read before each.
struct ComparisonStore {
    let folder: String
    /// What was measured, by this process or by others, when it was last read.
    private(set) var records: [ComparisonRecord.Key: ComparisonRecord] = [:]

    private var file: String { folder + "/records.jsonl" }
    private var claims: String { folder + "/.claims" }

    /// A measurement that this process makes; others leave it to it as long as this lives.
    final class Claim {
        private let path: String
        private let lock: FileLock

        fileprivate init(path: String, lock: FileLock) {
            self.path = path
            self.lock = lock
        }

        deinit { unlink(path) }
    }

    /// Opens or makes the folder.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where it holds another comparison.
    init(folder: String, identity: JSON) throws {
        self.folder = folder
        let description = folder + "/comparison.json"
        try AtomicFolder.makeWithParents(folder)
        let lock = try FileLock.waiting(forFolder: folder)
        defer { withExtendedLifetime(lock) {} }
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
        try read()
    }

    /// Reads what was measured, and removes a line that was cut by a crash: it is measured again. Only under the folder's lock.
    private mutating func read() throws {
        guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return }
        var whole = ""
        for (number, line) in text.split(separator: "\n").enumerated() {
            guard let json = try? JSON.parse(String(line)) else { continue }
            let record = try ComparisonRecord(json: json, file: file, line: number + 1)
            records[record.key] = record
            whole += line + "\n"
        }
        if whole != text { try AtomicFile.write(whole, to: file) }
    }

    /// Reads what other processes have measured meanwhile.
    mutating func refresh() throws {
        let lock = try FileLock.waiting(forFolder: folder)
        defer { withExtendedLifetime(lock) {} }
        try read()
    }

    /// Takes a measurement on; `nil` where another process is at it, or has made it.
    mutating func claim(_ key: ComparisonRecord.Key) throws -> Claim? {
        // Under the folder's lock no other process takes the folder of claims away meanwhile.
        let whole = try FileLock.waiting(forFolder: folder)
        defer { withExtendedLifetime(whole) {} }
        try AtomicFolder.makeWithParents(claims)
        let name = FileHash.sha256(of: "\(key.task)\n\(key.rows)\n\(key.method)\n\(key.seed)")
        let path = claims + "/" + name.prefix(32)
        guard let lock = try FileLock.claim(path) else { return nil }
        let claim = Claim(path: path, lock: lock)
        try read()
        return records[key] == nil ? claim : nil
    }

    /// Adds a record.
    mutating func write(_ record: ComparisonRecord) throws {
        let lock = try FileLock.waiting(forFolder: folder)
        defer { withExtendedLifetime(lock) {} }
        try read()
        guard records[record.key] == nil else { return }
        records[record.key] = record
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

    /// Clears away what claims have left, where no other process has one.
    func finish() {
        guard let lock = try? FileLock.waiting(forFolder: folder) else { return }
        rmdir(claims)
        withExtendedLifetime(lock) {}
    }
}
