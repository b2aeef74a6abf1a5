import ArgumentParser
import Foundation
import Hone
import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneReports
import HoneTorch
import HoneTraining

/// `hone fit`
struct FitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fit",
        abstract: "Tries methods within a budget, picks one honestly, writes a run.",
        discussion: """
            Every method gets the same number of learning rates and steps to try; what is clearly behind on validation is \
            dropped, the rest trains in full. Validation chooses (of methods that cannot be told apart, the cheaper one), \
            and the test rows are read once, at the end. Without --validation or --test, rows are set aside by a seeded \
            draw. Ctrl-C ends the search with what has been measured so far.

              hone fit tickets.csv
              hone fit data/ --budget 5m --methods probe,lora --out runs/quick
              hone fit rows.jsonl --model path/to/decoder --dry-run
            """)

    @Argument(help: "A CSV, TSV, JSONL or JSON file, a folder with train/validation/test files, or a task.yaml.")
    var data: String
    @Option(help: "A file with validation rows.") var validation: String?
    @Option(help: "A file with test rows.") var test: String?
    @Option(
        help:
            "A model folder in Hugging Face layout, or owner/name[@revision] on the Hub. Default: the built-in sentence encoder."
    ) var model: String?
    @Option(
        help: ArgumentHelp(
            "The methods to try, separated by commas. Default: those of \(Methods.triedByDefault.joined(separator: ", ")) that fit."
        )) var methods: String?
    @Option(
        name: .customLong("learning-rates"),
        help:
            "The learning rates that every trained method tries, separated by commas, the usual one first. Default: its own."
    ) var learningRates: String?
    @Option(help: "How long the search may take: 90s, 15m, 1h.") var budget = "15m"
    @Option(help: "The folder of the run. Default: runs/NAME-1, -2, ...") var out: String?
    @Option(help: "What everything random is drawn from.") var seed: UInt64 = 0
    @Option(name: .customLong("max-length"), help: "The most tokens of a row. Default: chosen from the data.")
    var maximumLength: Int?
    @Option(name: .customLong("batch-size"), help: "How many rows a step has.") var batchSize = 32
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Option(
        name: .customLong("repeat"),
        help:
            "Do the search of this run again, step for step whatever the speed: the same plan, methods, seed, threads.")
    var repeated: String?
    @Flag(name: .customLong("dry-run"), help: "Say what would be done, and how long it may take; train nothing.")
    var dryRun = false
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        let plan = try repeated.map(SearchPlan.init(run:))
        try Engine.start(threads: threads ?? plan?.threads)
        var options = Fit.Options(data: data)
        options.repeating = plan
        options.validation = validation
        options.test = test
        options.model = model
        options.hub = try DownloadVoice.client(quiet: quiet)
        options.methods = (methods ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }
        options.learningRates = try (learningRates ?? "").split(separator: ",").map { word in
            guard let rate = Double(word.trimmingCharacters(in: .whitespaces)) else {
                throw HoneError(.usage, "must be numbers separated by commas, not “\(word)”", item: "--learning-rates")
            }
            return rate
        }
        options.budget = try TimeSpan.seconds(budget, option: "--budget")
        options.out = out
        options.seed = seed
        options.maximumLength = maximumLength
        options.batchSize = batchSize
        let fit = try Fit(options)
        let voice = FitVoice(quiet: quiet)
        voice.introduce(fit)
        if dryRun {
            try describe(fit)
            return
        }
        Interruption.install()
        let result = try fit.run(shouldStop: { Interruption.isWished }) { event in voice.tell(event) }
        voice.finish()
        if json {
            Console.print(json: result.json)
        } else {
            Console.print(voice.table(result))
            Console.print(result.outcome.explanation)
            Console.print("")
            Console.print(result.verdict)
            Console.print("run     \(result.folder.path)")
            Console.print("report  \(result.folder.report)")
            Console.print("next    hone predict \(result.folder.path) \"…\"")
        }
        if result.outcome.wasInterrupted { throw ExitCode(130) }
    }

    private func describe(_ fit: Fit) throws {
        let preparation = fit.preparation
        let fitting = fit.methods.filter {
            (try? $0.checkFit(preparation.model.configuration, preparation.shape)) != nil
        }
        if json {
            Console.print(
                json: [
                    "task": preparation.task.json, "model": .string(preparation.model.folder),
                    "methods": .array(fitting.map { .string($0.name) }), "budget_seconds": .number(fit.options.budget),
                    "maximum_length": .integer(preparation.encoding.maximumLength), "dry_run": true,
                ])
            return
        }
        Console.print("would try   \(fitting.map(\.name).joined(separator: ", "))")
        Console.print("budget      \(TimeSpan.text(fit.options.budget))")
        Console.print("rows        at most \(preparation.encoding.maximumLength) tokens, \(batchSize) a step")
    }
}

