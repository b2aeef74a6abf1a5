import HoneFormats
import HoneTorch

/// Changes what a linear map gives, with its input at hand: low-rank updates and their relatives.
public protocol LinearAttachment {
    /// The new output of a map.
    ///
    /// - Parameters:
    ///   - output: what the map (and earlier attachments) gave, `[..., outputs]`.
    ///   - input: what the map was given, `[..., inputs]`.
    ///   - map: the map with its weight and bias.
    func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor

    /// Whether the map is given something else than its input: `entering`.
    var changesInput: Bool { get }

    /// What the map is given in place of an input `[..., inputs]`; `output` is then given the same.
    func entering(_ input: Tensor) throws -> Tensor

    /// Whether the attachment can be made part of the map's weight and bias: `folded`.
    var isFoldable: Bool { get }

    /// The map with the attachment in its weight and bias; `nil` where that is not how it acts.
    func folded(into map: LinearMap) throws -> LinearMap?

    /// Whether what comes out for a token depends on that token alone, so that rows may be computed without padding.
    var actsOnTokens: Bool { get }

    /// Whether a token that stands in several rows with the same tokens before it may be computed once for all of them, because
    /// nothing is drawn for it.
    var isDeterministic: Bool { get }

    /// The change as `scale · x · downᵀ · upᵀ`, where it is no more than that: `[rank, inputs]`, `[outputs, rank]`,
    /// `float32`.
    var lowRankUpdate: FusedLinear.Update? { get }

    /// The same where segments of an input's tokens have updates of their own.
    func segmentedUpdates(of input: Tensor) -> SegmentedUpdates?

    /// The same attachment for a forward pass with rows in certain places.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where it is for another number of rows.
    func bound(to layout: RowLayout) throws -> any LinearAttachment
}

/// Low-rank updates of segments of tokens.
public struct SegmentedUpdates {
    /// Where the segments begin, and the number of tokens at the end.
    public var bounds: [Int]
    /// One for each segment that has one.
    public var updates: [FusedLinear.Update?]
}

extension LinearAttachment {
    /// False: the map is given its input.
    public var changesInput: Bool { false }
    /// The input.
    public func entering(_ input: Tensor) throws -> Tensor { input }
    /// False: it acts beside the map.
    public var isFoldable: Bool { false }
    /// None.
    public func folded(into map: LinearMap) throws -> LinearMap? { nil }
    /// False: rows may matter.
    public var actsOnTokens: Bool { false }
    /// False: it may draw.
    public var isDeterministic: Bool { false }
    /// None: only `output` tells.
    public var lowRankUpdate: FusedLinear.Update? { nil }
    /// None.
    public func segmentedUpdates(of input: Tensor) -> SegmentedUpdates? { nil }
    /// Itself.
    public func bound(to layout: RowLayout) -> any LinearAttachment { self }
}

/// Observes or changes the vectors at a state or heads site.
public protocol StateAttachment {
    /// The new state; an observer gives back what it got.
    ///
    /// - Parameter state: `[batch, length, width]`, or `[batch, length, heads, width]` at a heads site.
    func state(_ state: Tensor) throws -> Tensor

    /// Whether what comes out for a token depends on that token alone, and on whether its row's prompt ends with it, so that rows
    /// may be computed without padding.
    var actsOnTokens: Bool { get }

    /// Whether a token that stands in several rows with the same tokens before it may be computed once for all of them, because
    /// nothing is drawn for it.
    var isDeterministic: Bool { get }

    /// Whether the last token of a prompt is treated unlike others: `bound(to:)` is told which those are.
    var looksAtPromptEnds: Bool { get }

    /// What is added to the state of every token, where the change is no more than that: `[width]` or `[heads, width]`,
    /// `float32`.
    var offset: Tensor? { get }

    /// The same attachment for a forward pass with rows in certain places.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where it is for another number of rows.
    func bound(to layout: RowLayout) throws -> any StateAttachment
}

