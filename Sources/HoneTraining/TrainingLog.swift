import Foundation
import HoneFormats

/// `log.jsonl`, with one line a step (`step`, `loss`, `learning_rate`, `tokens`, `seconds`,
/// `gradient_norm`, and where the method adds a term to the loss `penalty`), or `validation.jsonl`, with one
/// line a validation.
public final class TrainingLog {
    private let handle: FileHandle
    private let path: String

    /// Opens a log; lines after a step are cut off when a run goes on from there.
    ///
    /// - Parameter step: the step to go on after; 0 starts anew.
    public init(path: String, after step: Int = 0) throws {
        self.path = path
        var kept = ""
        if step > 0, let old = try? String(contentsOfFile: path, encoding: .utf8) {
            for line in old.split(separator: "\n") {
                guard let json = try? JSON.parse(String(line)), let number = json["step"]?.integer, number <= step
                else {
                    continue
                }
                kept += line + "\n"
            }
        }
        try AtomicFile.write(kept, to: path)
        guard let handle = FileHandle(forWritingAtPath: path) else {
            throw HoneError(.fileSystem, "cannot be opened for writing", file: path)
        }
        self.handle = handle
        handle.seekToEndOfFile()
    }

    /// The lines of a log, in order.
    public static func lines(of path: String) throws -> [JSON] {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw HoneError(.fileSystem, "cannot be read", file: path)
        }
        return try text.split(separator: "\n").enumerated().map { number, line in
            try JSON.parse(line: String(line).utf8, number: number + 1, file: path)
        }
    }

    /// Writes a step's line.
    public func write(_ step: TrainingStep, method: String? = nil) throws {
        var object = JSONObject()
        if let method { object["method"] = .string(method) }
        object["step"] = .integer(step.step)
        object["loss"] = .number(step.loss)
        object["learning_rate"] = .number(step.learningRate)
        object["tokens"] = .integer(step.tokens)
        object["seconds"] = .number((step.seconds * 1e6).rounded() / 1e6)
        object["gradient_norm"] = .number(step.gradientNorm)
        if let penalty = step.penalty { object["penalty"] = .number(penalty) }
        try write(.object(object))
    }

    /// Writes a line about validation.
    public func write(_ point: ValidationPoint, method: String? = nil) throws {
        var object = JSONObject()
        if let method { object["method"] = .string(method) }
        object["step"] = .integer(point.step)
        object["validation_score"] = .number(point.score)
        object["validation_loss"] = .number(point.loss)
        try write(.object(object))
    }

    private func write(_ json: JSON) throws {
        do {
            try handle.write(contentsOf: Data((json.text() + "\n").utf8))
        } catch {
            throw HoneError(.fileSystem, "cannot be written; is the disk full?", file: path)
        }
    }
}
