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

    /// How much memory the program has at hand now, in bytes; mapped files count as far as they have been touched.
    public static var residentBytes: Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }

    /// A moment as ISO 8601.
    public static func timestamp(_ date: Date = Date()) -> String {
        ISO8601DateFormatter().string(from: date)
    }
}
