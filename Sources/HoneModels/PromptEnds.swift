import HoneTorch

/// Changes a state at the last token of each row's prompt, and nowhere else: what a cache keeps of that token is changed too, and what
/// is written behind it is not.
public struct PromptEndEdit: StateAttachment {
    /// The new states of those tokens, `[tokens, width]` or `[tokens, heads, width]`, from what they were.
    private let change: (Tensor) throws -> Tensor
    private var places: [Int]?

    /// An edit.
    ///
    /// - Parameter change: the new states of the tokens, `[tokens, width]` or `[tokens, heads, width]`, from what they were.
    public init(_ change: @escaping (Tensor) throws -> Tensor) { self.change = change }

    /// Other tokens pass as they are.
    public var actsOnTokens: Bool { true }
    /// Nothing is drawn.
    public var isDeterministic: Bool { true }
    /// At these alone it acts.
    public var looksAtPromptEnds: Bool { true }

    /// Learns where prompts end.
    public func bound(to layout: RowLayout) -> any StateAttachment {
        var copy = self
        copy.places = layout.distinctPromptEnds
        return copy
    }

    /// The state with those tokens changed.
    public func state(_ state: Tensor) throws -> Tensor {
        guard let places else { preconditionFailure("a forward pass binds attachments to its rows") }
        guard !places.isEmpty else { return state }
        let indices = try Tensor(places, on: state.device)
        let flat = try state.reshaped([-1] + state.shape.dropFirst(2))
        let changed = try change(flat.selecting(indices)).to(state.dtype)
        return try flat.replacing(changed, at: indices).reshaped(state.shape)
    }
}

/// Keeps the states of the last token of each row's prompt.
public final class PromptEndRecorder: StateAttachment {
    /// What was seen: for each forward pass one state a row, `[rows, width]` or `[rows, heads, width]`, rows whose prompts do not end
    /// in it left out.
    public private(set) var states: [Tensor] = []

    /// A recorder that has seen nothing.
    public init() {}

    /// Other tokens do not matter.
    public var actsOnTokens: Bool { true }
    /// Nothing is drawn.
    public var isDeterministic: Bool { true }
    /// Of these alone it keeps the states.
    public var looksAtPromptEnds: Bool { true }

    /// A part that knows where prompts end.
    public func bound(to layout: RowLayout) -> any StateAttachment {
        Part(recorder: self, places: layout.promptEnds.compactMap { $0 })
    }

    /// Only parts of it are asked.
    public func state(_ state: Tensor) -> Tensor {
        preconditionFailure("a forward pass binds attachments to its rows")
    }

    private struct Part: StateAttachment {
        let recorder: PromptEndRecorder
        let places: [Int]

        func state(_ state: Tensor) throws -> Tensor {
            let flat = try state.reshaped([-1] + state.shape.dropFirst(2))
            if !places.isEmpty { recorder.states.append(try flat.selecting(Tensor(places, on: state.device))) }
            return state
        }
    }
}

extension RowLayout {
    /// Where prompts end, each place once, in rising order.
    var distinctPromptEnds: [Int] { Array(Set(promptEnds.compactMap { $0 })).sorted() }
}
