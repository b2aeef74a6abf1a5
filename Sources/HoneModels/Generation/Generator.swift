import HoneFormats
import HoneText
import HoneTorch

/// Writes texts: the front of generation.
///
///     let generator = try Generator(model)
///     var options = GenerationOptions()
///     options.temperature = 0.8
///     let texts = try generator.generate([GenerationRequest(prompt: model.tokenizer.encode("Once upon"))], options: options)
///     print(texts[0][0].text)
///
/// What a row becomes depends on its prompt, the options, the seed and the row's stream alone: rows are computed together as memory
/// allows, padding is seen by no row, and each text draws from a random stream of its own. (Sums in another order differ in their
/// last bits: log-probabilities agree within 1e-4 in `float32`, and a token changes only where two are that close.)
public struct Generator {
    /// The model, with what is attached to it.
    public let transformer: Transformer
    /// Makes texts of tokens; without one, texts stay empty and stop strings cannot be found.
    public let tokenizer: Tokenizer?
    /// The tokens that end a text where the options name none.
    public let endIds: Set<Int>
    private let padId: Int
    private let form: DecoderForm
    /// How many bytes keys and values of rows that are computed together may take.
    private let cacheBytes = 1 << 30

    /// A generator for a model folder, or for a specialist made from it.
    ///
    /// - Parameter transformer: the model with an adapter attached; the base model where absent.
    /// - Throws: `HoneError` where `generation_config.json` is damaged.
    public init(_ model: BaseModel, transformer: Transformer? = nil) throws {
        self.init(
            transformer ?? model.transformer, tokenizer: try model.tokenizer, padId: model.padId,
            endIds: try GenerationDefaults(model).endIds)
    }

    /// A generator from parts.
    ///
    /// - Parameter padId: what fills shorter rows; no row sees it.
    public init(_ transformer: Transformer, tokenizer: Tokenizer?, padId: Int = 0, endIds: Set<Int> = []) {
        self.transformer = transformer
        self.tokenizer = tokenizer
        self.padId = padId
        self.endIds = endIds
        form = DecoderForm()
    }

    private init(_ other: Generator, form: DecoderForm) {
        transformer = other.transformer
        tokenizer = other.tokenizer
        padId = other.padId
        endIds = other.endIds
        self.form = form
    }

    /// The same generator with linear maps and head read as int8 numbers: half the bytes of `bfloat16`, with an error that
    /// Documentation/generation.md states. Low-rank updates, norms, biases and token vectors stay as they are.
    ///
    /// - Throws: `HoneError` with code `.unsupported` for a model, or something attached to it, that only the general forward pass
    ///   computes.
    public func quantised() throws -> Generator {
        guard let decoder = try withoutGradients({ try transformer.decoder(quantises: true) }) else {
            throw HoneError(.unsupported, "this model, or what is attached to it, cannot be read as int8 weights")
        }
        return Generator(self, form: DecoderForm(decoder))
    }

    /// The bytes of weights that a new token of one row takes from memory; `nil` for a model without the fast form.
    public var weightBytes: Int? { try? form.decoder(of: transformer)?.weightBytes }

    /// Goes on from prompts.
    ///
    /// - Parameters:
    ///   - onPiece: is given pieces of text as they become certain; a beam search gives its texts at the end.
    ///   - shouldStop: is asked before every step; what has been written then is the result.
    /// - Returns: for each request its texts, as many as `options.samples`; of beams the best first.
    /// - Throws: `HoneError` for options out of bounds, prompts that are too long, or a model that does not write.
    public func generate(
        _ requests: [GenerationRequest], options: GenerationOptions,
        onPiece: ((GeneratedPiece) throws -> Void)? = nil, shouldStop: (() -> Bool)? = nil
    ) throws -> [[GeneratedText]] {
        try options.check()
        guard options.stopStrings.isEmpty || tokenizer != nil else {
            throw HoneError(.usage, "stop strings need a tokenizer", item: "--stop")
        }
        var options = options
        if options.stopIds.isEmpty { options.stopIds = endIds }
        // An encoder-decoder reads the prompt in its encoder and writes from its start token on.
        let requests = requests.map { request in
            guard let decoder = transformer.configuration.decoder else { return request }
            var request = request
            request.input = request.prompt
            request.prompt = [decoder.startId]
            return request
        }
        var results = requests.map { _ in [GeneratedText]() }
        try withoutGradients {
            let decoder = try form.decoder(of: transformer)
            for places in batches(requests, options) {
                let context = GenerationContext(
                    options: options, tokenizer: tokenizer,
                    onPiece: onPiece.map { give in
                        { piece in
                            try give(
                                GeneratedPiece(request: places[piece.request], sample: piece.sample, text: piece.text))
                        }
                    }, shouldStop: shouldStop)
                let together = places.map { place in
                    var request = requests[place]
                    request.stream = request.stream ?? place
                    return request
                }
                let texts =
                    options.beams > 1
                    ? try BeamSearch(context).run(together, transformer, padId: padId, decoder: decoder)
                    : try SamplingSearch(context).run(together, transformer, padId: padId, decoder: decoder)
                for (place, texts) in zip(places, texts) { results[place] = texts }
            }
        }
        return results
    }

