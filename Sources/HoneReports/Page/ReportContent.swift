import Foundation
import HoneEvaluation

/// Everything a report shows, as plain values: fill in what is known, sections without data vanish.
///
/// All texts are plain; the page escapes them.
public struct ReportContent: Codable, Hashable, Sendable {
    /// The heading, usually the name of the run or of the task.
    public var title: String
    /// What was done, in a word or two above the title: "Fit", "Training".
    public var kind: String
    /// When the run ended; shown in UTC.
    public var date: Date?
    /// What came out, in one or two sentences with numbers; the first thing that is read.
    public var verdict: String
    /// The few figures that matter, in large digits under the verdict: about three to five.
    public var headlines: [Headline] = []
    /// What the reader must know before trusting the figures, such as duplicates across splits; one sentence each.
    public var warnings: [String] = []
    /// What was learned from: rows by split, labels, duplicates.
    public var task: [Fact] = []
    /// How many examples each split has, in order.
    public var splits: [Split] = []
    /// What the base model is: name, family, parameters, precision.
    public var baseModel: [Fact] = []
    /// Why the chosen method was chosen: `ModelChoice.explanation`, as it is.
    public var explanation: String = ""
    /// The methods that were tried, the chosen one first or in any order.
    public var methods: [Method] = []
    /// Curves over steps; those of one figure share a chart.
    public var curves: [Curve] = []
    /// What is known about a classifier's outcomes.
    public var classification: Classification?
    /// Examples that the specialist gets wrong. Data of the user: left out on request.
    public var errors: [ErrorExample] = []
    /// Outputs of a generator. Data of the user: left out on request.
    public var samples: [Sample] = []
    /// What the chosen method shows of what it learned.
    public var figures: [Figure] = []
    /// How to use the specialist.
    public var commands: [Command] = []
    /// What is needed to do it again: seed, versions, hashes, threads, machine.
    public var reproducibility: [Fact] = []
    /// All settings as JSON text.
    public var settings: String = ""

    /// A report with a title, what was done, and what came out; the rest is filled in.
    public init(title: String, kind: String, date: Date? = nil, verdict: String) {
        self.title = title
        self.kind = kind
        self.date = date
        self.verdict = verdict
    }
}

extension ReportContent {
    /// A name and a value, such as "Base model" and "all-MiniLM-L6-v2".
    public struct Fact: Codable, Hashable, Sendable {
        /// What it is.
        public var name: String
        /// The value as text.
        public var value: String

        /// A fact.
        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// A figure in large digits.
    public struct Headline: Codable, Hashable, Sendable {
        /// What it is: "Test accuracy".
        public var name: String
        /// The value: "0.931".
        public var value: String
        /// What stands under it: "0.915–0.946, 1,000 examples".
        public var note: String

        /// A figure in large digits.
        public init(name: String, value: String, note: String = "") {
            self.name = name
            self.value = value
            self.note = note
        }
    }

    /// A part of the examples.
    public struct Split: Codable, Hashable, Sendable {
        /// "train", "validation", "test".
        public var name: String
        /// How many examples.
        public var count: Int

        /// A part of the examples.
        public init(name: String, count: Int) {
            self.name = name
            self.count = count
        }
    }

    /// A figure of a method.
    public struct Metric: Codable, Hashable, Sendable {
        /// How a figure is written.
        public enum Style: String, Codable, Hashable, Sendable {
            /// Between 0 and 1, three decimals.
            case share
            /// Any number, four significant digits.
            case number
        }
        /// What it is: "accuracy", "macro-F1", "log loss". The same figure has the same name everywhere.
        public var name: String
        /// The figure with its interval.
        public var interval: Interval
        /// How it is written.
        public var style: Style
        /// Whether more is better.
        public var higherIsBetter: Bool

        /// A figure of a method.
        public init(_ name: String, _ interval: Interval, style: Style = .share, higherIsBetter: Bool = true) {
            self.name = name
            self.interval = interval
            self.style = style
            self.higherIsBetter = higherIsBetter
        }
    }

