import Foundation
import HoneFormats

/// The folder of one run: it outlives the program, and everything needed to do the run again is in it.
///
/// | file | what it is |
/// |---|---|
/// | `run.json` | model, data, settings, seed, machine: everything that decides the numbers |
/// | `adapter/` | what was learned, in PEFT's format where PEFT has the method |
/// | `metrics.json` | the measured figures with their intervals |
/// | `predictions.jsonl` | what the specialist answers on the rows it was measured on |
/// | `log.jsonl`, `validation.jsonl` | one line a step, one line a validation |
/// | `report.html` | one page that opens offline |
/// | `adapters/` | adapters of late steps, where they were asked for |
/// | `checkpoints/` | where a training run can be resumed |
public struct RunFolder: Sendable {
    /// The folder's path.
    public let path: String

    /// A run folder by its path; nothing is looked at yet.
    public init(path: String) { self.path = path }

    /// `run.json`
    public var description: String { path + "/run.json" }
    /// `adapter`
    public var adapter: String { path + "/adapter" }
    /// `metrics.json`
    public var metrics: String { path + "/metrics.json" }
    /// `predictions.jsonl`
    public var predictions: String { path + "/predictions.jsonl" }
    /// `log.jsonl`
    public var log: String { path + "/log.jsonl" }
    /// `validation.jsonl`
    public var validation: String { path + "/validation.jsonl" }
    /// `report.html`
    public var report: String { path + "/report.html" }
    /// `adapters/step-N`, where adapters of late steps are kept.
    public func keptAdapter(_ step: Int) -> String {
        let number = String(step)
        return path + "/adapters/step-" + String(repeating: "0", count: max(0, 6 - number.count)) + number
    }
    /// `checkpoints`
    public var checkpoints: String { path + "/checkpoints" }

    /// Makes a new run folder.
    ///
    /// - Parameters:
    ///   - wanted: the path that the user asked for; without one, the next free `runs/NAME-1`, `-2`, ….
    ///   - name: what the run is called after.
    /// - Throws: `HoneError` where the folder cannot be made, or holds something already.
    public static func create(_ wanted: String?, name: String) throws -> RunFolder {
        let files = FileManager.default
        let path: String
        if let wanted {
            path = wanted
            if FileStatus.exists(wanted) {
                guard FileStatus.isFolder(wanted) else {
                    throw HoneError(.usage, "is a file; --out must name a folder", file: wanted, item: "--out")
                }
                let content = (try? files.contentsOfDirectory(atPath: wanted)) ?? []
                guard content.isEmpty else {
                    throw HoneError(
                        .usage, "holds something already; name another folder, or go on with --resume", file: wanted,
                        item: "--out")
                }
            }
        } else {
            let number = (1...).first { !FileStatus.exists("runs/\(name)-\($0)") } ?? 1
            path = "runs/\(name)-\(number)"
        }
        try AtomicFolder.makeWithParents(path)
        guard access(path, W_OK) == 0 else {
            throw HoneError(.fileSystem, "the run folder cannot be written to", file: path)
        }
        return RunFolder(path: path)
    }

    /// The name of a run after its data: `tickets` for `data/tickets.csv`.
    public static func name(after data: String) -> String {
        // Several files, of a task each.
        if data.contains(","), !FileStatus.exists(data) { return "tasks" }
        let base = (data as NSString).standardizingPath
        let last = ((base as NSString).lastPathComponent as NSString).deletingPathExtension
        let generic = ["task", "train", "data", ""]
        let name =
            generic.contains(last) ? ((base as NSString).deletingLastPathComponent as NSString).lastPathComponent : last
        let safe = name.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "-" }
        return safe.isEmpty ? "run" : String(safe)
    }

    /// Removes what a process that was killed while it wrote has left half done.
    func removeTemporaryFiles() {
        let files = FileManager.default
        for place in [path, checkpoints] {
            for name in (try? files.contentsOfDirectory(atPath: place)) ?? []
            where name.hasPrefix(".hone-") && name.hasSuffix(".tmp") || name == ".adapter-new" {
                try? files.removeItem(atPath: place + "/" + name)
            }
        }
    }

    /// Replaces the adapter by another, all at once.
    func replaceAdapter(_ write: (String) throws -> Void) throws {
        let files = FileManager.default
        let staged = path + "/.adapter-new"
        try? files.removeItem(atPath: staged)
        try AtomicFolder.create(at: staged, write)
        if FileStatus.exists(adapter) { try? files.removeItem(atPath: adapter) }
        guard rename(staged, adapter) == 0 else {
            throw HoneError(.fileSystem, "cannot be put in place", file: adapter)
        }
    }
}
