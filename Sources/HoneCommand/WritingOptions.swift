import ArgumentParser
import Hone
import HoneFormats
import HoneModels

/// How tokens are chosen: what `generate` and `chat` have in common.
struct WritingOptions: ParsableArguments {
    @Option(name: .customLong("max-tokens"), help: "The most tokens of a text.") var maximumTokens = 128
    @Option(help: "0 takes the likeliest token; above it, tokens are drawn, the more freely the higher.")
    var temperature = 0.0
    @Option(name: .customLong("top-k"), help: "Draw among so many likeliest tokens; 0 for all.") var topK = 0
    @Option(name: .customLong("top-p"), help: "Draw among the likeliest tokens that together reach this probability.")
    var topP = 1.0
    @Option(
        name: .customLong("min-p"), help: "Draw among tokens with at least this share of the likeliest's probability.")
    var minP = 0.0
    @Option(
        name: .customLong("repetition-penalty"), help: "Above 1, tokens that were there already become less likely.")
    var repetitionPenalty = 1.0
    @Option(
        name: .customLong("stop"), help: "End a text before this string; may be repeated. \\n stands for a line break.")
    var stops: [String] = []
    @Option(help: "What draws are made from; the same seed gives the same texts.") var seed: UInt64 = 0
    @Option(help: "What the model computes with: f32, bf16, or int8 weights.") var dtype = WritingType.f32
    @Option(
        help:
            "Guess up to so many tokens from what the text holds already and check them at once: the same greedy text in fewer steps."
    )
    var guesses = 0
    @Option(help: "Which task of a run that tells several apart.") var task: String?
    @Flag(help: "Use only libtorch's own operators: slower, and what the fast ways are compared with.")
    var exact = false

    /// The library's options.
    var options: GenerationOptions {
        var options = GenerationOptions()
        options.maximumNewTokens = maximumTokens
        options.temperature = temperature
        options.topK = topK
        options.topP = topP
        options.minP = minP
        options.repetitionPenalty = repetitionPenalty
        options.stopStrings = stops.map(WritingOptions.unescaped)
        options.seed = seed
        options.guesses = guesses
        return options
    }

    /// `\n`, `\t` and `\\` as what they stand for.
    private static func unescaped(_ text: String) -> String {
        var result = ""
        var isEscaped = false
        for character in text {
            if isEscaped {
                isEscaped = false
                switch character {
                case "n": result += "\n"
                case "t": result += "\t"
                case "\\": result += "\\"
                default: result += "\\" + String(character)
                }
            } else if character == "\\" {
                isEscaped = true
            } else {
                result.append(character)
            }
        }
        return isEscaped ? result + "\\" : result
    }
}

extension GenerationOptions.EarlyStopping: ExpressibleByArgument {}
extension WritingType: ExpressibleByArgument {}
