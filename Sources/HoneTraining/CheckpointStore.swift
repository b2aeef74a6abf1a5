import Foundation
import HoneFormats
import HoneMethods
import HoneTorch

/// Checkpoints of one run in a folder of their own: the only code that writes or reads one.
///
/// A checkpoint is a folder `step-00000120` with `state.safetensors`, `state.json` and, written last, `manifest.json` with
/// each file's length and SHA-256. It appears by one rename when all of it is on disk. Reading verifies the manifest; a
/// damaged checkpoint is moved aside and the one before it is taken. The newest two are kept.
public struct CheckpointStore: Sendable {
    /// The folder of all checkpoints.
    public let folder: String
    /// What the run is: model, data, method and plan. A checkpoint of another run is refused.
    public let identity: JSON

    /// A store in a folder, which is made where it is missing.
    public init(folder: String, identity: JSON) throws {
        self.folder = folder
        self.identity = identity
        try AtomicFolder.makeWithParents(folder)
    }

    /// The checkpoints, newest first.
    public var steps: [Int] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.filter { $0.hasPrefix("step-") }.compactMap { Int($0.dropFirst(5)) }.sorted(by: >)
    }

    /// How many threads the newest checkpoint of a folder was made with: a run goes on with as many, for sums are formed in
    /// an order that depends on it.
    public static func threads(in folder: String) -> Int? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let newest = names.filter { $0.hasPrefix("step-") }.max()
        guard let newest, let json = try? JSON.read(file: "\(folder)/\(newest)/state.json") else { return nil }
        return json["identity"]?["threads"]?.integer
    }

    private func path(_ step: Int) -> String {
        let digits = String(step)
        return folder + "/step-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }

    /// Removes every checkpoint: those of an earlier run have no place among a new run's.
    func clear() throws {
        for step in steps {
            do {
                try FileManager.default.removeItem(atPath: path(step))
            } catch {
                throw HoneError(.fileSystem, "an earlier run's checkpoint cannot be removed", file: path(step))
            }
        }
    }

    /// Writes a checkpoint; older ones than the newest two are removed once it is there.
    func write(_ state: TrainingState) throws {
        let target = path(state.step)
        guard !FileStatus.exists(target) else { return }
        try AtomicFolder.create(at: target) { temporary in
            try TensorFiles.write(state.tensors, to: temporary + "/state.safetensors")
            var json = state.json.object ?? JSONObject()
            json["identity"] = identity
            try AtomicFile.write(JSON.object(json).text(pretty: true), to: temporary + "/state.json")
            _ = try Manifest.write(folder: temporary, files: ["state.safetensors", "state.json"])
        }
        for old in steps.dropFirst(2) { try? FileManager.default.removeItem(atPath: path(old)) }
    }

    /// The newest checkpoint that is whole, if there is one, and what a person should know about the others.
    ///
    /// - Parameter state: the state of a run that starts now, which says where tensors belong.
    /// - Throws: `HoneError` with code `.mismatch` where the checkpoint is of another run: it names the first difference;
    ///   with code `.unsupported` where a newer version of Hone wrote it.
    func latest(like state: TrainingState) throws -> (state: TrainingState?, warnings: [String]) {
        var warnings: [String] = []
        let device = state.parameters.all.first?.tensor.device ?? .cpu
        for step in steps {
            let place = path(step)
            do {
                _ = try Manifest.verify(folder: place)
            } catch let error as HoneError where error.code != .unsupported {
                let aside = folder + "/damaged-\(step)-\(UUID().uuidString.prefix(8))"
                try? FileManager.default.moveItem(atPath: place, toPath: aside)
                warnings.append("the checkpoint of step \(step) is damaged (\(error.message)); moved aside")
                continue
            }
            let file = place + "/state.json"
            let json = try JSON.read(file: file)
            guard json["version"]?.integer == 2 else {
                throw HoneError(.unsupported, "was written by another version of Hone", file: file)
            }
            if let difference = CheckpointStore.difference(json["identity"] ?? .null, identity) {
                throw HoneError(
                    .mismatch,
                    "the run to be resumed had other settings; resume with the same, or give another --out", file: file,
                    item: difference)
            }
            let tensors = try TensorFiles.read(place + "/state.safetensors")
            let byName = Dictionary(tensors.map { ($0.name, $0.tensor) }) { first, _ in first }
            return (try TrainingState(json: json, tensors: byName, device: device, file: file), warnings)
        }
        return (nil, warnings)
    }

    /// The path of the first value in which two descriptions differ.
    private static func difference(_ old: JSON, _ new: JSON, path: String = "") -> String? {
        if old == new { return nil }
        if let first = old.object, let second = new.object {
            for key in Set(first.keys).union(second.keys).sorted() {
                let place = path.isEmpty ? key : "\(path).\(key)"
                if let found = difference(first[key] ?? .null, second[key] ?? .null, path: place) { return found }
            }
            return nil
        }
        // A number may be written whole or not.
        if let first = old.number, let second = new.number, first == second { return nil }
        return path.isEmpty ? "settings" : "\(path) (was \(old.text()), now \(new.text()))"
    }
}
