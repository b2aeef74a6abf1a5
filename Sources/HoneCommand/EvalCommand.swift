import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneTorch

/// `hone eval`
struct EvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval",
        abstract: "Measures a specialist on other rows.",
        discussion: """
            The file has the columns of the task; for an adapter alone text and label, or prompt and completion. Figures \
            carry 95 % bootstrap intervals.

              hone eval runs/tickets-1 --data new.csv
              hone eval runs/tickets-1 --data new.jsonl --json
            """)

    @Argument(help: ArgumentHelp("The folder of a run, or of an adapter that Hone or PEFT wrote.", valueName: "run"))
    var folder: String
    @Option(help: "The file with the rows, or several of a task each: NAME=FILE,NAME=FILE.") var data: String
    @Option(help: "The task of all the rows, where the run tells several apart.") var task: String?
    @Option(help: "The base model's folder, or name on the Hub, where it has moved.") var model: String?
    @Option(help: "The seed of the bootstrap.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: threads)
        let saved = try SavedRun(
            path: folder, model: model, hub: try DownloadVoice.client(quiet: false), task: task)
        let (evaluation, warnings) = try saved.evaluate(file: data, seed: seed)
        for warning in warnings { Console.error("warning: \(warning)") }
        if json {
            Console.print(json: evaluation.json)
            return
        }
        for (name, value) in evaluation.json.object?.pairs ?? [] {
            if let middle = value["value"]?.number, let low = value["low"]?.number, let high = value["high"]?.number {
                Console.print(
                    name.padding(toLength: 12, withPad: " ", startingAt: 0)
                        + String(format: "%.4f  (%.4f to %.4f)", middle, low, high))
            } else if let number = value.integer {
                Console.print(name.padding(toLength: 12, withPad: " ", startingAt: 0) + "\(number)")
            }
        }
    }
}
