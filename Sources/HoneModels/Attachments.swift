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
    /// Whether something depends on which row of the batch a row is, as `byRows` makes it.
    public internal(set) var looksAtRows = false

    /// No attachments.
    public init() {}

    /// Whether there is nothing.
    public var isEmpty: Bool { weights.isEmpty && linear.isEmpty && states.isEmpty && prompts.isEmpty }

    /// How many positions the prompts take.
    public var promptLength: Int { prompts.reduce(0) { $0 + $1.size(0) } }

    /// Adds all of another's after one's own; its weights win.
    public mutating func add(_ other: Attachments) {
        weights.merge(other.weights) { $1 }
        linear.merge(other.linear) { $0 + $1 }
        states.merge(other.states) { $0 + $1 }
        prompts += other.prompts
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
