import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// Where trained vectors before the input start, and what they have come near to.
enum PromptStart {
    /// The settings that say where vectors start.
    static let settings = [
        Setting(
            "initialisation", .choice("vocabulary", ["vocabulary", "random", "text"]),
            "Start from the vectors of tokens drawn from the vocabulary, from noise of their size, or from those of a text."
        ),
        Setting("text", .text(""), "With `text`: the text, repeated or cut to the number of vectors."),
    ]

    /// Refuses `text` without a text, or for a model that reads none.
    ///
    /// - Throws: `HoneError` with code `.mismatch`.
    static func check(_ settings: MethodSettings, _ model: TransformerConfiguration, for method: String) throws {
        guard settings.choice("initialisation") == "text" else { return }
        guard model.patches == nil else {
            throw HoneError(.mismatch, "this model reads images and has no vectors of words", item: "\(method) text")
        }
        guard settings.text("text").contains(where: { !$0.isWhitespace }) else {
            throw HoneError(.mismatch, "is empty: there is nothing to start from", item: "\(method) text")
        }
    }

    /// Vectors to start from, `[length, tokenWidth]`, `float32`; of a model of images, which has no vocabulary, noise of the size of
    /// its positions (Jia et al. 2022).
    ///
    /// - Throws: `HoneError` with code `.mismatch` for a text without tokens.
    static func vectors(_ length: Int, _ settings: MethodSettings, for model: BaseModel, random: inout RandomStream)
        throws
        -> Tensor
    {
        let (weights, device) = (model.transformer.weights, model.transformer.device)
        guard let table = weights["embeddings.tokens.weight"] ?? weights["embeddings.positions.weight"] else {
            return try random.normal([length, model.configuration.tokenWidth], mean: 0, standardDeviation: 0.02).to(
                device)
        }
        func rows(_ ids: Tensor) throws -> Tensor { try table.selecting(ids.to(device)).to(.float32).cloned() }
        let choice = model.readsImages ? "random" : settings.choice("initialisation")
        switch choice {
        case "text":
            let text = settings.text("text")
            guard try !model.tokenizer.encode(text, addSpecialTokens: false).isEmpty else {
                throw HoneError(.mismatch, "has no tokens: there is nothing to start from", item: "text")
            }
            let ids = try model.tokenizer.encode(text)
            return try rows(Tensor((0..<length).map { ids[$0 % ids.count] }))
        case "vocabulary":
            let chosen = try random.uniform([length], low: 0, high: 1)
            // The product may be rounded up to the size of the vocabulary itself.
            let last = Double(model.configuration.vocabularySize - 1)
            return try rows((chosen * (last + 1)).clamped(max: last).to(.int64))
        default:
            let sample = try table.to(.float32)
            let centre = try sample.mean().item()
            let spread = try (sample - centre).power(2).mean().sqrt().item()
            let noise = try random.normal(
                [length, model.configuration.tokenWidth], mean: centre, standardDeviation: spread)
            return try noise.to(device)
        }
    }

    /// The words whose vectors point most nearly where each vector of a prompt does.
    static func nearest(_ prompt: Tensor, in model: BaseModel) throws -> MethodFigure? {
        guard !model.readsImages, let table = model.transformer.weights["embeddings.tokens.weight"] else { return nil }
        return try withoutGradients {
            func directions(_ tensor: Tensor) throws -> Tensor {
                let whole = try tensor.detached().to(.float32)
                return try whole / whole.norm([1]).clamped(min: 1e-12).unsqueezed(1)
            }
            let tokenizer = try model.tokenizer
            let count = min(3, table.size(0))
            let (values, ids) = try directions(prompt).matmul(directions(table).transpose(0, 1)).largest(count)
            let (cosines, words) = (try values.elements(Double.self), try ids.elements(Int.self))
            let lengths = try prompt.detached().norm([1]).elements(Double.self)
            let usual = try table.to(.float32).norm([1]).mean().item()
            let rows = (0..<prompt.size(0)).map { row in
                let near = (0..<count).map { place in
                    let at = row * count + place
                    let word = tokenizer.token(words[at]) ?? "#\(words[at])"
                    return "\(word) \(rounded(cosines[at]))"
                }
                return ["\(row + 1)"] + near + [rounded(lengths[row] / max(usual, 1e-12))]
            }
            return MethodFigure(
                "Nearest words of each prompt vector",
                note:
                    "By the angle between the vectors, with its cosine; the last column is the vector's length over the mean "
                    + "length of a word's.",
                .table(titles: ["vector"] + (1...count).map { "nearest \($0)" } + ["length"], rows: rows))
        }
    }

    /// A number with two decimals.
    static func rounded(_ number: Double) -> String {
        let hundredths = Glibc.round(abs(number) * 100)
        guard hundredths < 1e15 else { return "\(number)" }
        let whole = Int(hundredths)
        let rest = whole % 100
        return (number < 0 && whole > 0 ? "-" : "") + "\(whole / 100)." + (rest < 10 ? "0" : "") + "\(rest)"
    }
}
