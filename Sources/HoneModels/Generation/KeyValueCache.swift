import HoneTorch

/// The keys and values of positions already seen, so that generation computes each position once.
///
/// The one piece of mutable state of a forward pass; it belongs to one generation and is not shared. It knows which rows there
/// are and how far each has come; the numbers themselves lie in one `KeyValueStorage` a layer, which can be replaced.
public final class KeyValueCache {
    /// How many positions are held, prompts and padding included.
    public private(set) var length = 0
    /// How many positions of each row are tokens or prompt vectors, not padding; empty before the first forward pass.
    public private(set) var rowLengths: [Int] = []
    /// `[rows, capacity]`, true where a position counts and behind the last; absent where all positions count.
    private var marks: Tensor?
    private let layers: [any KeyValueStorage]
    private let expectedLength: Int
    /// What the decoder of an encoder-decoder looks at, a row for each of the cache's.
    public private(set) var memory: EncoderMemory?
    /// The keys and values that a decoder's layers form of the memory, once.
    private var crossLayers: [(keys: Tensor, values: Tensor)?]
    /// Which of the inputs each row belongs to.
    private var inputs: [Int]

    /// An empty cache for a model.
    ///
    /// - Parameters:
    ///   - expectedLength: how many positions are likely to come, prompts and padding included: room for them is taken at
    ///     once. More may come.
    ///   - memory: of an encoder-decoder, `Transformer.memory(of:)` over the inputs: what is decoded with the cache looks at it.
    ///   - storage: makes the place for one layer's numbers, by the layer's index.
    public init(
        for configuration: TransformerConfiguration, expectedLength: Int = 0, memory: EncoderMemory? = nil,
        storage: ((_ layer: Int) -> any KeyValueStorage)? = nil
    ) {
        self.expectedLength = expectedLength
        layers = (0..<(configuration.decoderStack ?? configuration).layerCount).map {
            storage?($0) ?? GrowingKeyValues(expectedLength: expectedLength)
        }
        self.memory = memory
        crossLayers = layers.map { _ in nil }
        inputs = memory.map { Array(0..<$0.states.size(0)) } ?? []
    }

    /// A cache for one forward pass of a stack whose attention sees prefixes: gradients pass through it.
    static func passing(for configuration: TransformerConfiguration) -> KeyValueCache {
        KeyValueCache(for: configuration) { _ in JoinedKeyValues() }
    }

    /// Takes the prefixes of a stack's layers as the first positions of so many rows.
    func begin(
        with attachments: Attachments, in stack: TransformerConfiguration, rows: Int, _ dtype: DType, on device: Device
    ) throws {
        for layer in layers.indices {
            let prefixes = attachments.prefixes[stack.prefix + "layers.\(layer).attention"] ?? []
            let before = try KeyValuePrefix.rows(rows, of: prefixes, dtype, on: device)
            _ = try extend(layer: layer, keys: before.keys, values: before.values)
        }
        let count = attachments.prefixLength(of: stack.prefix)
        try advance(by: count, rowCounts: Array(repeating: count, count: rows), valid: nil)
    }

    /// A layer's keys and values of the memory, formed at the first call.
    func cross(layer: Int, _ form: () throws -> (keys: Tensor, values: Tensor)) throws -> (keys: Tensor, values: Tensor)
    {
        if let held = crossLayers[layer] { return held }
        let formed = try form()
        crossLayers[layer] = formed
        return formed
    }

    /// How many rows there are.
    public var rowCount: Int { rowLengths.count }

    /// Whether some position is padding.
    var isPadded: Bool { marks != nil }

    /// `[rows, length + new]`, true where a position counts, with new positions behind those held; absent where all count.
    ///
    /// - Parameter valid: `[rows, new]`; absent where all new ones count.
    func valid(followedBy valid: Tensor?, new: Int, rows: Int, on device: Device) throws -> Tensor? {
        guard length > 0, valid != nil || marks != nil else { return valid }
        if valid == nil, let marks, marks.size(1) >= length + new {
            return try marks.narrowed(1, from: 0, length: length + new)
        }
        let ones = { (length: Int) in try Tensor.full([rows, length], 1, on: device).to(.bool) }
        let before = try marks?.narrowed(1, from: 0, length: length) ?? ones(length)
        return try Tensor.concatenated([before, valid ?? ones(new)], dimension: 1)
    }

    /// Puts a layer's new keys and values `[rows, heads, new, width]` behind those held; gives all of them.
    func extend(layer: Int, keys: Tensor, values: Tensor) throws -> (keys: Tensor, values: Tensor) {
        try layers[layer].append(keys: keys, values: values)
    }

    /// Counts the positions that all layers have now taken.
    ///
    /// - Parameters:
    ///   - new: how many positions a row was given, padding included.
    ///   - rowCounts: how many of them count, for each row.
    ///   - valid: `[rows, new]`, true for those that count; absent where all do.
    func advance(by new: Int, rowCounts: [Int], valid: Tensor?) throws {
        if marks == nil, let valid {
            marks = try Tensor.full([rowCounts.count, max(expectedLength, length + new)], 1, on: valid.device).to(.bool)
        }
        if let held = marks {
            if held.size(1) < length + new {
                let more = try Tensor.full([rowCounts.count, max(64, length / 2) + new], 1, on: held.device)
                marks = try Tensor.concatenated([held, more.to(.bool)], dimension: 1)
            }
            if let valid { try marks?.narrowed(1, from: length, length: new).copyInPlace(valid) }
        }
        rowLengths = rowLengths.isEmpty ? rowCounts : zip(rowLengths, rowCounts).map { $0 + $1 }
        length += new
    }

