import Foundation
import HoneFormats
import HoneTorch

/// The version of this library.
public let honeVersion = "0.1.0"

/// What a run was done with: it decides numbers to the last bit, so it is written down.
public enum SystemFacts {
    /// Versions, threads and processor.
    public static var json: JSON {
        [
            "hone": .string(honeVersion), "libtorch": .string(Engine.version),
            "instruction_set": .string(Engine.instructionSet), "threads": .integer(Engine.threads),
            "threads_wait_passively": .bool(Engine.threadsWaitPassively), "processor": .string(processor),
        ]
    }

    /// The processor's name.
    public static var processor: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
    }

    /// A moment as ISO 8601.
    public static func timestamp(_ date: Date = Date()) -> String {
        ISO8601DateFormatter().string(from: date)
    }
}
