import HoneFormats
import HoneModels
import HoneTasks
import HoneTorch

/// Several adapters over one loaded base: each row is answered by the one it names, or by the base alone.
///
/// Adding, taking out and switching adapters loads nothing and changes no weight of the base. Rows of different adapters are
/// computed in one batch where their methods allow it (`Attachments.suitsRowGroups`), products with the base's weights once
/// for all; a row gives what it gives alone.
public struct AdapterSet {
    /// A row with the adapter that answers it.
    public struct Request {
        /// The row.
        public var example: Example
        /// The adapter's name; `nil` for the base alone.
        public var adapter: String?

        /// A row for an adapter.
        public init(_ example: Example, adapter: String?) {
            self.example = example
            self.adapter = adapter
        }
    }

    /// The base.
    public let base: BaseModel
    private var specialists: [String: Specialist] = [:]

    /// A base without adapters.
    public init(base: BaseModel) { self.base = base }

    /// The names of the adapters, sorted.
    public var names: [String] { specialists.keys.sorted() }

    /// Adds an adapter, or replaces the one of that name.
    ///
    /// - Throws: `HoneError` where it does not fit the base.
    public mutating func add(_ adapter: Adapter, named name: String) throws {
        specialists[name] = try Specialist(base: base, adapter: adapter)
    }

    /// Takes an adapter out.
    public mutating func remove(_ name: String) { specialists[name] = nil }

    /// An adapter on the base.
    ///
    /// - Throws: `HoneError` with code `.usage` that lists the adapters there are.
    public func specialist(_ name: String) throws -> Specialist {
        guard let found = specialists[name] else {
            let known = names.isEmpty ? "there are none" : "there are \(names.joined(separator: ", "))"
            throw HoneError(.usage, "there is no adapter of this name; \(known)", item: name)
        }
        return found
    }

    /// The probability of every class for each row, in the order of the requests.
    ///
    /// - Throws: `HoneError` with code `.usage` where a row names no adapter, one that is not there, or one that does not classify.
    public func probabilities(_ requests: [Request]) throws -> [[Float]] {
        var answers = [[Float]](repeating: [], count: requests.count)
        let owners = try requests.map { request in
            guard let name = request.adapter else {
                throw HoneError(.usage, "only an adapter can classify; the base has no classes", item: "adapter")
            }
            let owner = try specialist(name)
            guard owner.adapter.task != .generation else {
                throw HoneError(.usage, "this adapter generates text and has no classes", item: name)
            }
            return owner
        }
        let encoded = try requests.indices.map { try owners[$0].encoder.encode(requests[$0].example) }
        let attached = try requests.indices.map { try owners[$0].transformer(for: encoded[$0]).attachments }
        let joined = requests.indices.filter {
            attached[$0].suitsRowGroups && owners[$0].adapter.parameters[ClassificationHead.weight] != nil
        }
        for places in Specialist.batches(joined.map { encoded[$0].length }) {
            let order = ordered(places.map { joined[$0] }, requests, encoded)
            let transformer = try transformer(for: order, requests, encoded, attached)
            try withoutGradients {
                let batch = try transformer.batch(order.map { encoded[$0] }, padId: base.padId)
                let features = try base.pooled(transformer.states(batch), of: batch).to(.float32)
                for (row, place) in order.enumerated() {
                    let head = owners[place].adapter.parameters
                    let logits = try ClassificationHead.logits(features.narrowed(0, from: row, length: 1), head)
                    answers[place] = try logits.softmax(-1).elements(Float.self)
                }
            }
        }
        for place in requests.indices where answers[place].isEmpty {
            answers[place] = try owners[place].probabilities([requests[place].example])
        }
        return answers
    }

    /// The summed negative log-likelihood of each row's completion, and how many tokens that has, in the order of the requests.
    ///
    /// - Throws: `HoneError` with code `.usage` where a row names an adapter that is not there.
    public func targetLosses(_ requests: [Request]) throws -> [(loss: Double, tokens: Int)] {
        let owners = try requests.map { try $0.adapter.map(specialist) }
        var options = owners.compactMap { $0 }.first?.adapter.encoding ?? .init()
        options.tasks = []
        let plain = try ExampleEncoder(base, options: options)
        let encoded = try requests.indices.map {
            try (owners[$0]?.encoder ?? plain).encode(requests[$0].example)
        }
        var answers = [(loss: Double, tokens: Int)](repeating: (0, 0), count: requests.count)
        let attached = try requests.indices.map {
            try owners[$0]?.transformer(for: encoded[$0]).attachments ?? Attachments()
        }
        let joined = requests.indices.filter { attached[$0].suitsRowGroups }
        for places in Specialist.batches(joined.map { encoded[$0].length }) {
            let order = ordered(places.map { joined[$0] }, requests, encoded)
            let transformer = try transformer(for: order, requests, encoded, attached)
            let scores = try transformer.targetScores(inOneBatch: order.map { encoded[$0] }, padId: base.padId)
            for (place, score) in zip(order, scores) { answers[place] = (-score.logLikelihood, score.tokens) }
        }
        let others = requests.indices.filter { !attached[$0].suitsRowGroups }
        for (name, own) in Dictionary(grouping: others, by: { requests[$0].adapter }) {
            guard let name else { continue }
            let losses = try specialist(name).targetLosses(own.map { encoded[$0] })
            for (place, loss) in zip(own, losses) { answers[place] = loss }
        }
        return answers
    }

    /// Rows of an adapter, and of one of its tasks, one after the other.
    private func ordered(_ places: [Int], _ requests: [Request], _ rows: [EncodedExample]) -> [Int] {
        places.sorted {
            (requests[$0].adapter ?? "", rows[$0].task ?? 0, $0) < (requests[$1].adapter ?? "", rows[$1].task ?? 0, $1)
        }
    }

    /// The base with what successive rows have attached.
    private func transformer(
        for places: [Int], _ requests: [Request], _ rows: [EncodedExample], _ attached: [Attachments]
    ) throws -> Transformer {
        var groups: [(rowCount: Int, attachments: Attachments)] = []
        var last: Int?
        for place in places {
            if let last, requests[last].adapter == requests[place].adapter, rows[last].task == rows[place].task {
                groups[groups.count - 1].rowCount += 1
            } else {
                groups.append((1, attached[place]))
            }
            last = place
        }
        return try base.transformer.attaching(groups.count == 1 ? groups[0].attachments : .byRows(groups))
    }
}
