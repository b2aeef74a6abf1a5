import HoneFormats
import HoneModels
import HoneTorch

/// A few coordinates of a model's layers with the values that fine-tuning gave them: put into the pretrained model, they carry
/// its skill (Panigrahi et al. 2023, arXiv 2302.06600).
public struct Graft {
    /// The coordinates within one weight.
    public struct Part {
        /// The weight's name.
        public var name: String
        /// The weight's shape.
        public var shape: [Int]
        /// The coordinates as places in the flattened weight, rising, `[count]` of `int64`.
        public var indices: Tensor
        /// The fine-tuned values, `[count]` of `float32`.
        public var values: Tensor

        /// Coordinates of one weight.
        public init(name: String, shape: [Int], indices: Tensor, values: Tensor) {
            self.name = name
            self.shape = shape
            self.indices = indices
            self.values = values
        }
    }

    /// Which base a graft belongs to: what it holds at the coordinates that the graft replaces.
    public struct Base: Hashable, Sendable {
        /// SHA-256 over names, coordinates and the base's values there as `float32`.
        public var hash: String
        /// What the base's weights were when the graft was made: a base in a lower precision cannot be told by its values.
        public var dtype: DType

        /// The base that a model is to a graft.
        ///
        /// - Throws: `HoneError` with code `.mismatch` for a model without the graft's weights.
        public init(of graft: Graft, model: Transformer) throws {
            hash = try graft.hash(of: model)
            dtype = model.dtype
        }

        init(hash: String, dtype: DType) {
            self.hash = hash
            self.dtype = dtype
        }
    }

    /// The weights that have coordinates, in the order of the model.
    public var parts: [Part]
    /// Among how many coordinates these were chosen.
    public var selected: Int
    /// Where it belongs; `nil` where that is not known.
    public var base: Base?

    /// A graft from its parts.
    public init(parts: [Part], selected: Int, base: Base? = nil) {
        self.parts = parts
        self.selected = selected
        self.base = base
    }

    /// How many coordinates there are.
    public var count: Int { parts.reduce(0) { $0 + $1.indices.count } }

    /// The coordinates where a mask is true, with the values of a vector of weights.
    ///
    /// - Parameters:
    ///   - mask: `bool`, over the space's coordinates.
    ///   - after: the fine-tuned weights as one vector.
    ///   - model: the base.
    public init(_ mask: Tensor, after: Tensor, in space: GraftSpace, of model: Transformer) throws {
        let (masks, values) = try (space.parts(mask), space.parts(after))
        parts = try withoutGradients {
            try zip(masks, values).compactMap { mask, value in
                let indices = try mask.tensor.reshaped([-1]).nonZero().reshaped([-1])
                guard indices.count > 0 else { return nil }
                let own = try value.tensor.reshaped([-1]).selecting(indices).to(.float32).cloned()
                return Part(name: mask.name, shape: value.tensor.shape, indices: indices, values: own)
            }
        }
        selected = space.count
        base = nil
        base = try Base(of: self, model: model)
    }

    /// The hash of a model's values at the coordinates.
    func hash(of model: Transformer) throws -> String {
        try hash { name in
            guard let weight = model.weights[name] else {
                throw HoneError(
                    .mismatch, "the base model has no such weight; this graft is for another base", item: name)
            }
            return weight
        }
    }

    private func hash(_ weight: (String) throws -> Tensor) throws -> String {
        var hash = ContentHash(.sha256)
        for part in parts.sorted(by: { $0.name < $1.name }) {
            let tensor = try weight(part.name)
            guard tensor.shape == part.shape else {
                throw HoneError(
                    .mismatch, "has shape \(tensor.shape) in the base, \(part.shape) in the graft", item: part.name)
            }
            var name = part.name + "\0"
            name.withUTF8 { hash.update(UnsafeRawBufferPointer($0)) }
            try withoutGradients {
                try part.indices.to(.cpu).contiguous().withBytes { hash.update($0) }
                let values = try tensor.detached().reshaped([-1]).selecting(part.indices).to(.float32)
                try values.to(.cpu).contiguous().withBytes { hash.update($0) }
            }
        }
        return hash.finish()
    }

    /// Refuses a model that is not the one this graft was made for, as far as its precision allows to tell.
    ///
    /// - Throws: `HoneError` with code `.mismatch`.
    public func check(_ model: Transformer) throws {
        let found = try hash(of: model)
        guard let base, found != base.hash else { return }
        if model.dtype != base.dtype {
            // What was stored in more bits and is read in fewer has other values; as the graft's own type it may be the same.
            guard model.dtype == .float32 else { return }
            let rounded = try hash { name in
                guard let weight = model.weights[name] else {
                    throw HoneError(.mismatch, "the base model has no such weight", item: name)
                }
                return try withoutGradients { try weight.to(base.dtype).to(.float32) }
            }
            if rounded == base.hash { return }
        }
        throw HoneError(
            .mismatch,
            "the graft was made for another base: at its coordinates the model holds other values (\(found.prefix(12))…, not "
                + "\(base.hash.prefix(12))…)")
    }

    /// The weights with the graft in place, by name; those that it does not touch are left out.
    ///
    /// - Parameter rest: what stands at the other coordinates of the layers; the base's own where left out. With zero, the
    ///   control of lottery tickets, every weight of the layers is given.
    public func weights(_ model: Transformer, zeroingRest: Bool = false) throws -> [String: Tensor] {
        var weights: [String: Tensor] = [:]
        if zeroingRest {
            for entry in GraftSpace(model.configuration).entries {
                weights[entry.name] = try Tensor.zeros(entry.shape, on: model.device)
            }
        }
        for part in parts {
            guard let base = try weights[part.name] ?? model.weights[part.name]?.detached().to(.float32) else {
                throw HoneError(.mismatch, "the base model has no such weight", item: part.name)
            }
            weights[part.name] = try base.reshaped([-1]).scattering(part.values, at: part.indices, dimension: 0)
                .reshaped(part.shape)
        }
        return weights
    }

