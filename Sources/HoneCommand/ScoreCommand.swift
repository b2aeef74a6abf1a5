import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneTasks
import HoneTorch

/// `hone score`
struct ScoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "score",
        abstract: "Says how likely a model finds texts after others: multiple choice, or given completions.",
        discussion: """
            Rows are {context or prompt, choices: [...], answer} or {prompt, completion}. An answer is one of the choices, its \
            number from 0, or its letter; without answers only log-likelihoods are given. The likeliest choice is the \
            model's; by length means log-likelihood per character. Tokens are counted as lm-evaluation-harness counts them. \
            What rows have in common from their beginning, such as worked examples, is computed once.

              hone score MODEL --data questions.jsonl
              hone score MODEL --data questions.jsonl --preamble shots.txt --delimiter " " --json > scores.json
              hone score runs/answers-1 --data rows.jsonl
            """)

    @Argument(
        help: ArgumentHelp("The folder of a model in Hugging Face layout, or of a run.", valueName: "model-or-run"))
    var folder: String
    @Option(help: "The file with the rows.") var data: String
    @Option(help: ArgumentHelp("A file with text that stands before every context.", valueName: "file"))
    var preamble: String?
    @Option(help: ArgumentHelp("Text between a context and what follows it.", valueName: "text")) var delimiter = ""
    @Option(help: "The base model's folder of a run, where it has moved.") var model: String?
    @Option(help: "Which task of a run that tells several apart.") var task: String?
    @Option(help: "What the model computes in: f32, bf16.") var dtype = ComputeType.f32
    @Flag(help: "Use only libtorch's own operators, each row by itself: slower, the oracle.") var exact = false
    @Option(help: "The seed of the bootstrap.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output, with every continuation's log-likelihood.") var json = false

    func run() throws {
        try Engine.start(threads: threads)
        let rows = try ScoringRow.read(file: data)
        var options = Scoring.Options()
        options.delimiter = delimiter
        options.seed = seed
        if let preamble {
            guard let text = String(validating: try FileBytes.read(preamble), as: UTF8.self) else {
                throw HoneError(.badFile, "is not UTF-8 text", file: preamble)
            }
            options.preamble = text
        }
        let named = try NamedModel(folder, base: model, dtype: dtype.dtype, exact: exact, task: task)
        guard named.run == nil || (dtype == .f32 && !exact) else {
            throw HoneError(
                .usage, "is for a model's own folder; this is a run", file: folder, item: exact ? "--exact" : "--dtype")
        }
        let start = monotonicSeconds()
        let scoring = try Scoring(of: rows, by: named, options: options)
        let seconds = monotonicSeconds() - start
        if scoring.truncated > 0 {
            Console.error(
                "warning: \(scoring.truncated) contexts are longer than the model reaches and lost their beginning")
        }
        if json {
            var object = scoring.json.object ?? JSONObject()
            object["seconds"] = .number(seconds)
            object["truncated"] = .integer(scoring.truncated)
            return Console.print(json: .object(object))
        }
        for (name, value) in scoring.figures.object?.pairs ?? [] {
            let label = name.replacingOccurrences(of: "_", with: " ").padding(toLength: 26, withPad: " ", startingAt: 0)
            if let middle = value["value"]?.number, let low = value["low"]?.number, let high = value["high"]?.number {
                Console.print(label + String(format: "%.4f  (%.4f to %.4f)", middle, low, high))
            } else if let number = value.integer {
                Console.print(label + "\(number)")
            }
        }
    }
}
