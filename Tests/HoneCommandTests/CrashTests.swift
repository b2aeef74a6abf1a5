import Foundation
import HoneFormats
import Testing

/// A run that dies at any instant is resumed to the same bytes.
@Suite struct CrashTests {
    /// The run that is killed: dropout, shuffled epochs, validation and checkpoints all matter to its numbers.
    private static func arguments(_ workshop: Workshop, out: String) throws -> [String] {
        let data = try workshop.tickets()
        let validation = try workshop.tickets("validation.csv", rows: 8, from: 40)
        return [
            "train", data, "--method", "lora", "--set", "rank=2", "--set", "dropout=0.3", "--model",
            try workshop.fixture("bert-tiny"), "--validation", validation, "--steps", "40", "--batch-size", "4",
            "--evaluate-every", "7", "--checkpoint-every", "3", "--seed", "5", "--out", out, "--quiet", "--threads",
            "1",
        ]
    }

    private static func isFinished(_ run: String) -> Bool { FileManager.default.fileExists(atPath: run + "/run.json") }

    private static func checkpoints(_ run: String) -> [String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints")) ?? []
        return names.filter { $0.hasPrefix("step-") }.sorted()
    }

    /// The numbers of the run that nobody disturbs, and how long it takes.
    private static func undisturbed(_ workshop: Workshop) throws -> (figures: RunFigures, seconds: Double) {
        let started = Date()
        let result = try workshop.hone(arguments(workshop, out: workshop.folder + "/whole"))
        #expect(result.code == 0, "\(result.error)")
        return (try RunFigures(workshop.folder + "/whole"), Date().timeIntervalSince(started))
    }

    /// Waits until a run has a checkpoint.
    private static func waitForCheckpoint(_ run: String) -> Bool {
        for _ in 0..<20_000 {
            if !checkpoints(run).isEmpty { return true }
            if isFinished(run) { return false }
            usleep(3000)
        }
        return false
    }

    /// Waits until a process has written into a run's log.
    private static func waitForTraining(_ run: String) -> Bool {
        func size() -> Int? {
            (try? FileManager.default.attributesOfItem(atPath: run + "/log.jsonl")[.size] as? NSNumber)?.intValue
        }
        let before = size()
        for _ in 0..<20_000 {
            if size() != before || isFinished(run) { return true }
            usleep(1000)
        }
        return false
    }

    @Test("SIGKILL at random instants never costs a run its numbers")
    func killed() throws {
        let workshop = try Workshop()
        let whole = try CrashTests.undisturbed(workshop)
        let wanted = ProcessInfo.processInfo.environment["HONE_SLOW_TESTS"] == "1" ? 50 : 8
        var random = SeededGenerator(seed: 20_26, stream: "kills")
        var kills = 0
        var finished = 0
        while kills < wanted {
            let run = workshop.folder + "/killed-\(finished)"
            let arguments = try CrashTests.arguments(workshop, out: run)
            var attempts = 0
            while !CrashTests.isFinished(run) {
                attempts += 1
                // Also the first time: where there is no run yet, it begins.
                let process = try HoneProcess(arguments + ["--resume"], in: workshop.folder)
                let share = Double(random.next() >> 11) / Double(UInt64(1) << 53)
                let result: HoneProcess.Result
                if attempts <= 4, kills < wanted {
                    // Every other one dies while it trains, measures or writes; the rest at any time from the start on.
                    let isTraining = attempts % 2 == 0 && CrashTests.waitForTraining(run)
                    usleep(UInt32(whole.seconds * (isTraining ? 0.4 : 1) * share * 1e6))
                    process.signal(SIGKILL)
                    result = process.wait()
                    if result.signal == SIGKILL { kills += 1 }
                } else {
                    result = process.wait()
                }
                #expect(result.signal == SIGKILL || result.code == 0, "\(result.error)")
                if result.signal == 0, result.code != 0 { return }
            }
            #expect(try RunFigures(run) == whole.figures)
            Refusal.checkNoTemporaryFiles(below: run)
            let answered = try workshop.hone("predict", run, "ab cd")
            #expect(answered.code == 0, "\(answered.error)")
            finished += 1
        }
        #expect(kills >= wanted)
    }

    @Test("SIGINT and SIGTERM leave a checkpoint and say how to go on", arguments: [SIGINT, SIGTERM])
    func stopped(_ signal: Int32) throws {
        let workshop = try Workshop()
        let run = workshop.folder + "/stopped"
        var arguments = try CrashTests.arguments(workshop, out: run)
        // Long enough to be caught in the middle on any machine.
        let place = try #require(arguments.firstIndex(of: "40"))
        arguments[place] = "200000"
        let process = try HoneProcess(arguments, in: workshop.folder)
        #expect(CrashTests.waitForCheckpoint(run))
        process.signal(signal)
        // All of its steps would take far longer, also on a fast machine.
        let result = process.wait(seconds: 60)
        #expect(result.code == 130 && result.signal == 0 && !result.timedOut, "\(result)")
        #expect(result.output.contains("--resume") && result.output.contains(run), "\(result.output)")
        #expect(!CrashTests.isFinished(run))
        let newest = try #require(CrashTests.checkpoints(run).last)
        let log = try String(contentsOfFile: run + "/log.jsonl", encoding: .utf8).split(separator: "\n")
        #expect(Int(newest.dropFirst(5)) == log.count, "the checkpoint is of the last step done")
        Refusal.checkNoTemporaryFiles(below: run)
    }

    @Test("a run that was stopped reaches the numbers of one that was not")
    func resumedAfterStop() throws {
        let workshop = try Workshop()
        let whole = try CrashTests.undisturbed(workshop)
        let run = workshop.folder + "/stopped"
        let arguments = try CrashTests.arguments(workshop, out: run)
        let process = try HoneProcess(arguments, in: workshop.folder)
        if CrashTests.waitForCheckpoint(run) { process.signal(SIGTERM) }
        let result = process.wait()
        #expect(result.code == 130 || result.code == 0, "\(result)")
        if !CrashTests.isFinished(run) {
            let resumed = try workshop.hone(arguments + ["--resume"])
            #expect(resumed.code == 0, "\(resumed.error)")
        }
        #expect(try RunFigures(run) == whole.figures)
    }

    @Test("a damaged newest checkpoint is moved aside and the one before it taken")
    func damagedCheckpoint() throws {
        let workshop = try Workshop()
        let whole = try CrashTests.undisturbed(workshop)
        let run = workshop.folder + "/whole"
        // As if it had died before the end: the newest checkpoint lost its end, the run was not finished.
        try FileManager.default.removeItem(atPath: run + "/run.json")
        try FileManager.default.removeItem(atPath: run + "/metrics.json")
        let checkpoints = CrashTests.checkpoints(run)
        #expect(checkpoints.count == 2)
        let newest = try #require(checkpoints.last)
        let file = run + "/checkpoints/\(newest)/state.safetensors"
        try Data(FileBytes.read(file).dropLast(100)).write(to: URL(fileURLWithPath: file))
        let arguments = try CrashTests.arguments(workshop, out: run).filter { $0 != "--quiet" }
        let resumed = try workshop.hone(arguments + ["--resume"])
        #expect(resumed.code == 0, "\(resumed.error)")
        #expect(resumed.error.contains("moved aside"), "\(resumed.error)")
        #expect(try RunFigures(run) == whole.figures)
        let kept = try FileManager.default.contentsOfDirectory(atPath: run + "/checkpoints")
        #expect(kept.contains { $0.hasPrefix("damaged-") })
    }
}