extension StateAttachment {
    /// False: rows may matter.
    public var actsOnTokens: Bool { false }
    /// False: it may draw.
    public var isDeterministic: Bool { false }
    /// False.
    public var looksAtPromptEnds: Bool { false }
    /// None: only `state` tells.
    public var offset: Tensor? { nil }
    /// Itself.
    public func bound(to layout: RowLayout) -> any StateAttachment { self }
}

/// Keys and values that every row's attention sees before those of the row (Li and Liang 2021).
public struct KeyValuePrefix {
    /// `[length, heads, headWidth]`, as a cache holds them: after norms of heads and rotary positions.
    public var keys: Tensor
    /// `[length, heads, headWidth]`
    public var values: Tensor

    /// A prefix of keys and values.
    public init(keys: Tensor, values: Tensor) {
        self.keys = keys
        self.values = values
    }

    /// How many positions there are.
    public var length: Int { keys.size(0) }

    /// Those of several prefixes one after the other, for so many rows: `[rows, heads, length, headWidth]` each.
    static func rows(_ count: Int, of prefixes: [KeyValuePrefix], _ dtype: DType, on device: Device) throws -> (
        keys: Tensor, values: Tensor
    ) {
        func whole(_ part: (KeyValuePrefix) -> Tensor) throws -> Tensor {
            let joined = try prefixes.count == 1 ? part(prefixes[0]) : .concatenated(prefixes.map(part))
            let placed = try joined.to(dtype).to(device).permuted([1, 0, 2]).unsqueezed(0)
            return try placed.expanded([count] + placed.shape.dropFirst())
        }
        return try (whole(\.keys), whole(\.values))
    }
}

/// What methods, probes and patches put onto a transformer: all of it addressed by site, none of it known to the
/// transformer. An empty one costs nothing.
public struct Attachments {
    /// Weights that stand in for the base model's, by their names; converted to the base's type when used.
    public var weights: [String: Tensor] = [:]
    /// By path of a linear site; several act in order.
    public var linear: [String: [any LinearAttachment]] = [:]
    /// By path of a state or heads site; several act in order.
    public var states: [String: [any StateAttachment]] = [:]
    /// Vectors put before the embeddings of every row, `[count, tokenWidth]` each; several follow one another.
    public var prompts: [Tensor] = []
    /// By path of an attention sublayer, such as `layers.0.attention` or `decoder.layers.0.crossAttention`: what it sees before
    /// the row's own; several follow one another. They take positions in front of the row's as prompts do, so that all layers
    /// of a stack have as many in `attention`; those of `crossAttention` stand in front of what the encoder gives.
    public var prefixes: [String: [KeyValuePrefix]] = [:]
    /// Added to the embeddings of what is read, by a token's place in its row, counted from 0 without prompts and padding:
    /// `[places, tokenWidth]`; tokens at later places have nothing added.
    public var placeVectors: [Tensor] = []
    /// Whether something depends on which row of the batch a row is, as `byRows` makes it.
    public internal(set) var looksAtRows = false

    /// No attachments.
    public init() {}

    /// Whether there is nothing.
    public var isEmpty: Bool { weights.isEmpty && linear.isEmpty && states.isEmpty && !standsBeforeRows }

    /// How many positions the prompts take.
    public var promptLength: Int { prompts.reduce(0) { $0 + $1.size(0) } }

    /// How many positions prompts and prefixes take of what is read; prompts stand in no decoder beside an encoder.
    public var addedPositions: Int { promptLength + max(prefixLength(of: ""), prefixLength(of: "encoder.")) }

    /// How many positions prefixes take in a stack, by what stands before its names.
    func prefixLength(of stack: String) -> Int {
        (prefixes[stack + "layers.0.attention"] ?? []).reduce(0) { $0 + $1.length }
    }

    /// Whether something stands before rows or depends on where a token stands in its row.
    var standsBeforeRows: Bool { !prompts.isEmpty || !prefixes.isEmpty || !placeVectors.isEmpty }

    /// Adds all of another's after one's own; its weights win.
    public mutating func add(_ other: Attachments) {
        weights.merge(other.weights) { $1 }
        linear.merge(other.linear) { $0 + $1 }
        states.merge(other.states) { $0 + $1 }
        prompts += other.prompts
        prefixes.merge(other.prefixes) { $0 + $1 }
        placeVectors += other.placeVectors
        looksAtRows = looksAtRows || other.looksAtRows
    }

