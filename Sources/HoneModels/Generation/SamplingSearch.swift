import HoneFormats
import HoneTorch

/// Takes the likeliest token at each step, or draws one: every text of its own, side by side.
struct SamplingSearch {
    /// A text on its way.
    private struct Row {
        let request: Int
        let sample: Int
        let promptLength: Int
        /// The most tokens that it may have.
        let limit: Int
        /// Prompt and new tokens.
        var history: [Int]
        var random: SeededGenerator
        var constraint: (any TokenConstraint)?
        var written: WrittenText?
        var logProbabilities: [Double] = []
        var endLogProbability: Double?

        var newTokens: Int { history.count - promptLength }
        var lastToken: Int { history[history.count - 1] }

        /// What followed when the row last held what it ends with now: guesses of the next tokens, at most so many.
        func guesses(_ count: Int) -> [Int] {
            guard count > 0 else { return [] }
            for length in stride(from: 3, to: 0, by: -1) where history.count > length {
                let end = history.count - length
                var place = end - 1
                while place >= 0 {
                    if history[place..<place + length].elementsEqual(history[end...]) {
                        let start = place + length
                        return Array(history[start..<min(start + count, history.count)])
                    }
                    place -= 1
                }
            }
            return []
        }

        /// The text as it stands.
        func text(ending: GeneratedText.Ending) -> GeneratedText {
            GeneratedText(
                tokens: Array(history[promptLength...]), text: "", ending: ending, logProbabilities: logProbabilities,
                endLogProbability: endLogProbability)
        }
    }

    /// A token and its log-probability, 0 where that is not wanted.
    private typealias Choice = (id: Int, log: Double)

    private let context: GenerationContext
    private let processing: LogitsProcessing
    private var options: GenerationOptions { context.options }

    init(_ context: GenerationContext) {
        self.context = context
        processing = LogitsProcessing(context.options)
    }

    /// The texts of each request.
    func run(_ requests: [GenerationRequest], _ transformer: Transformer, padId: Int, decoder: Decoder?) throws
        -> [[GeneratedText]]
    {
        let session = try DecodingSession(
            transformer, requests, padId: padId, newTokens: options.maximumNewTokens, decoder: decoder)
        var results = requests.map { _ in [GeneratedText?](repeating: nil, count: options.samples) }
        var rows = begin(requests, session)
        func finish(_ row: Row, _ ending: GeneratedText.Ending) throws {
            var row = row
            try tell(row, row.written?.lastPiece())
            var text = row.text(ending: ending)
            text.text = context.text(of: row.history, from: row.promptLength, written: row.written)
            results[row.request][row.sample] = text
        }
        var active = Array(rows.indices)
        /// Tokens for each active row: one, or more where guesses were right.
        var chosen: [[Choice]]
        let asksForScores = !takesLikeliest(requests)
        if asksForScores {
            // The prompt is read once, however many texts are to follow it.
            var scores = try session.start()
            if options.samples > 1 {
                let places = rows.map(\.request)
                scores = try scores.selecting(Tensor(places, on: scores.device))
                try session.select(rows: places)
            }
            chosen = try choose(scores, &rows, active)
        } else {
            chosen = try session.startLikeliest().map { [($0, 0)] }
        }
        while true {
            let interrupted = context.shouldStop?() == true
            var kept: [Int] = []
            for (place, row) in active.enumerated() {
                guard !interrupted else {
                    try finish(rows[row], .interrupted)
                    continue
                }
                var ending: GeneratedText.Ending?
                for token in chosen[place] {
                    ending = try take(token, &rows[row])
                    if ending != nil { break }
                    try tell(rows[row], rows[row].written?.piece())
                }
                if let ending {
                    try finish(rows[row], ending)
                } else {
                    kept.append(place)
                }
            }
            guard !kept.isEmpty else { break }
            if kept.count < active.count {
                try session.select(rows: kept)
                active = kept.map { active[$0] }
            }
            if asksForScores {
                chosen = try choose(session.next(active.map { rows[$0].lastToken }), &rows, active)
            } else if options.guesses > 0, active.count == 1, session.canGuess {
                let row = rows[active[0]]
                let guesses = row.guesses(min(options.guesses, row.limit - row.newTokens - 1))
                chosen = [
                    try session.nextLikeliest(row.lastToken, guesses: guesses, length: row.history.count - 1)
                        .map { ($0, 0) }
                ]
            } else {
                chosen = try session.nextLikeliest(active.map { rows[$0].lastToken }).map { [($0, 0)] }
            }
        }
        return results.map { $0.compactMap { $0 } }
    }

    /// Whether the model's likeliest token is what is wanted, and nothing else of the scores.
    private func takesLikeliest(_ requests: [GenerationRequest]) -> Bool {
        !options.isSampling && !options.wantsLogProbabilities && options.repetitionPenalty == 1
            && (options.stopIds.isEmpty || options.minimumNewTokens == 0)
            && requests.allSatisfy { $0.constraint == nil }
    }

    private func begin(_ requests: [GenerationRequest], _ session: DecodingSession) -> [Row] {
        requests.enumerated().flatMap { place, request in
            (0..<options.samples).map { sample in
                let stream = "sampling \(request.stream ?? place)" + (sample == 0 ? "" : ".\(sample)")
                let beginning = session.beginnings[place]
                return Row(
                    request: place, sample: sample, promptLength: beginning.count,
                    limit: min(options.maximumNewTokens, session.rooms[place]), history: beginning,
                    random: SeededGenerator(seed: options.seed, stream: stream), constraint: request.constraint,
                    written: context.written(after: beginning))
            }
        }
    }

    /// A token and, where it is wanted, its log-probability, for each active row.
    private func choose(_ logits: Tensor, _ rows: inout [Row], _ active: [Int]) throws -> [[Choice]] {
        var scores = try processing.penalised(
            logits, history: active.map { rows[$0].history }, newTokens: active.map { rows[$0].newTokens })
        scores = try LogitsProcessing.constrained(scores, by: active.map { rows[$0].constraint })
        let chosen: [Int]
        if options.isSampling {
            let draws = active.map { rows[$0].random.uniform() }
            chosen = try LogitsProcessing.drawn(processing.warped(scores), draws)
        } else {
            chosen = try LogitsProcessing.likeliest(scores)
        }
        guard options.wantsLogProbabilities else { return chosen.map { [($0, 0)] } }
        let places = try Tensor(chosen, shape: [chosen.count, 1], on: logits.device)
        let logs = try logits.logSoftmax(-1).gathered(places, dimension: 1).elements(Double.self)
        return zip(chosen, logs).map { [($0, $1)] }
    }

    /// Adds a token to a row; gives why the text ends with it, where it does.
    private func take(_ token: Choice, _ row: inout Row) throws -> GeneratedText.Ending? {
        guard row.limit > 0 else { return .length }
        if options.stopIds.contains(token.id) {
            if options.wantsLogProbabilities { row.endLogProbability = token.log }
            return .endToken(token.id)
        }
        row.history.append(token.id)
        if options.wantsLogProbabilities { row.logProbabilities.append(token.log) }
        try row.constraint?.advance(with: token.id)
        row.written?.append(token.id)
        if let stop = row.written?.stop { return .stopString(stop.string) }
        return row.newTokens >= row.limit ? .length : nil
    }

    private func tell(_ row: Row, _ piece: String?) throws {
        guard let piece, !piece.isEmpty else { return }
        try context.onPiece?(GeneratedPiece(request: row.request, sample: row.sample, text: piece))
    }
}