    /// Goes on with these rows, by their numbers: rows may be dropped, repeated and put in another order.
    public func select(rows: [Int]) throws {
        guard rows != Array(rowLengths.indices) else { return }
        let selection = try RowSelection(rows)
        for layer in layers { try layer.select(selection) }
        marks = try marks.map { try selection.applied(to: $0) }
        try selectInputs(selection)
        rowLengths = rows.map { rowLengths[$0] }
    }

    /// The memory follows its rows; beams of one input that change places leave it as it is.
    private func selectInputs(_ selection: RowSelection) throws {
        guard let held = memory else { return }
        let chosen = selection.rows.map { inputs[$0] }
        guard chosen != inputs else { return }
        inputs = chosen
        memory = try held.selecting(selection)
        crossLayers = try crossLayers.map {
            try $0.map { try (selection.applied(to: $0.keys), selection.applied(to: $0.values)) }
        }
    }
}

/// Where one layer's keys and values are kept.
///
/// `GrowingKeyValues` keeps them as they are. Another may page, compress or forget, as long as it gives attention what it is
/// to see.
public protocol KeyValueStorage: AnyObject {
    /// Puts new keys and values `[rows, heads, new, width]` behind those held, and gives all that attention is to see,
    /// `[rows, heads, length, width]`. What is given may share memory with the storage until the next call.
    func append(keys: Tensor, values: Tensor) throws -> (keys: Tensor, values: Tensor)
    /// Goes on with some of the rows.
    func select(_ rows: RowSelection) throws
}

/// Which rows a cache goes on with: dropped, repeated or in another order.
public struct RowSelection {
    /// The rows' numbers before the selection.
    public let rows: [Int]
    private let indices: Tensor?

    /// A selection of rows by their numbers.
    public init(_ rows: [Int]) throws {
        self.rows = rows
        let isRange = zip(rows, rows.dropFirst()).allSatisfy { $1 == $0 + 1 }
        indices = isRange ? nil : try Tensor(rows)
    }

    /// The selected rows of a tensor; neighbours are not copied.
    public func applied(to tensor: Tensor) throws -> Tensor {
        guard let indices else { return try tensor.narrowed(0, from: rows.first ?? 0, length: rows.count) }
        return try tensor.selecting(indices.to(tensor.device))
    }
}

/// Keys and values put one behind the other, without memory of their own: for a single forward pass that may be differentiated.
final class JoinedKeyValues: KeyValueStorage {
    private var held: (keys: Tensor, values: Tensor)?

    func append(keys: Tensor, values: Tensor) throws -> (keys: Tensor, values: Tensor) {
        let all = try held.map {
            try (
                Tensor.concatenated([$0.keys, keys], dimension: 2),
                Tensor.concatenated([$0.values, values], dimension: 2)
            )
        }
        held = all ?? (keys, values)
        return all ?? (keys, values)
    }

    func select(_ rows: RowSelection) throws {
        held = try held.map { try (rows.applied(to: $0.keys), rows.applied(to: $0.values)) }
    }
}

/// Keys and values in one block that is larger than what it holds: positions are written in place, and when the block is full the
/// next one is half as large again, so that a position is copied a bounded number of times however long a text gets.
public final class GrowingKeyValues: KeyValueStorage {
    private var held: (keys: Tensor, values: Tensor)?
    private var length = 0
    private let expectedLength: Int

    /// An empty storage with room for so many positions at first.
    public init(expectedLength: Int = 0) { self.expectedLength = expectedLength }

    /// Writes behind what is held.
    public func append(keys: Tensor, values: Tensor) throws -> (keys: Tensor, values: Tensor) {
        let new = keys.size(2)
        let total = length + new
        let block = try reserve(total, like: keys, values)
        try block.keys.narrowed(2, from: length, length: new).copyInPlace(keys)
        try block.values.narrowed(2, from: length, length: new).copyInPlace(values)
        length = total
        return try (block.keys.narrowed(2, from: 0, length: total), block.values.narrowed(2, from: 0, length: total))
    }

    /// Copies the selected rows, of which only what is written.
    public func select(_ rows: RowSelection) throws {
        guard let (keys, values) = held else { return }
        let capacity = keys.size(2)
        held = try (selected(keys, rows, capacity: capacity), selected(values, rows, capacity: capacity))
    }

    private func reserve(_ total: Int, like keys: Tensor, _ values: Tensor) throws -> (keys: Tensor, values: Tensor) {
        if let held, held.keys.size(2) >= total { return held }
        let capacity = max(expectedLength, total + max(64, length / 2))
        let all = try RowSelection(Array(0..<keys.size(0)))
        let grown = try (
            selected(held?.keys ?? keys, all, capacity: capacity),
            selected(held?.values ?? values, all, capacity: capacity)
        )
        held = grown
        return grown
    }

    /// A block with the selected rows of what is written to another.
    private func selected(_ block: Tensor, _ rows: RowSelection, capacity: Int) throws -> Tensor {
        var shape = block.shape
        shape[0] = rows.rows.count
        shape[2] = capacity
        let made = try Tensor.empty(shape, block.dtype, on: block.device)
        if length > 0 {
            try made.narrowed(2, from: 0, length: length)
                .copyInPlace(rows.applied(to: block.narrowed(2, from: 0, length: length)))
        }
        return made
    }
}
