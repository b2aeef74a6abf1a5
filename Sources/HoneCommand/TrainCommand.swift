import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneReports
import HoneTorch
import HoneTraining

extension TrainingPlan.Schedule: ExpressibleByArgument {}
extension TrainingPlan.Order: ExpressibleByArgument {}
extension TrainingPlan.Rule: ExpressibleByArgument {}

/// What the base model computes in.
enum ComputeType: String, ExpressibleByArgument, CaseIterable {
    case f32
    case bf16

    var dtype: DType { self == .f32 ? .float32 : .bfloat16 }
}

/// `hone train`
struct TrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "train",
        abstract: "Trains one method, by hand.",
        discussion: """
            Of a single file every row is trained on; validation and test come from --validation and --test, a folder, or \
            a task.yaml. {prompt, completion} rows are taken exactly as they stand; --mark-completions puts the model's \
            own start and end tokens around them. Ctrl-C leaves a run that --resume goes on with, to the same numbers.

              hone train tickets.csv --method lora --set rank=16 --set targets=query,value
              hone train rows.jsonl --method lora --model DIR --steps 200 --order file --learning-rate 1e-3
              hone train rows.jsonl --method lora --model DIR --steps 200 --out runs/a --resume

            `hone methods NAME` shows the settings of a method.
            """)

    @Argument(
        help:
            "A CSV, TSV, JSONL or JSON file, several of a task each (NAME=FILE,NAME=FILE), a folder with train/validation/test files, or a task.yaml."
    )
    var data: String
    @Option(help: "The method: \(MethodNames.list).") var method: String
    @Option(name: .customLong("set"), help: "A setting of the method, as key=value; may be repeated.")
    var settings: [String] = []
    @Option(
        help:
            "A model folder in Hugging Face layout, or owner/name[@revision] on the Hub. Default: the built-in sentence encoder."
    ) var model: String?
    @Option(help: "A file with validation rows.") var validation: String?
    @Option(help: "A file with test rows.") var test: String?
    @Option(name: .customLong("init-adapter"), help: "An adapter folder, of Hone or of PEFT, to start from.")
    var initialAdapter: String?
    @Option(help: "How many steps.") var steps: Int?
    @Option(help: "How many epochs. Default: 3.") var epochs: Double?
    @Option(name: .customLong("batch-size"), help: "How many rows a step has.") var batchSize = 32
    @Option(name: .customLong("accumulate"), help: "Into how many pieces a step is cut to save memory.")
    var accumulation = 1
    @Option(name: .customLong("max-length"), help: "The most tokens of a row.") var maximumLength = 256
    @Option(name: .customLong("learning-rate"), help: "The highest learning rate. Default: the method's own.")
    var learningRate: Double?
    @Option(help: "How gradients become steps: adamw, or sgd without momentum.") var optimizer = TrainingPlan.Rule.adamW
    @Option(
        name: .customLong("head-rate"),
        help: "The learning rate of a classifier's head over that of the rest; 0 leaves the head as it starts.")
    var headRate = 1.0
    @Option(help: "How the learning rate changes: constant, linear, cosine.") var schedule = TrainingPlan.Schedule
        .linear
    @Option(help: "The share of steps in which the learning rate rises.") var warmup = 0.0
    @Option(name: .customLong("weight-decay"), help: "Decoupled weight decay.") var weightDecay = 0.0
    @Option(help: "The largest norm of a step's gradient; 0 for no limit.") var clip = 0.0
    @Option(help: "In which order rows are taken: file, shuffled.") var order = TrainingPlan.Order.shuffled
    @Option(help: "What the base model computes in: f32, bf16. What is trained stays f32.") var dtype = ComputeType.f32
    @Option(name: .customLong("evaluate-every"), help: "Validate after so many steps. Default: four times a run.")
    var evaluateEvery: Int?
    @Option(help: "Stop after so many validations without improvement; 0 for never.") var patience = 0
    @Option(
        name: .customLong("checkpoint-every"), help: "Write a checkpoint after so many steps. Default: every minute.")
    var checkpointEvery = 0
    @Option(
        name: .customLong("keep-adapters"),
        help: "Keep the adapters of so many late steps in adapters/, for `hone generator`.")
    var keptAdapters = 0
    @Option(name: .customLong("keep-every"), help: "How many steps lie between two of them.") var keptEvery = 1
    @Flag(name: .customLong("mark-completions"), help: "Begin prompts and end completions with the model's own tokens.")
    var marksCompletions = false
    @Flag(name: .customLong("probe-head"), help: "Start classification from a solved head instead of a random one.")
    var startsFromProbe = false
    @Flag(name: .customLong("keep-head"), help: "Leave the classification head of --init-adapter as it is.")
    var keepsHead = false
    @Option(help: "The folder of the run. Default: runs/NAME-METHOD-1, -2, ...") var out: String?
    @Flag(help: "Go on with the run in --out.") var resume = false
    @Option(help: "What everything random is drawn from.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Use only libtorch's own operators: slower, and what the fast ways are compared with.")
    var exact = false
    @Flag(help: "Compute on the first CUDA device.") var cuda = false
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        try Engine.start(threads: threads ?? (resume ? out.flatMap(TrainRun.threads(ofRun:)) : nil))
        var options = TrainRun.Options(data: data, method: method)
        for pair in settings {
            guard let equals = pair.firstIndex(of: "="), equals != pair.startIndex else {
                throw HoneError(.usage, "`\(pair)` is not of the form key=value", item: "--set")
            }
            options.settings[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
        }
        options.model = model
        options.hub = try DownloadVoice.client(quiet: quiet)
        options.validation = validation
        options.test = test
        options.initialAdapter = initialAdapter
        options.steps = steps
        options.epochs = epochs
        options.maximumLength = maximumLength
        options.dtype = dtype.dtype
        options.exact = exact
        options.marksCompletions = marksCompletions
        options.startsFromProbe = startsFromProbe
        options.keepsHead = keepsHead
        options.out = out
        options.resume = resume
        if cuda {
            guard Engine.cudaDevices > 0 else {
                throw HoneError(.usage, "no CUDA device answers; `hone doctor` tells why", item: "--cuda")
            }
            options.device = .cuda(0)
        }
        if let learningRate {
            guard learningRate > 0, learningRate.isFinite else {
                throw HoneError(.usage, "must be a number above 0, not \(learningRate)", item: "--learning-rate")
            }
            options.plan.learningRate = learningRate
        }
        options.plan.batchSize = batchSize
        options.plan.accumulation = accumulation
        options.plan.headLearningRateFactor = headRate
        options.plan.rule = optimizer
        options.plan.schedule = schedule
        options.plan.warmup = warmup
        options.plan.weightDecay = weightDecay
        options.plan.maximumGradientNorm = clip
        options.plan.order = order
        options.plan.patience = patience
        options.plan.seed = seed
        options.plan.checkpointEvery = checkpointEvery
        options.evaluateEvery = evaluateEvery
        options.keptAdapters = keptAdapters
        options.keptEvery = keptEvery
        let training = try TrainRun(options)
        Interruption.install()
        let voice = TrainVoice(quiet: quiet, method: method, totalSteps: training.plan.steps)
        voice.say(training.preparation.task.verdict)
        let result = try training.run(shouldStop: { Interruption.isWished }) { event in voice.tell(event) }
        voice.finish()
        if json {
            Console.print(json: result.json)
        } else {
            Console.print(result.verdict)
            Console.print("run     \(result.folder.path)")
            if result.ending != .interrupted { Console.print("report  \(result.folder.report)") }
        }
        if result.ending == .interrupted { throw ExitCode(130) }
    }
}

/// What `train` says while it works.
final class TrainVoice {
    private var progress: TerminalProgress
    private let method: String
    private let totalSteps: Int
    private var tokens = 0
    private var seconds = 0.0
    private var done = 0

    init(quiet: Bool, method: String, totalSteps: Int) {
        progress = TerminalProgress(quiet: quiet)
        self.method = method
        self.totalSteps = totalSteps
    }

    func say(_ text: String) { progress.note(text) }

    func tell(_ event: TrainingEvent) {
        switch event {
        case .step(let step):
            tokens += step.tokens
            seconds += step.seconds
            done += 1
            progress.update(
                ProgressState(
                    activity: method, step: step.step, totalSteps: totalSteps, loss: step.loss,
                    tokensPerSecond: seconds > 0 ? Double(tokens) / seconds : nil,
                    secondsLeft: seconds / Double(done) * Double(totalSteps - step.step)))
        case .validation(let point):
            progress.note(
                "step \(point.step): validation score \(String(format: "%.4f", point.score)), loss "
                    + String(format: "%.4f", point.loss))
        case .warning(let text): progress.note("warning: \(text)")
        case .note(let text): progress.note(text)
        case .begin, .checkpoint: break
        }
    }

    func finish() { progress.clear() }
}
