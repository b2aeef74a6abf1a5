import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneModels
import HoneReports
import HoneTasks
import HoneTorch

/// `hone predict`
struct PredictCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predict",
        abstract: "Asks a specialist.",
        discussion: """
            Texts, or the paths of images, come as arguments, from a file (a table as in training, or plain lines in a .txt), or, where neither is \
            given, line by line from standard input. One answer a line: label, probability, or the text written.

              hone predict runs/tickets-1 "my card is stuck in the machine"
              hone predict runs/tickets-1 --file new.csv --json
              cat lines.txt | hone predict runs/tickets-1
              hone predict runs/digits-1 seven.png one.jpg
            """)

    @Argument(help: ArgumentHelp("The folder of a run, or of an adapter that Hone or PEFT wrote.", valueName: "run"))
    var folder: String
    @Argument(help: "Texts to answer, or the paths of images to classify.") var texts: [String] = []
    @Option(help: "A table with the columns of the task, or a .txt with a text, or the path of an image, a line.")
    var file: String?
    @Option(help: "The task of all the texts, where the run tells several apart; a table can also say it row by row.")
    var task: String?
    @Option(help: "The base model's folder, or name on the Hub, where it has moved.") var model: String?
    @Option(name: .customLong("max-new-tokens"), help: "The most tokens written, in generation.") var maximumNewTokens =
        64
    @Option(help: "Above 0, tokens are drawn instead of taken greedily.") var temperature = 0.0
    @Option(help: "The seed of the draws.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard texts.isEmpty || file == nil else {
            throw HoneError(.usage, "give texts or --file, not both", item: "--file")
        }
        guard (1...1 << 20).contains(maximumNewTokens) else {
            throw HoneError(.usage, "must be from 1 to \(1 << 20), not \(maximumNewTokens)", item: "--max-new-tokens")
        }
        guard temperature >= 0, temperature.isFinite else {
            throw HoneError(.usage, "must not be below 0", item: "--temperature")
        }
        try Engine.start(threads: threads)
        let saved = try SavedRun(
            path: folder, model: model, hub: try DownloadVoice.client(quiet: false), task: task)
        var options = GenerationOptions()
        options.maximumNewTokens = maximumNewTokens
        options.temperature = temperature
        options.seed = seed
        if let file, !file.hasSuffix(".txt") {
            let (examples, warnings) = try saved.definition.examples(file: file, needsTargets: false)
            for warning in warnings { Console.error("warning: \(warning)") }
            try answer(examples, saved, options)
        } else if let file {
            guard let content = String(validating: try FileBytes.read(file), as: UTF8.self) else {
                throw HoneError(.badFile, "is not UTF-8 text", file: file)
            }
            try answer(examples(TextFile.lines(content), saved), saved, options)
        } else if !texts.isEmpty {
            try answer(examples(texts, saved), saved, options)
        } else {
            try answer(examples(Console.standardInputLines(), saved), saved, options)
        }
    }

    private func examples(_ texts: [String], _ saved: SavedRun) throws -> [Example] {
        try texts.enumerated().map {
            Example(
                index: $0.offset, file: "", line: $0.offset + 1, input: try saved.input(text: $0.element),
                target: .unknown)
        }
    }

    private func answer(_ rows: [Example], _ saved: SavedRun, _ options: GenerationOptions) throws {
        guard !rows.isEmpty else {
            throw HoneError(.usage, "there is nothing to answer: give texts, --file, or lines")
        }
        let predictions = try saved.predict(rows, options: options)
        if json {
            Console.print(json: ["predictions": .array(predictions.map(\.json))])
            return
        }
        for prediction in predictions {
            if let probability = prediction.probability {
                Console.print("\(prediction.answer)\t\(String(format: "%.4f", probability))")
            } else {
                Console.print(prediction.answer)
            }
        }
    }
}
