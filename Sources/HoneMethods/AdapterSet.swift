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
        let joined = requests.indices.filter {
            owners[$0].transformer.attachments.suitsRowGroups
                && owners[$0].adapter.parameters[ClassificationHead.weight] != nil
        }
        let encoded = try joined.map { try owners[$0].encoder.encode(requests[$0].example) }
        for places in Specialist.batches(encoded.map(\.length)) {
            let order = places.sorted {
                (requests[joined[$0]].adapter ?? "", $0) < (requests[joined[$1]].adapter ?? "", $1)
            }
            let transformer = try transformer(for: order.map { (requests[joined[$0]].adapter, owners[joined[$0]]) })
            try withoutGradients {
                let batch = try transformer.batch(order.map { encoded[$0] }, padId: base.padId)
                let features = try base.pooled(transformer.states(batch), of: batch).to(.float32)
                for (row, place) in order.enumerated() {
                    let head = owners[joined[place]].adapter.parameters
                    let logits = try ClassificationHead.logits(features.narrowed(0, from: row, length: 1), head)
                    answers[joined[place]] = try logits.softmax(-1).elements(Float.self)
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
        let plain = try ExampleEncoder(base, options: owners.compactMap { $0 }.first?.adapter.encoding ?? .init())
        let encoded = try requests.indices.map {
            try (owners[$0]?.encoder ?? plain).encode(requests[$0].example)
        }
        var answers = [(loss: Double, tokens: Int)](repeating: (0, 0), count: requests.count)
        func suits(_ place: Int) -> Bool { owners[place]?.transformer.attachments.suitsRowGroups ?? true }
        let joined = requests.indices.filter(suits)
        for places in Specialist.batches(joined.map { encoded[$0].length }) {
            let order = places.map { joined[$0] }
                .sorted { (requests[$0].adapter ?? "", $0) < (requests[$1].adapter ?? "", $1) }
            let transformer = try transformer(for: order.map { (requests[$0].adapter, owners[$0]) })
            let scores = try transformer.targetScores(inOneBatch: order.map { encoded[$0] }, padId: base.padId)
            for (place, score) in zip(order, scores) { answers[place] = (-score.logLikelihood, score.tokens) }
        }
        for (name, own) in Dictionary(grouping: requests.indices.filter { !suits($0) }, by: { requests[$0].adapter }) {
            guard let name else { continue }
            let losses = try specialist(name).targetLosses(own.map { encoded[$0] })
            for (place, loss) in zip(own, losses) { answers[place] = loss }
        }
        return answers
    }

    /// The base with what successive rows have attached.
    private func transformer(for rows: [(name: String?, owner: Specialist?)]) throws -> Transformer {
        var groups: [(rowCount: Int, attachments: Attachments)] = []
        var last: String??
        for (name, owner) in rows {
            if let last, last == name {
                groups[groups.count - 1].rowCount += 1
            } else {
                groups.append((1, owner?.transformer.attachments ?? Attachments()))
                last = .some(name)
            }
        }
        return try base.transformer.attaching(groups.count == 1 ? groups[0].attachments : .byRows(groups))
    }
}