    /// Whether a state attachment treats the last tokens of prompts unlike others.
    var looksAtPromptEnds: Bool { states.values.contains { $0.contains(where: \.looksAtPromptEnds) } }

    /// Checks that every address exists in a model and has the right kind.
    ///
    /// - Throws: `HoneError` with code `.mismatch` that names the site or weight.
    func check(against configuration: TransformerConfiguration) throws {
        let kinds = Dictionary(uniqueKeysWithValues: configuration.sites.map { ($0.path, $0.kind) })
        for path in linear.keys.sorted() {
            guard case .linear = kinds[path] else {
                throw HoneError(.mismatch, "this model has no linear map of that name", item: path)
            }
        }
        for path in states.keys.sorted() {
            switch kinds[path] {
            case .state, .heads: break
            default: throw HoneError(.mismatch, "this model has no state of that name", item: path)
            }
        }
        for prompt in prompts where prompt.rank != 2 || prompt.size(1) != configuration.tokenWidth {
            throw HoneError(
                .mismatch,
                "a prompt of shape \(prompt.shape) does not fit tokens of width \(configuration.tokenWidth)")
        }
        for vectors in placeVectors where vectors.rank != 2 || vectors.size(1) != configuration.tokenWidth {
            throw HoneError(
                .mismatch,
                "vectors of shape \(vectors.shape) do not fit tokens of width \(configuration.tokenWidth)")
        }
        try checkPrefixes(against: configuration)
        guard !weights.isEmpty else { return }
        let shapes = Dictionary(uniqueKeysWithValues: configuration.weightShapes.map { ($0.name, $0.shape) })
        for (name, tensor) in weights.sorted(by: { $0.key < $1.key }) {
            guard let shape = shapes[name] else {
                throw HoneError(.mismatch, "this model has no weight of that name", item: name)
            }
            guard tensor.shape == shape else {
                throw HoneError(.mismatch, "has shape \(tensor.shape), the model's is \(shape)", item: name)
            }
        }
    }
}

extension Attachments {
    /// Checks that prefixes are where attention is, fit its heads, and are as long in all layers of a stack.
    private func checkPrefixes(against configuration: TransformerConfiguration) throws {
        guard !prefixes.isEmpty else { return }
        var known: Set<String> = []
        for stack in configuration.stacks {
            let length = prefixLength(of: stack.prefix)
            for layer in 0..<stack.layerCount {
                let layers = stack.prefix + "layers.\(layer)."
                for sublayer in stack.hasCrossAttention ? ["attention", "crossAttention"] : ["attention"] {
                    let path = layers + sublayer
                    let heads = sublayer == "attention" ? stack.keyValueHeadCount : stack.headCount
                    known.insert(path)
                    for prefix in prefixes[path] ?? [] {
                        let shape = [prefix.length, heads, stack.headWidth]
                        guard prefix.keys.shape == shape, prefix.values.shape == shape else {
                            throw HoneError(
                                .mismatch,
                                "a prefix of shape \(prefix.keys.shape) does not fit \(heads) heads of width "
                                    + "\(stack.headWidth)", item: path)
                        }
                    }
                }
                let own = (prefixes[layers + "attention"] ?? []).reduce(0) { $0 + $1.length }
                guard own == length else {
                    throw HoneError(
                        .mismatch, "a prefix of \(own) positions; that of the first layer has \(length)",
                        item: layers + "attention")
                }
            }
        }
        for path in prefixes.keys.sorted() where !known.contains(path) {
            throw HoneError(.mismatch, "this model has no attention of that name", item: path)
        }
    }
}

/// Keeps the states that pass a site, for tests, probes and explanations.
public final class StateRecorder: StateAttachment {
    /// The states seen, one a forward pass.
    public private(set) var states: [Tensor] = []

    /// A recorder that has seen nothing.
    public init() {}

    /// Keeps the state and lets it pass.
    public func state(_ state: Tensor) throws -> Tensor {
        states.append(state)
        return state
    }
}
