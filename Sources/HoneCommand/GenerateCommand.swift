import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneModels
import HoneTorch
import HoneTraining

/// `hone generate`
struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Lets a model, or a run's specialist, go on from prompts.",
        discussion: """
            Prompts come as arguments, from a file (a prompt a line in a .txt, or the column `prompt` or `text` of a table), \
            or, where neither is given, line by line from standard input. What follows a prompt is printed, as it is written. \
            A row's text does not depend on the others: the same seed and row give the same text in any company.

              hone generate DIR "Once upon a time" --max-tokens 100
              hone generate DIR "Once upon a time" --temperature 0.8 --top-p 0.95 --samples 3 --seed 7
              hone generate DIR "Once upon a time" --beams 4 --samples 2 --json
              hone generate runs/poems-1 --file prompts.txt --stop "\\n" --json

            Temperature 0 is greedy; 0.7 to 1 with --top-p 0.9 or --min-p 0.05 is usual for free text. Beams look for \
            likely texts as a whole, which suits short, exact answers.
            """)

    @Argument(
        help: ArgumentHelp("The folder of a model in Hugging Face layout, or of a run.", valueName: "model-or-run"))
    var folder: String
    @Argument(help: "Texts to go on from.") var prompts: [String] = []
    @Option(help: "A .txt with a prompt a line, or a table with a column `prompt` or `text`.") var file: String?
    @OptionGroup var writing: WritingOptions
    @Option(name: .customLong("min-tokens"), help: "So many tokens are made before the model may end a text.")
    var minimumTokens = 0
    @Option(help: "How many texts a beam search pursues; 1 for none.") var beams = 1
    @Option(
        name: .customLong("length-penalty"),
        help: "Beams are ranked by log-probability over length to this power; above 0 favours long texts.")
    var lengthPenalty = 1.0
    @Option(
        name: .customLong("early-stopping"),
        help:
            "When as many beams have ended as there are: true stops, false stops when better ones are unlikely, never when impossible."
    )
    var earlyStopping = GenerationOptions.EarlyStopping.likely
    @Option(help: "How many texts of each prompt: drawn ones, or the best beams.") var samples = 1
    @Flag(name: .customLong("log-probabilities"), help: "Also give the log-probability of each token under the model.")
    var logProbabilities = false
    @Flag(
        name: .customLong("special-tokens"),
        help: "Read special tokens such as <|end|> in prompts. Only for prompts that you trust.")
    var readsSpecialTokens = false
    @Option(help: "The base model's folder of a run, where it has moved.") var model: String?
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard prompts.isEmpty || file == nil else {
            throw HoneError(.usage, "give prompts or --file, not both", item: "--file")
        }
        var options = writing.options
        options.minimumNewTokens = minimumTokens
        options.beams = beams
        options.lengthPenalty = lengthPenalty
        options.earlyStopping = earlyStopping
        options.samples = samples
        options.wantsLogProbabilities = logProbabilities
        try options.check()
        try Engine.start(threads: threads)
        let texts = try file.map { try TextFile.texts($0, columns: ["prompt", "text"]) } ?? prompts
        let wanted = try texts.isEmpty && file == nil ? Console.standardInputLines() : texts
        guard !wanted.isEmpty else {
            throw HoneError(.usage, "there is nothing to go on from: give prompts, --file, or lines")
        }
        let named = try NamedModel(
            folder, base: model, dtype: writing.dtype.dtype, exact: writing.exact, task: writing.task)
        let generator = try named.generator(quantises: writing.dtype == .int8)
        let requests = try wanted.map { GenerationRequest(prompt: try named.prompt($0, isTrusted: readsSpecialTokens)) }
        Interruption.install()
        let start = monotonicSeconds()
        let streams = !json && !logProbabilities && requests.count == 1 && samples == 1
        let made = try generator.generate(
            requests, options: options,
            onPiece: streams ? { Console.write($0.text) } : nil,
            shouldStop: { Interruption.isWished })
        let seconds = monotonicSeconds() - start
        if json {
            Console.print(json: report(wanted, made, named, generator, seconds: seconds))
        } else if streams {
            Console.print("")
        } else {
            try show(made, named)
        }
        if Interruption.isWished { throw ExitCode(130) }
    }

    private func show(_ made: [[GeneratedText]], _ named: NamedModel) throws {
        let isAlone = made.count == 1 && made[0].count == 1
        for (row, texts) in made.enumerated() {
            for (sample, text) in texts.enumerated() {
                if !isAlone { Console.print("--- \(row + 1)" + (texts.count > 1 ? ", text \(sample + 1)" : "")) }
                Console.print(text.text)
                guard logProbabilities else { continue }
                for (id, log) in zip(text.tokens, text.logProbabilities) {
                    Console.print(try String(format: "%10.4f  ", log) + (named.base.tokenizer.token(id) ?? "\(id)"))
                }
                if let log = text.endLogProbability { Console.print(String(format: "%10.4f  (end)", log)) }
            }
        }
    }

    private func report(
        _ prompts: [String], _ made: [[GeneratedText]], _ named: NamedModel, _ generator: Generator, seconds: Double
    ) -> JSON {
        let tokens = made.joined().reduce(0) { $0 + $1.tokens.count }
        return [
            "model": .string(named.path), "dtype": .string(writing.dtype.rawValue),
            "weight_bytes": generator.weightBytes.map { .integer($0) } ?? .null,
            "generations": .array(
                zip(prompts, made).map { prompt, texts in
                    ["prompt": .string(prompt), "texts": .array(texts.map(describe))]
                }),
            "new_tokens": .integer(tokens), "seconds": .number(seconds),
            "tokens_per_second": .number(seconds > 0 ? (Double(tokens) / seconds * 10).rounded() / 10 : 0),
        ]
    }

    private func describe(_ text: GeneratedText) -> JSON {
        var object = JSONObject()
        object["text"] = .string(text.text)
        object["ending"] = .string(text.ending.word)
        object["token_ids"] = .array(text.tokens.map { .integer($0) })
        if let score = text.score { object["score"] = .number(score) }
        if logProbabilities {
            object["log_probabilities"] = .array(text.logProbabilities.map { .number($0) })
            object["end_log_probability"] = text.endLogProbability.map { .number($0) }
        }
        return .object(object)
    }
}
