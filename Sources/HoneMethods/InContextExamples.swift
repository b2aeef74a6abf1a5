import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// One worked example that stands before the input.
public struct Demonstration: Hashable, Sendable {
    /// The input.
    public var input: String
    /// Its answer.
    public var target: String

    /// A worked example.
    public init(input: String, target: String) {
        self.input = input
        self.target = target
    }
}

/// Worked examples before the input of a frozen decoder (Brown et al. 2020): no training.
public struct InContextExamples: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "icl", title: "In-context examples",
        summary: "Puts a few worked examples before every input; nothing is trained.",
        advice: "Needs a decoder that follows examples. Nothing to train, but every answer pays for the longer prompt.",
        paper: "Brown et al. 2020, arXiv 2005.14165", training: .none, costRank: 6,
        settings: [
            Setting("shots", .integer(4, 0...64), "How many examples."),
            Setting("seed", .integer(0, 0...Int.max), "Which examples are drawn."),
        ], isTriedByDefault: true)

    /// The values of the settings.
    public let settings: MethodSettings

    /// In-context examples with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// Only for decoders.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        guard model.hasLanguageHead else {
            throw HoneError(.mismatch, "in-context examples need a model that generates text", item: "icl")
        }
    }

    /// Draws examples from the training rows, as evenly over the classes as their number allows.
    public func choose(from examples: [Example], labels: [String]) -> [Demonstration] {
        var generator = SeededGenerator(seed: UInt64(settings.integer("seed")), stream: "demonstrations")
        var order = Array(examples.indices)
        generator.shuffle(&order)
        var byClass: [Int: [Int]] = [:]
        for index in order { byClass[examples[index].label ?? 0, default: []].append(index) }
        let queues = byClass.keys.sorted().map { byClass[$0] ?? [] }
        let longest = queues.map(\.count).max() ?? 0
        // One of each class in turn, until there are enough.
        let alternating = (0..<longest).flatMap { depth in
            queues.filter { $0.count > depth }.map { $0[depth] }
        }
        var chosen = Array(alternating.prefix(settings.integer("shots")))
        generator.shuffle(&chosen)
        return chosen.map { demonstration(examples[$0], labels: labels) }
    }

    private func demonstration(_ example: Example, labels: [String]) -> Demonstration {
        let label = example.label.flatMap { labels.indices.contains($0) ? labels[$0] : nil }
        return Demonstration(
            input: InContextExamples.inputText(example.input), target: label ?? example.completion ?? "")
    }

    /// An input as plain text; an image by its path.
    public static func inputText(_ input: Example.Input) -> String {
        switch input {
        case .text(let text), .prompt(let text): text
        case .pair(let first, let second): first + "\n" + second
        case .messages(let messages, _): ExampleEncoder.plain(messages)
        case .image(let image): image.path
        }
    }

    /// The text before a prompt: inputs and answers as they stand, a blank line between them.
    public static func preamble(_ demonstrations: [Demonstration], classification: Bool) -> String {
        demonstrations.map { shot in
            classification ? "Input: \(shot.input)\nLabel: \(shot.target)\n\n" : "\(shot.input)\(shot.target)\n\n"
        }.joined()
    }

    /// Nothing is trained.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        ParameterSet()
    }

    /// Nothing is attached.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        Attachments()
    }

    /// Examples are text, not weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// The examples are written with the adapter's description.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {}

    /// Reads the settings.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: InContextExamples, parameters: ParameterSet)
    {
        (try InContextExamples(folder.settings(card)), ParameterSet())
    }
}
