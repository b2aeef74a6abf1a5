import Foundation
import HoneFormats
import Testing

/// A temporary folder with tiny models, data and runs; it goes away with the value.
final class Workshop: Sendable {
    let folder: String

    /// One folder for the whole test process; removed at its end, also after a failed test.
    private static let root: String = {
        let path = root(of: getpid())
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        atexit { try? FileManager.default.removeItem(atPath: Workshop.root(of: getpid())) }
        return path
    }()

    private static func root(of process: pid_t) -> String {
        let folder = NSTemporaryDirectory()
        return folder + (folder.hasSuffix("/") ? "" : "/") + "hone-command-tests-\(process)"
    }

    init() throws {
        folder = Workshop.root + "/" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Several commands of one test may ask for the same fixture at once.
    private let copying = NSLock()

    /// Where the run under test goes.
    var out: String { folder + "/out" }

    /// A word that stands in every row of the data and must never come back in a message.
    static let secret = "zanzibar"

    /// Writes a file and gives its path.
    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    /// Writes a file and gives its path.
    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let path = folder + "/" + name
        let parent = (path as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        return path
    }

    /// A copy of a model or adapter fixture.
    func fixture(_ name: String) throws -> String {
        let source = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("HoneModelsTests/Fixtures/\(name)").path
        let path = folder + "/" + name
        return try copying.withLock {
            guard !FileManager.default.fileExists(atPath: path) else { return path }
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            for file in try FileManager.default.contentsOfDirectory(atPath: source)
            where !file.hasPrefix("reference") {
                try FileManager.default.copyItem(atPath: source + "/" + file, toPath: path + "/" + file)
            }
            return path
        }
    }

    /// Changes the JSON object in a file.
    func edit(_ path: String, _ change: (inout JSONObject) -> Void) throws {
        var object = try #require(try JSON.read(file: path).object)
        change(&object)
        try JSON.object(object).text(pretty: true).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// A table for classification: letters of the first half of the alphabet are `early`, the others `late`.
    func tickets(_ name: String = "tickets.csv", rows: Int = 24, from first: Int = 0) throws -> String {
        try write(name, "text,label\n" + Workshop.ticketRows(rows, from: first))
    }

    static func ticketRows(_ rows: Int, from first: Int = 0) -> String {
        (first..<first + rows).map { row in
            let isEarly = row % 2 == 0
            let letters = isEarly ? Array("abcdefgh") : Array("stuvwxyz")
            let words = [row, row / 8, row / 3].map { String([letters[$0 % 8], letters[($0 / 2 + 1) % 8]]) }
            return "\(words.joined(separator: " ")) \(letters[row / 2 % 8]) \(secret),\(isEarly ? "early" : "late")\n"
        }.joined()
    }

    /// Rows for generation.
    func additions(_ name: String = "additions.jsonl", rows: Int = 12) throws -> String {
        let lines = (0..<rows).map { row in
            #"{"prompt": "\#(row)+\#(row % 5) \#(row % 3) \#(Workshop.secret)=", "completion": "\#(row + row % 5)."}"#
        }
        return try write(name, lines.joined(separator: "\n") + "\n")
    }

    /// Runs `hone` in the folder, with one thread unless told otherwise.
    func hone(_ arguments: String..., input: String = "", environment: [String: String] = [:]) throws
        -> HoneProcess.Result
    {
        try hone(arguments, input: Array(input.utf8), environment: environment)
    }

    /// Runs `hone` in the folder.
    func hone(_ arguments: [String], input: [UInt8] = [], environment: [String: String] = [:]) throws
        -> HoneProcess.Result
    {
        let result = try HoneProcess.run(
            Workshop.withThreads(arguments), in: folder, input: input, environment: environment)
        #expect(!result.timedOut, "\(arguments.joined(separator: " ")) took too long")
        #expect(result.signal == 0, "signal \(result.signal): \(result.error)")
        return result
    }

    /// One thread, so that numbers repeat and tests do not fight for the machine.
    static func withThreads(_ arguments: [String]) -> [String] {
        let takesThreads = [
            "fit", "train", "compare", "eval", "predict", "score", "generate", "chat", "embed",
        ].contains(arguments.first)
        return takesThreads && !arguments.contains { $0.hasPrefix("--threads") } && !arguments.contains("--help")
            ? arguments + ["--threads", "1"] : arguments
    }

    /// The arguments of a short training run over bert-tiny.
    func training(_ data: String, steps: Int = 4, more: [String] = []) throws -> [String] {
        [
            "train", data, "--method", "lora", "--set", "rank=2", "--model", try fixture("bert-tiny"), "--steps",
            String(steps), "--batch-size", "4", "--out", out, "--quiet",
        ] + more
    }

    /// A finished run in a folder of this workshop, over a model of this workshop.
    func finishedRun(_ name: String = "run") throws -> String {
        let path = folder + "/" + name
        let shared = try Workshop.sharedRun.get()
        try FileManager.default.copyItem(atPath: shared.folder + "/out", toPath: path)
        return path
    }

    /// A run that was stopped: the same without what is written last.
    func unfinishedRun(_ name: String = "run") throws -> String {
        let path = try finishedRun(name)
        try FileManager.default.removeItem(atPath: path + "/run.json")
        return path
    }

    /// The arguments that the shared run was made with, for another folder.
    func resuming(_ run: String, changing: [String] = []) throws -> [String] {
        let shared = try Workshop.sharedRun.get()
        var arguments = try shared.training(shared.folder + "/tickets.csv", more: Workshop.sharedOptions)
        if let place = arguments.firstIndex(of: "--out") { arguments[place + 1] = run }
        return arguments + changing + ["--resume"]
    }

    private static let sharedOptions = ["--checkpoint-every", "2"]

    /// Trained once, copied by every test that needs a run.
    private static let sharedRun: Swift.Result<Workshop, any Error> = Swift.Result {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let result = try HoneProcess.run(
            withThreads(try workshop.training(data, more: sharedOptions)), in: workshop.folder)
        guard result.code == 0 else { throw HoneProcess.StartFailure(description: result.error) }
        return workshop
    }
}