    /// A method that was tried.
    public struct Method: Codable, Hashable, Sendable {
        /// What became of a method.
        public enum Status: String, Codable, Hashable, Sendable {
            /// This one was taken.
            case chosen
            /// Trained to the end.
            case completed
            /// Stopped before its end, because it was clearly behind.
            case droppedEarly
            /// Ended with an error.
            case failed
            /// Not started, for example for want of time.
            case skipped
        }
        /// The name of the method: "lora".
        public var name: String
        /// What became of it.
        public var status: Status
        /// Why, in a few words, for what was dropped, failed or skipped.
        public var reason: String = ""
        /// The figures on the validation examples; the first is the one that the choice went by.
        public var validation: [Metric] = []
        /// The figures on the test examples, for the chosen method.
        public var test: [Metric] = []
        /// Training time in seconds.
        public var seconds: Double?
        /// The most memory in use, in bytes.
        public var peakMemory: Int?
        /// How many parameters were trained.
        public var trainedParameters: Int?
        /// The learning rate that was picked.
        public var learningRate: Double?

        /// A method that was tried.
        public init(name: String, status: Status, reason: String = "") {
            self.name = name
            self.status = status
            self.reason = reason
        }
    }

    /// A figure of one method over training.
    public struct Curve: Codable, Hashable, Sendable {
        /// The name of the method.
        public var method: String
        /// What the curve shows: "training loss", "validation accuracy".
        public var metric: String
        /// The values; x is the step.
        public var points: [ChartPoint]

        /// A figure of one method over training.
        public init(method: String, metric: String, points: [ChartPoint]) {
            self.method = method
            self.metric = metric
            self.points = points
        }
    }

    /// The outcomes of a classifier in detail.
    public struct Classification: Codable, Hashable, Sendable {
        /// The examples they are of: "test".
        public var split: String
        /// The names of the classes, by index.
        public var labels: [String]
        /// How often each class was predicted for each class.
        public var confusion: ConfusionMatrix
        /// Precision, recall, F1 and support of each class.
        public var classes: [ClassMetrics]
        /// The bins of the reliability diagram; empty without probabilities.
        public var bins: [ReliabilityBin]
        /// The expected calibration error.
        public var expectedCalibrationError: Interval?

        /// The outcomes of a classifier in detail.
        public init(split: String, labels: [String], metrics: ClassificationMetrics) {
            self.split = split
            self.labels = labels
            confusion = metrics.confusion
            classes = metrics.classes
            bins = metrics.calibration?.bins ?? []
            expectedCalibrationError = metrics.calibration?.expectedCalibrationError
        }

        /// The name of a class; its index where it has none.
        public func name(_ index: Int) -> String {
            labels.indices.contains(index) ? labels[index] : "class \(index)"
        }
    }

    /// An example that was predicted wrong.
    public struct ErrorExample: Codable, Hashable, Sendable {
        /// The text of the example.
        public var text: String
        /// The right label.
        public var label: String
        /// The predicted label.
        public var prediction: String
        /// The probability of the predicted label, where known.
        public var confidence: Double?
        /// Where the example stands: "test row 17".
        public var place: String

        /// An example that was predicted wrong.
        public init(text: String, label: String, prediction: String, confidence: Double? = nil, place: String = "") {
            self.text = text
            self.label = label
            self.prediction = prediction
            self.confidence = confidence
            self.place = place
        }
    }

    /// An input with what was generated for it.
    public struct Sample: Codable, Hashable, Sendable {
        /// The prompt.
        public var input: String
        /// What the specialist wrote.
        public var output: String
        /// What was wanted, where known.
        public var reference: String?
        /// Whether the output counts as right, where that was measured.
        public var isRight: Bool?

        /// An input with what was generated for it.
        public init(input: String, output: String, reference: String? = nil, isRight: Bool? = nil) {
            self.input = input
            self.output = output
            self.reference = reference
            self.isRight = isRight
        }
    }

    /// A command with what it does.
    public struct Command: Codable, Hashable, Sendable {
        /// What it does, in a few words.
        public var purpose: String
        /// The command line.
        public var line: String

        /// A command with what it does.
        public init(_ purpose: String, _ line: String) {
            self.purpose = purpose
            self.line = line
        }
    }
}