/// What `fit` says while it works.
final class FitVoice {
    private var progress: TerminalProgress
    private let quiet: Bool
    private var activity = ""
    private var tokens = 0
    private var seconds = 0.0

    init(quiet: Bool) {
        self.quiet = quiet
        progress = TerminalProgress(quiet: quiet)
    }

    /// Says what was found in the data.
    func introduce(_ fit: Fit) {
        let preparation = fit.preparation
        progress.note(preparation.task.verdict)
        progress.note(preparation.task.splitSummary)
        for warning in preparation.warnings { progress.note("warning: \(warning)") }
        let configuration = preparation.model.configuration
        progress.note(
            "base model: \(preparation.model.location.name), "
                + "\(NumberText.count(configuration.parameterCount)) parameters, \(Engine.threads) threads")
    }

    /// Says what happens.
    func tell(_ event: SearchEvent) {
        switch event {
        case .begin(let method, let activity, _):
            self.activity = "\(method), \(activity)"
            tokens = 0
            seconds = 0
            progress.update(ProgressState(activity: self.activity, step: 0))
        case .step(_, let step, let total):
            tokens += step.tokens
            seconds += step.seconds
            let left = seconds / Double(max(1, step.step)) * Double(total - step.step)
            progress.update(
                ProgressState(
                    activity: activity, step: step.step, totalSteps: total, loss: step.loss,
                    tokensPerSecond: seconds > 0 ? Double(tokens) / seconds : nil, secondsLeft: left))
        case .validation: break
        case .note(let text): progress.note(text)
        }
    }

    /// Takes the live line away.
    func finish() { progress.clear() }

    /// The methods side by side.
    func table(_ result: Fit.Result) -> String {
        let isClassifier = result.validation.classification != nil
        var table = TextTable(
            [
                "method", "", isClassifier ? "validation accuracy" : "validation loss",
                isClassifier ? "macro F1" : "perplexity",
                "rate", "trained", "time", "memory",
            ], alignments: [.left, .left, .right, .right, .right, .right, .right, .right])
        for (place, method) in result.outcome.results.enumerated() {
            let isChosen = place == result.outcome.chosen
            let measured = isChosen ? result.validation : method.validation
            let first = measured?.classification?.accuracy ?? measured?.generation?.loss
            let second = measured?.classification?.macroF1 ?? measured?.generation?.perplexity
            let worked = method.status != .skipped
            table.add([
                method.name, isChosen ? "chosen" : method.status == .completed ? "" : method.status.rawValue,
                first.map { String(format: "%.4f (%.3f–%.3f)", $0.value, $0.low, $0.high) } ?? "",
                second.map { String(format: "%.4f", $0.value) } ?? "",
                method.learningRate.map { String($0) } ?? "", worked ? "\(method.trainedParameters)" : "",
                worked ? TimeSpan.text(method.seconds) : "", worked ? "\(method.peakBytes >> 20) MiB" : "",
            ])
        }
        return table.text()
    }
}
