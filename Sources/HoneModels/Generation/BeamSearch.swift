import Glibc
import HoneFormats
import HoneTorch

/// Pursues the best texts of each prompt side by side, in the way of transformers: at each step the best continuations of all beams
/// are ranked together, those that end become finished texts, the best of the others go on.
struct BeamSearch {
    /// An unfinished text.
    private struct Beam {
        /// The summed log-probability, in `float32` as it is compared.
        var sum: Float = 0
        /// Prompt and new tokens.
        var history: [Int]
        var constraint: (any TokenConstraint)?
        var written: WrittenText?
        var logProbabilities: [Double] = []
    }

    /// A finished text, with the score that it is ranked by.
    private struct Finished {
        var score: Float
        var text: GeneratedText
    }

    /// The search of one request.
    private struct Search {
        let request: Int
        let promptLength: Int
        let limit: Int
        var beams: [Beam]
        var finished: [Finished] = []
        var isOver = false
    }

    private let context: GenerationContext
    private let processing: LogitsProcessing
    private var options: GenerationOptions { context.options }

    init(_ context: GenerationContext) {
        self.context = context
        processing = LogitsProcessing(context.options)
    }

    /// The best texts of each request, best first.
    func run(_ requests: [GenerationRequest], _ transformer: Transformer, padId: Int, decoder: Decoder?) throws
        -> [[GeneratedText]]
    {
        let session = try DecodingSession(
            transformer, requests, padId: padId, newTokens: options.maximumNewTokens, decoder: decoder)
        var searches = requests.enumerated().map { place, request in
            let beginning = session.beginnings[place]
            let beam = Beam(
                history: beginning, constraint: request.constraint,
                written: context.written(after: beginning, streams: false))
            return Search(
                request: place, promptLength: beginning.count,
                limit: min(options.maximumNewTokens, session.rooms[place]), beams: [beam])
        }
        for place in searches.indices where searches[place].limit == 0 {
            searches[place].isOver = true
            searches[place].finished = [Finished(score: 0, text: GeneratedText(tokens: [], text: "", ending: .length))]
        }
        var scores = try session.start()
        // Searches whose beams are the rows of `scores`, in this order.
        var active = Array(searches.indices)
        while true {
            if context.shouldStop?() == true {
                for place in active where !searches[place].isOver { interrupt(&searches[place]) }
                break
            }
            let (logs, own) = try logProbabilities(scores, active.flatMap { searches[$0].beams }, searches, active)
            var rows: [Int] = []
            var row = 0
            for place in active {
                let count = searches[place].beams.count
                defer { row += count }
                if searches[place].isOver { continue }
                let parents = try step(
                    &searches[place], try logs.narrowed(0, from: row, length: count),
                    own: try own?.narrowed(0, from: row, length: count))
                if !searches[place].isOver { rows += parents.map { row + $0 } }
            }
            active = active.filter { !searches[$0].isOver }
            guard !active.isEmpty else { break }
            try session.select(rows: rows)
            scores = try session.next(active.flatMap { searches[$0].beams.map { $0.history[$0.history.count - 1] } })
        }
        return try searches.map { search in
            let best = search.finished.prefix(options.samples).map { finished in
                var text = finished.text
                text.score = Double(finished.score)
                let prompt = session.beginnings[search.request]
                if options.stopStrings.isEmpty {
                    text.text = context.text(of: prompt + text.tokens, from: prompt.count, written: nil)
                }
                return text
            }
            for (sample, text) in best.enumerated() where !text.text.isEmpty {
                try context.onPiece?(GeneratedPiece(request: search.request, sample: sample, text: text.text))
            }
            return best
        }
    }

    /// Log-probabilities by which beams are ranked, `[beams, vocabularySize]`, and those under the model itself, where wanted.
    private func logProbabilities(
        _ logits: Tensor, _ beams: [Beam], _ searches: [Search], _ active: [Int]
    ) throws -> (ranked: Tensor, own: Tensor?) {
        let own = try logits.logSoftmax(-1)
        let lengths = active.flatMap { place in
            searches[place].beams.map { $0.history.count - searches[place].promptLength }
        }
        var ranked = try processing.penalised(own, history: beams.map(\.history), newTokens: lengths)
        ranked = try LogitsProcessing.constrained(ranked, by: beams.map(\.constraint))
        return (ranked, options.wantsLogProbabilities ? own : nil)
    }

