import HoneFormats
import HoneModels
import HoneTorch

/// The coordinates among which a graft chooses, as one long vector: every weight of the layers, in the order of the model.
///
/// Embeddings, the norm after all layers and heads are left out: a graft is made of a model whose fine-tuning left them alone.
public struct GraftSpace: Sendable {
    /// One weight's place in the vector.
    public struct Entry: Hashable, Sendable {
        /// The weight's name.
        public var name: String
        /// Its shape.
        public var shape: [Int]
        /// Where its elements begin.
        public var start: Int
        /// How many there are.
        public var count: Int
    }

    /// The weights in order.
    public let entries: [Entry]
    /// How many coordinates there are.
    public let count: Int

    /// The coordinates of some weights.
    public init(_ shapes: [(name: String, shape: [Int])]) {
        var entries: [Entry] = []
        var start = 0
        for (name, shape) in shapes {
            let count = shape.reduce(1, *)
            entries.append(Entry(name: name, shape: shape, start: start, count: count))
            start += count
        }
        self.entries = entries
        count = start
    }

    /// The coordinates of a model's layers.
    public init(_ model: TransformerConfiguration) {
        self.init(model.weightShapes.filter { GraftSpace.holds($0.name, of: model) })
    }

    /// The coordinates of what a task trains of a model: of an encoder-decoder that classifies, those of its encoder.
    public init(_ model: BaseModel, _ task: TaskShape) throws {
        self.init(try model.part(for: task, Grafting.self).configuration)
    }

    /// Whether a weight belongs to a layer.
    static func holds(_ name: String, of model: TransformerConfiguration) -> Bool {
        let stack = model.stacks.first { name.hasPrefix($0.prefix) } ?? model
        return name.dropFirst(name.hasPrefix(stack.prefix) ? stack.prefix.count : 0).hasPrefix("layers.")
    }

    /// The weights one after the other, `[count]`.
    public func joined(_ dtype: DType = .float32, _ weight: (String) throws -> Tensor) throws -> Tensor {
        try withoutGradients {
            try Tensor.concatenated(
                entries.map { entry in
                    let tensor = try weight(entry.name).detached().to(dtype)
                    guard tensor.shape == entry.shape else {
                        throw HoneError(
                            .mismatch,
                            "has shape \(tensor.shape), not \(entry.shape): the two models are different ones",
                            item: entry.name)
                    }
                    return try tensor.reshaped([-1])
                })
        }
    }

    /// The part of a vector that belongs to each weight, in the weight's shape; memory is shared.
    public func parts(_ vector: Tensor) throws -> [(name: String, tensor: Tensor)] {
        try entries.map { entry in
            (entry.name, try vector.narrowed(0, from: entry.start, length: entry.count).reshaped(entry.shape))
        }
    }

    /// What a coordinate is part of, for the question where a skill lies: `query`, `key`, `value`, `output`, `up`, `gate`,
    /// `down`, `norm`, `bias`, or the whole name of a map that is none of these.
    static func kind(_ name: String) -> String {
        if name.contains(".norm.") { return "norm" }
        let parts = name.split(separator: ".")
        if parts.last == "bias" { return "bias" }
        guard parts.count >= 2 else { return name }
        return String(parts[parts.count - 2])
    }

    /// The layer of a weight with the prefix of its stack: `3`, `decoder.3`.
    static func layer(_ name: String) -> String {
        let parts = name.split(separator: ".")
        guard let place = parts.firstIndex(of: "layers"), place + 1 < parts.count else { return name }
        return (parts[..<place] + [parts[place + 1]]).joined(separator: ".")
    }
}
