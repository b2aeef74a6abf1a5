import Foundation
import Testing

/// One run of the built `hone`, as a user's shell sees it.
struct HoneProcess {
    /// What a run left.
    struct Result: Sendable {
        /// The exit code; -1 where a signal ended the process.
        var code: Int32
        /// The signal that ended the process, or 0.
        var signal: Int32
        /// Whether it was killed because it took too long.
        var timedOut: Bool
        var output: String
        var error: String
    }

    private let number: pid_t
    private let outputPath: String
    private let errorPath: String

    /// The executable: beside the test bundle, where SwiftPM builds both.
    static let executable: String = {
        let bundle = (CommandLine.arguments[0] as NSString).deletingLastPathComponent
        let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let places = [bundle, package + "/.build/debug", package + "/.build/release"].map { $0 + "/hone" }
        return places.first { FileManager.default.isExecutableFile(atPath: $0) } ?? places[0]
    }()

    /// Starts `hone` in a folder; its words go into files, so that no pipe can fill up. A redirection, as `> /dev/full`, is the shell's.
    init(
        _ arguments: [String], in folder: String, input: [UInt8] = [], environment: [String: String] = [:],
        redirection: String = ""
    ) throws {
        let place = folder + "/.process-\(UUID().uuidString)"
        outputPath = place + ".out"
        errorPath = place + ".err"
        let inputPath = place + ".in"
        try Data(input).write(to: URL(fileURLWithPath: inputPath))
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, errorPath, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        // Threads of the test runner block signals, and what is started from them would too.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var usual = sigset_t()
        sigfillset(&usual)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &usual)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
        var variables = ProcessInfo.processInfo.environment
        variables["HONE_MODELS"] = nil
        // No test asks the network.
        variables["HF_HUB_OFFLINE"] = "1"
        variables["OMP_WAIT_POLICY"] = "passive"
        // A crash is to end the process, not to start a debugger.
        variables["SWIFT_BACKTRACE"] = "enable=no"
        variables.merge(environment) { $1 }
        // The shell changes the folder and becomes `hone`, with the same process number.
        let shell = ["sh", "-c", "cd \"$0\" && exec \"$@\" \(redirection)", folder, HoneProcess.executable]
        var list = (shell + arguments).map { strdup($0) } + [nil]
        var settings = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (list + settings).forEach { free($0) } }
        var number = pid_t()
        let status = posix_spawn(&number, "/bin/sh", &actions, &attributes, &list, &settings)
        guard status == 0 else {
            throw StartFailure(description: "\(HoneProcess.executable): \(String(cString: strerror(status)))")
        }
        self.number = number
    }

    struct StartFailure: Error, CustomStringConvertible {
        let description: String
    }

    /// Sends a signal.
    func signal(_ signal: Int32) { kill(number, signal) }

    /// What it has said on standard error so far.
    var errors: String { HoneProcess.text(errorPath) }

    /// Waits for the end; kills the process after some seconds.
    func wait(seconds: Double = 240) -> Result {
        let deadline = Date().addingTimeInterval(seconds)
        var status: Int32 = 0
        var timedOut = false
        while waitpid(number, &status, WNOHANG) == 0 {
            if Date() > deadline, !timedOut {
                timedOut = true
                kill(number, SIGKILL)
            }
            usleep(3000)
        }
        let signal = status & 0x7F
        return Result(
            code: signal == 0 ? status >> 8 & 0xFF : -1, signal: signal, timedOut: timedOut,
            output: HoneProcess.text(outputPath), error: HoneProcess.text(errorPath))
    }

    private static func text(_ path: String) -> String {
        String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
    }

    /// Runs `hone` to its end.
    static func run(
        _ arguments: [String], in folder: String, input: [UInt8] = [], environment: [String: String] = [:]
    ) throws -> Result {
        try HoneProcess(arguments, in: folder, input: input, environment: environment).wait()
    }
}