    /// The mask over all coordinates of a space.
    func mask(in space: GraftSpace) throws -> Tensor {
        let mask = try Tensor.zeros([space.count], .bool)
        let starts = Dictionary(uniqueKeysWithValues: space.entries.map { ($0.name, $0.start) })
        for part in parts {
            guard let start = starts[part.name] else {
                throw HoneError(.mismatch, "the base model has no such weight", item: part.name)
            }
            let places = try part.indices.to(.cpu) + Tensor([start])
            try mask.copyInPlace(Tensor.full([places.count], 1, .bool), at: places)
        }
        return mask
    }
}

extension Graft {
    /// The union of several grafts of one base: where two give different values to a coordinate, the later one's.
    ///
    /// - Returns: the union, which knows no base of its own until it is given one, and how often a later graft gave a coordinate
    ///   another value.
    /// - Throws: `HoneError` with code `.mismatch` for grafts of models of different shapes.
    public static func union(_ grafts: [Graft]) throws -> (graft: Graft, conflicts: Int) {
        var order: [String] = []
        var own: [String: [Part]] = [:]
        for part in grafts.flatMap(\.parts) {
            if own[part.name] == nil { order.append(part.name) }
            own[part.name, default: []].append(part)
        }
        var conflicts = 0
        let parts = try order.map { name in
            let some = own[name] ?? []
            if let other = some.first(where: { $0.shape != some[0].shape }) {
                throw HoneError(
                    .mismatch,
                    "has shape \(other.shape) in one graft and \(some[0].shape) in another: they are for "
                        + "different models", item: name)
            }
            var values: [Int: Float] = [:]
            for part in some {
                for (index, value) in try zip(part.indices.elements(Int.self), part.values.elements(Float.self)) {
                    if let known = values.updateValue(value, forKey: index), known != value { conflicts += 1 }
                }
            }
            let indices = values.keys.sorted()
            return Part(
                name: name, shape: some[0].shape, indices: try Tensor(indices),
                values: try Tensor(indices.map { values[$0] ?? 0 }))
        }
        return (Graft(parts: parts, selected: grafts.map(\.selected).max() ?? 0), conflicts)
    }

    /// How many coordinates two grafts have in common.
    public func common(with other: Graft) throws -> Int {
        let theirs = Dictionary(uniqueKeysWithValues: other.parts.map { ($0.name, $0) })
        return try parts.reduce(0) { sum, part in
            guard let same = theirs[part.name] else { return sum }
            return try sum + Set(part.indices.elements(Int.self)).intersection(same.indices.elements(Int.self)).count
        }
    }

    /// A share of the coordinates by kind of weight or by layer.
    public struct Place: Hashable, Sendable {
        /// The kind (`value`, `norm`) or the layer.
        public var name: String
        /// How many coordinates of the graft are there.
        public var count: Int
        /// How many coordinates there are to choose from.
        public var available: Int
    }

    /// Where the coordinates are: by kind of weight, and by layer; places without any are told as well.
    public func places(in model: TransformerConfiguration) -> (kinds: [Place], layers: [Place]) {
        let counts = Dictionary(uniqueKeysWithValues: parts.map { ($0.name, $0.indices.count) })
        func grouped(_ key: (String) -> String) -> [Place] {
            var order: [String] = []
            var found: [String: Place] = [:]
            for entry in GraftSpace(model).entries {
                let name = key(entry.name)
                if found[name] == nil { order.append(name) }
                found[name, default: Place(name: name, count: 0, available: 0)].available += entry.count
                found[name]?.count += counts[entry.name] ?? 0
            }
            return order.compactMap { found[$0] }
        }
        return (grouped(GraftSpace.kind), grouped(GraftSpace.layer))
    }
}

extension Graft {
    /// Where the coordinates are, as tables: by kind of weight, and by layer and kind as a map of shares.
    public func figures(in model: TransformerConfiguration) -> [MethodFigure] {
        let (kinds, layers) = places(in: model)
        let counts = Dictionary(uniqueKeysWithValues: parts.map { ($0.name, $0.indices.count) })
        var cells: [String: Double] = [:]
        for entry in GraftSpace(model).entries {
            cells[GraftSpace.layer(entry.name) + " " + GraftSpace.kind(entry.name), default: 0] +=
                Double(counts[entry.name] ?? 0)
        }
        func share(_ part: Int, _ whole: Int) -> String {
            percent(whole > 0 ? Double(part) / Double(whole) : 0)
        }
        return [
            MethodFigure(
                "Where the graft is",
                note:
                    "How the \(count) coordinates of \(selected) spread over the kinds of weights, against their size.",
                .table(
                    titles: ["weights", "coordinates", "share of the graft", "share of the layers"],
                    rows: kinds.map {
                        [$0.name, "\($0.count)", share($0.count, count), share($0.available, selected)]
                    })),
            MethodFigure(
                "The graft by layer", note: "How many coordinates each kind of weight has in each layer.",
                .map(
                    rows: layers.map(\.name), columns: kinds.map(\.name),
                    values: layers.map { layer in kinds.map { cells[layer.name + " " + $0.name] ?? 0 } })),
        ]
    }

    private func percent(_ share: Double) -> String {
        let scaled = (share * 1000).rounded() / 10
        return "\(scaled) %"
    }
}