    /// Requests that are computed together: of similar length, as many as the cache's bytes allow.
    private func batches(_ requests: [GenerationRequest], _ options: GenerationOptions) -> [[Int]] {
        let configuration = transformer.configuration.decoderStack ?? transformer.configuration
        // An encoder-decoder's cache also holds what its layers make of the input.
        func size(_ request: GenerationRequest) -> Int { request.prompt.count + (request.input?.count ?? 0) }
        let position =
            2 * configuration.layerCount * configuration.keyValueHeadCount * configuration.headWidth
            * transformer.dtype.size
        let copies = max(options.samples, options.beams)
        let order = requests.indices.sorted { (size(requests[$0]), $0) < (size(requests[$1]), $1) }
        var batches: [[Int]] = []
        for place in order {
            // Rows come by rising length: the newest is the longest.
            let length = min(
                size(requests[place]) + options.maximumNewTokens, configuration.maximumLength)
            let rows = max(1, min(256, cacheBytes / (max(1, length) * max(1, position) * copies)))
            if let last = batches.last, last.count < rows {
                batches[batches.count - 1].append(place)
            } else {
                batches.append([place])
            }
        }
        return batches
    }
}

/// The form in which a model writes fastest, made when it is first needed.
private final class DecoderForm {
    private var made: Decoder?
    private var isMade = false

    init(_ decoder: Decoder? = nil) {
        made = decoder
        isMade = decoder != nil
    }

    func decoder(of transformer: Transformer) throws -> Decoder? {
        if !isMade {
            made = try transformer.decoder()
            isMade = true
        }
        return made
    }
}

/// What a strategy is told.
struct GenerationContext {
    let options: GenerationOptions
    let tokenizer: Tokenizer?
    /// Takes pieces of text, by the place of the request among those computed together.
    let onPiece: ((GeneratedPiece) throws -> Void)?
    /// Asked before every step.
    let shouldStop: (() -> Bool)?

    /// A text to follow token by token; absent where nobody looks at it before its end.
    func written(after prompt: [Int], streams: Bool = true) -> WrittenText? {
        guard let tokenizer, !options.stopStrings.isEmpty || (streams && onPiece != nil) else { return nil }
        return WrittenText(after: prompt, tokenizer: tokenizer, stopStrings: options.stopStrings)
    }

    /// The text of tokens behind a prompt, given both in one list.
    func text(of history: [Int], from start: Int, written: WrittenText?) -> String {
        if let written { return written.whole }
        guard let tokenizer else { return "" }
        return WrittenText.whole(of: Array(history[start...]), after: Array(history[..<start]), tokenizer: tokenizer)
    }
}

extension Transformer {
    /// Goes on from prompts, each position computed once: `Generator` for tokens alone.
    ///
    /// - Parameters:
    ///   - prompts: token numbers; rows may differ in length and do not influence one another.
    ///   - padId: what fills shorter rows.
    ///   - rowIds: what a row's draws depend on besides the seed, so that they are the same in any batch; the row's place
    ///     where left out.
    /// - Returns: the new tokens of each row.
    public func generate(from prompts: [[Int]], padId: Int, options: GenerationOptions, rowIds: [Int]? = nil) throws
        -> [[Int]]
    {
        let requests = prompts.enumerated().map { place, prompt in
            GenerationRequest(prompt: prompt, stream: rowIds?[place])
        }
        return try Generator(self, tokenizer: nil, padId: padId).generate(requests, options: options).map {
            $0[0].tokens
        }
    }
}
