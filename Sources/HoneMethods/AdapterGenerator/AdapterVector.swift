import HoneFormats
import HoneTorch

/// How the tensors of an adapter become one vector and back (Jin et al. 2025, arXiv 2501.17635): in the order of their names,
/// each brought to mean 0 and spread 1 by two numbers of its own.
public struct AdapterLayout: Hashable, Sendable {
    /// One tensor's place.
    public struct Entry: Hashable, Sendable {
        /// Its name.
        public var name: String
        /// Its shape.
        public var shape: [Int]
        /// How many numbers it has.
        public var count: Int { shape.reduce(1, *) }
    }

    /// The tensors in order.
    public let entries: [Entry]
    /// The length of the vector.
    public var count: Int { entries.reduce(0) { $0 + $1.count } }

    /// The layout of some tensors, whatever order they come in.
    public init(_ tensors: [(name: String, tensor: Tensor)]) {
        entries = tensors.map { Entry(name: $0.name, shape: $0.tensor.shape) }.sorted { $0.name < $1.name }
    }

    /// A layout as it was written down.
    init(entries: [Entry]) { self.entries = entries }

    /// Refuses tensors of another layout.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the first tensor which differs.
    public func check(_ tensors: [(name: String, tensor: Tensor)], file: String? = nil) throws {
        let other = AdapterLayout(tensors)
        for (own, found) in zip(entries, other.entries) where own != found {
            let sentence =
                own.name == found.name
                ? "has shape \(found.shape), the first adapter's is \(own.shape)"
                : "stands where the first adapter has \(own.name)"
            throw HoneError(.mismatch, sentence, file: file, item: found.name)
        }
        if entries.count != other.entries.count {
            let more = (entries.count > other.entries.count ? entries : other.entries)[
                min(entries.count, other.entries.count)]
            throw HoneError(
                .mismatch,
                entries.count > other.entries.count ? "is missing" : "is a tensor that the first adapter lacks",
                file: file, item: more.name)
        }
    }

    /// The numbers one after the other, as they are, `[count]` of `float32`.
    ///
    /// - Throws: `HoneError`: `.mismatch` for another layout, `.notFinite` that names a tensor.
    public func joined(_ tensors: [(name: String, tensor: Tensor)], file: String? = nil) throws -> Tensor {
        try check(tensors, file: file)
        let own = Dictionary(tensors.map { ($0.name, $0.tensor) }, uniquingKeysWith: { $1 })
        return try withoutGradients {
            try Tensor.concatenated(
                entries.compactMap { entry in
                    guard let tensor = own[entry.name] else { return nil }
                    guard try tensor.isFinite().all().item() == 1 else {
                        throw HoneError(.notFinite, "holds numbers that are not finite", file: file, item: entry.name)
                    }
                    return try tensor.detached().to(.cpu).to(.float32).reshaped([-1])
                })
        }
    }

    /// The parts of a vector in the shapes of the tensors.
    public func parts(_ vector: Tensor) throws -> [(name: String, tensor: Tensor)] {
        var start = 0
        return try entries.map { entry in
            defer { start += entry.count }
            return (entry.name, try vector.narrowed(0, from: start, length: entry.count).reshaped(entry.shape).cloned())
        }
    }

    /// A number for each tensor, repeated over its elements.
    func spread(_ numbers: [Double]) throws -> Tensor {
        try Tensor.concatenated(
            zip(entries, numbers).map { entry, number in try Tensor.full([entry.count], number) })
    }

    /// The layout as JSON.
    var json: JSON {
        .array(
            entries.map { entry in
                ["name": .string(entry.name), "shape": .array(entry.shape.map { .integer($0) })]
            })
    }

    /// How long a vector may be that a file tells of.
    private static let longest = 1 << 32

    init(json: JSON, file: String) throws {
        let damaged = HoneError(.badFile, "the table of tensors is damaged", file: file, item: "tensors")
        var total = 0
        entries = try (json.array ?? []).map { entry in
            guard let name = entry["name"]?.string, let shape = entry["shape"]?.array?.compactMap(\.integer),
                shape.count == entry["shape"]?.array?.count, !shape.isEmpty,
                shape.allSatisfy({ (1...AdapterLayout.longest).contains($0) })
            else { throw damaged }
            // Sizes come from a file: their product may be anything.
            let count = shape.reduce(1) { count, size in
                let (product, isTooLarge) = count.multipliedReportingOverflow(by: size)
                return isTooLarge ? .max : product
            }
            guard count <= AdapterLayout.longest - total else { throw damaged }
            total += count
            return Entry(name: name, shape: shape)
        }
        guard Set(entries.map(\.name)).count == entries.count else { throw damaged }
        guard total >= 2 else {
            throw HoneError(
                .badFile, "the table of tensors holds less than two numbers", file: file, item: "tensors")
        }
    }
}

/// Mean and spread of each tensor of a layout.
public struct AdapterStatistics: Hashable, Sendable {
    /// One mean a tensor.
    public var means: [Double]
    /// One standard deviation a tensor, of the sample (divided by one less than the count); 1 where the tensor does not vary.
    public var deviations: [Double]

    /// The statistics of vectors of a layout, taken over all of them together.
    public init(_ vectors: [Tensor], layout: AdapterLayout) throws {
        means = []
        deviations = []
        var start = 0
        for entry in layout.entries {
            let own = try withoutGradients {
                try Tensor.concatenated(
                    vectors.map { try $0.narrowed(0, from: start, length: entry.count) }
                ).to(.float64)
            }
            start += entry.count
            let mean = try own.mean().item()
            let deviation =
                own.count > 1 ? try ((own - mean).power(2).sum().item() / Double(own.count - 1)).squareRoot() : 0
            means.append(mean)
            // An untrained B is zero everywhere.
            deviations.append(deviation > 0 ? deviation : 1)
        }
    }

    init(means: [Double], deviations: [Double]) {
        self.means = means
        self.deviations = deviations
    }

    /// A vector with every tensor brought to mean 0 and spread 1.
    public func normalised(_ vector: Tensor, layout: AdapterLayout) throws -> Tensor {
        try (vector - layout.spread(means)) / layout.spread(deviations)
    }

    /// The reverse of `normalised`.
    public func restored(_ vector: Tensor, layout: AdapterLayout) throws -> Tensor {
        try vector * layout.spread(deviations) + layout.spread(means)
    }
}