    /// One step of a search; gives, for each beam that goes on, the number of the one that it continues.
    private func step(_ search: inout Search, _ logs: Tensor, own: Tensor?) throws -> [Int] {
        let vocabulary = logs.size(1)
        let sums = try Tensor(search.beams.map(\.sum), shape: [search.beams.count, 1], on: logs.device)
        let total = try (logs + sums.to(logs.dtype)).reshaped([-1])
        // So many that enough are left to go on when all of the best end.
        let wanted = min(max(2, 1 + options.stopIds.count) * options.beams, total.count)
        let best = try total.largest(wanted)
        let values = try best.values.elements(Float.self)
        let places = try best.indices.elements(Int.self)
        guard values.allSatisfy({ !$0.isNaN }), values[0] > -.infinity else {
            throw HoneError(.notFinite, "the model's scores of the next token are not finite numbers")
        }
        let ownLogs = try own?.reshaped([-1]).selecting(best.indices).elements(Double.self)
        var next: [Beam] = []
        var parents: [Int] = []
        var ended: [Finished] = []
        for (rank, place) in places.enumerated() where values[rank] > -.infinity {
            // Only the best may finish; the others stand by to go on in their place.
            if rank >= options.beams, next.count == options.beams { break }
            let parent = place / vocabulary
            var beam = search.beams[parent]
            beam.sum = values[rank]
            let ending = try extend(&beam, by: place % vocabulary, log: ownLogs?[rank], in: search)
            if let ending {
                if rank < options.beams { ended.append(finished(beam, ending, in: search)) }
            } else if next.count < options.beams {
                next.append(beam)
                parents.append(parent)
            }
        }
        let wasFull = search.finished.count == options.beams
        if !(wasFull && options.earlyStopping == .atOnce) { merge(ended, into: &search) }
        search.beams = next
        search.isOver = next.isEmpty || !mayImprove(search)
        return parents
    }

    /// Adds a token to a beam; gives why the text ends with it, where it does.
    private func extend(_ beam: inout Beam, by token: Int, log: Double?, in search: Search) throws
        -> GeneratedText.Ending?
    {
        beam.history.append(token)
        if let log { beam.logProbabilities.append(log) }
        if options.stopIds.contains(token) { return .endToken(token) }
        try beam.constraint?.advance(with: token)
        beam.written?.append(token)
        if let stop = beam.written?.stop { return .stopString(stop.string) }
        return beam.history.count - search.promptLength >= search.limit ? .length : nil
    }

    private func finished(_ beam: Beam, _ ending: GeneratedText.Ending, in search: Search) -> Finished {
        var tokens = Array(beam.history[search.promptLength...])
        let length = tokens.count
        var logs = beam.logProbabilities
        var endLog: Double?
        if case .endToken = ending {
            tokens.removeLast()
            endLog = logs.popLast()
        }
        return Finished(
            score: score(beam.sum, length: length),
            text: GeneratedText(
                tokens: tokens, text: beam.written?.whole ?? "", ending: ending, logProbabilities: logs,
                endLogProbability: endLog))
    }

    private func score(_ sum: Float, length: Int) -> Float { sum / Float(pow(Double(length), options.lengthPenalty)) }

    private func merge(_ ended: [Finished], into search: inout Search) {
        let all = search.finished + ended
        let order = all.indices.sorted { (all[$0].score, -$0) > (all[$1].score, -$1) }
        search.finished = order.prefix(options.beams).map { all[$0] }
    }

    /// Whether an unfinished text can still be among the best.
    private func mayImprove(_ search: Search) -> Bool {
        guard search.finished.count == options.beams, let worst = search.finished.last?.score,
            let best = search.beams.first
        else { return true }
        switch options.earlyStopping {
        case .atOnce: return false
        case .likely: return score(best.sum, length: best.history.count - search.promptLength) > worst
        case .never:
            let length = options.lengthPenalty > 0 ? search.limit : best.history.count - search.promptLength
            return score(best.sum, length: length) > worst
        }
    }

    private func interrupt(_ search: inout Search) {
        let unfinished = search.beams.map { beam in
            let text = Array(beam.history[search.promptLength...])
            return Finished(
                score: score(beam.sum, length: max(1, text.count)),
                text: GeneratedText(
                    tokens: text, text: beam.written?.whole ?? "", ending: .interrupted,
                    logProbabilities: beam.logProbabilities))
        }
        merge(unfinished, into: &search)
    }
}
