import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneReports
import HoneTorch
import HoneTraining

/// `hone compare`
struct CompareCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Measures methods side by side on some tasks, rows and seeds.",
        discussion: """
            Every method gets the same rows, the same start, the same number of learning rates and steps. Seeds draw the \
            rows; figures are means over seeds with Student's interval, differences are taken seed by seed. The folder keeps \
            one line a measurement (records.jsonl) and the table (table.md); the same command goes on where it was stopped. \
            Started several times at once, the commands share the work.

              hone compare data/trec data/sst2 --methods probe,lora,full --rows 16,64,all --out comparisons/encoders
              hone compare rows.jsonl --methods "lora;lora:rank=2;bitfit" --untouched text.txt --out comparisons/mine
            """)

    @Argument(help: "Data files, folders with train/validation/test files, or task.yaml files.") var data: [String]
    @Option(
        help: "The methods, separated by commas; by semicolons where settings follow, as in lora:rank=4,alpha=8;full.")
    var methods: String
    @Option(help: "How many rows a class to learn from (of text, in all): numbers, or all, separated by commas.")
    var rows = "16,64,all"
    @Option(help: "How many seeds.") var seeds = 5
    @Option(help: "How many epochs a training has, within --steps.") var epochs = 10.0
    @Option(help: "The fewest and the most steps of a training.") var steps = "60-300"
    @Option(help: "How many learning rates a method may try, each for a third of the steps.") var trials = 3
    @Option(name: .customLong("batch-size"), help: "How many rows a step has.") var batchSize = 16
    @Option(
        name: .customLong("most-measured"), help: "The most validation rows, and the most test rows, that are read.")
    var mostMeasured = 1000
    @Option(help: "The method that the others are compared with. Default: lora, where it is among them.")
    var reference: String?
    @Option(help: "A file of texts that have nothing to do with the tasks, to see what is forgotten.")
    var untouched: String?
    @Option(help: "A model folder, or owner/name[@revision] on the Hub. Default: the built-in sentence encoder.")
    var model: String?
    @Option(help: "What the base model computes in: f32, bf16. What is trained stays f32.") var dtype = ComputeType.f32
    @Option(help: "The folder of the comparison; one that is there is gone on with.") var out: String
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        let names = methods.split(separator: methods.contains(";") || methods.contains(":") ? ";" : ",")
            .map { $0.trimmingCharacters(in: .whitespaces) }
        var options = MethodComparison.Options(data: data, methods: names, out: out)
        options.rows = try rows.split(separator: ",").map { word in
            let word = word.trimmingCharacters(in: .whitespaces)
            if word == "all" { return nil }
            guard let number = Int(word) else {
                throw HoneError(.usage, "must be numbers or `all`, not `\(word)`", item: "--rows")
            }
            return number
        }
        let ends = steps.split(separator: "-").map { Int($0) }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first <= last, first >= 1
        else { throw HoneError(.usage, "must be a number or a range such as 60-300, not `\(steps)`", item: "--steps") }
        options.steps = first...last
        options.seeds = seeds
        options.epochs = epochs
        options.trials = trials
        options.batchSize = batchSize
        options.mostMeasured = mostMeasured
        options.untouched = untouched
        options.model = model
        options.dtype = dtype.dtype
        if let reference, !names.contains(reference) {
            throw HoneError(.usage, "is not among the methods compared", item: "--reference")
        }
        try Engine.start(threads: threads)
        options.hub = try DownloadVoice.client(quiet: quiet)
        let comparison = try MethodComparison(options)
        Interruption.install()
        var progress = TerminalProgress(quiet: quiet)
        let records = try comparison.run(shouldStop: { Interruption.isWished }) { event in
            switch event {
            case .begin(let key):
                progress.update(
                    ProgressState(activity: "\(key.task), \(key.rows) rows, seed \(key.seed): \(key.method)", step: 0))
            case .done(let record):
                let key = record.key
                let figure =
                    record.reason.isEmpty
                    ? String(format: "%.4f in %.1f s", record.score, record.seconds) : record.reason
                progress.note("\(key.task), \(key.rows) rows, seed \(key.seed): \(key.method) \(figure)")
            case .left(let keys):
                Console.error(
                    "warning: another process is still at \(keys.count) of the measurements; the same command then "
                        + "gives the whole table")
            }
        }
        progress.clear()
        let table = ComparisonTable(records, reference: reference ?? (names.contains("lora") ? "lora" : nil))
        try AtomicFile.write(table.markdown, to: out + "/table.md")
        if json {
            Console.print(json: ["out": .string(out), "records": .array(records.map(\.json))])
        } else {
            var text = TextTable(table.titles)
            for line in table.lines { text.add(table.cells(line)) }
            Console.print(text.text())
            Console.print("records \(out)/records.jsonl")
        }
        if Interruption.isWished { throw ExitCode(130) }
    }
}
