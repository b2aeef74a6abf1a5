import HoneFormats
import HoneModels
import Testing

/// The searches that `Scripts/fixtures/generation.py` has made with transformers.
struct SearchReference: CustomTestStringConvertible, Sendable {
    let json: JSON
    let number: Int

    static let file: JSON = {
        do { return try JSON.read(file: Reference.fixtures + "/generation/searches.json") } catch { return .null }
    }()

    static let all = (file["searches"]?.array ?? []).enumerated().map { SearchReference(json: $1, number: $0) }

    var testDescription: String { "\(number): \(model), \(isBeamSearch ? "beams" : "greedy")" }
    var model: String { json["model"]?.string ?? "" }
    var isBeamSearch: Bool { json["num_beams"] != nil }
    var prompts: [[Int]] { (json["prompts"]?.array ?? []).map { ($0.array ?? []).compactMap(\.integer) } }

    struct Text {
        let tokens: [Int]
        let end: Int?
        let score: Double?
    }

    /// The texts of each prompt.
    var texts: [[Text]] {
        (json["texts"]?.array ?? []).map { texts in
            (texts.array ?? []).map { text in
                Text(
                    tokens: (text["tokens"]?.array ?? []).compactMap(\.integer), end: text["end"]?.integer,
                    score: text["score"]?.number)
            }
        }
    }

    var options: GenerationOptions {
        get throws {
            var options = GenerationOptions()
            options.maximumNewTokens = try #require(json["new_tokens"]?.integer)
            options.stopIds = Set((json["ends"]?.array ?? []).compactMap(\.integer))
            options.minimumNewTokens = json["min_new_tokens"]?.integer ?? 0
            options.repetitionPenalty = json["repetition_penalty"]?.number ?? 1
            options.beams = json["num_beams"]?.integer ?? 1
            options.samples = json["num_return_sequences"]?.integer ?? 1
            options.lengthPenalty = json["length_penalty"]?.number ?? 1
            if json["early_stopping"]?.bool == true { options.earlyStopping = .atOnce }
            if json["early_stopping"]?.string == "never" { options.earlyStopping = .never }
            return options
        }
    }
}
