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

        /// The text as it stands.
        func text(ending: GeneratedText.Ending) -> GeneratedText {
            GeneratedText(
                tokens: Array(history[promptLength...]), text: "", ending: ending, logProbabilities: logProbabilities,
                endLogProbability: endLogProbability)
        }
    }

    private let context: GenerationContext
    private let processing: LogitsProcessing
    private var options: GenerationOptions { context.options }

    init(_ context: GenerationContext) {
        self.context = context
        processing = LogitsProcessing(context.options)
    }

    /// The texts of each request.
    func run(_ requests: [GenerationRequest], _ transformer: Transformer, padId: Int) throws -> [[GeneratedText]] {
        let session = try DecodingSession(
            transformer, requests, padId: padId, newTokens: options.maximumNewTokens)
        var results = requests.map { _ in [GeneratedText?](repeating: nil, count: options.samples) }
        var rows = begin(requests, session)
        func finish(_ row: Row, _ ending: GeneratedText.Ending) throws {
            var row = row
            try tell(row, row.written?.lastPiece())
            var text = row.text(ending: ending)
            text.text = context.text(of: row.history, from: row.promptLength, written: row.written)
            results[row.request][row.sample] = text
        }
        // The prompt is read once, however many texts are to follow it.
        var scores = try session.start()
        if options.samples > 1 {
            let places = rows.map(\.request)
            scores = try scores.selecting(Tensor(places, on: scores.device))
            try session.select(rows: places)
        }
        var active = Array(rows.indices)
        while true {
            let interrupted = context.shouldStop?() == true
            var kept: [Int] = []
            let chosen = interrupted ? [] : try choose(scores, &rows, active)
            for (place, row) in active.enumerated() {
                guard !interrupted else {
                    try finish(rows[row], .interrupted)
                    continue
                }
                if let ending = try take(chosen[place], &rows[row]) {
                    try finish(rows[row], ending)
                } else {
                    try tell(rows[row], rows[row].written?.piece())
                    kept.append(place)
                }
            }
            guard !kept.isEmpty else { break }
            if kept.count < active.count {
                try session.select(rows: kept)
                active = kept.map { active[$0] }
            }
            scores = try session.next(active.map { rows[$0].history[rows[$0].history.count - 1] })
        }
        return results.map { $0.compactMap { $0 } }
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
    private func choose(_ logits: Tensor, _ rows: inout [Row], _ active: [Int]) throws -> [(id: Int, log: Double)] {
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
        guard options.wantsLogProbabilities else { return chosen.map { ($0, 0) } }
        let places = try Tensor(chosen, shape: [chosen.count, 1], on: logits.device)
        let logs = try logits.logSoftmax(-1).gathered(places, dimension: 1).elements(Double.self)
        return Array(zip(chosen, logs))
    }

    /// Adds a token to a row; gives why the text ends with it, where it does.
    private func take(_ token: (id: Int, log: Double), _ row: inout Row) throws -> GeneratedText.Ending? {
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
