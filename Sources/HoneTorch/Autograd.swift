import CHoneTorch
import HoneFormats

/// Runs a body in which no operator on this thread records gradients. Scopes nest.
public func withoutGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = hone_set_gradients_enabled(false)
    defer { _ = hone_set_gradients_enabled(before) }
    return try body()
}

/// Runs a body in which gradients are recorded, also inside `withoutGradients`.
public func withGradients<Result>(_ body: () throws -> Result) rethrows -> Result {
    let before = hone_set_gradients_enabled(true)
    defer { _ = hone_set_gradients_enabled(before) }
    return try body()
}

extension Tensor {
    /// Whether operators on this tensor are recorded.
    public var requiresGradient: Bool { hone_requires_gradient(raw) }

    /// Makes a leaf trainable, or freezes it. Gives the tensor itself.
    @discardableResult
    public func setRequiresGradient(_ value: Bool = true) throws -> Tensor {
        try check(hone_set_requires_gradient(raw, value), in: "requires_grad")
        return self
    }

    /// The gradient that `backward` has accumulated in this leaf.
    public var gradient: Tensor? {
        var found: hone_tensor?
        guard hone_gradient(raw, &found) == 0, let found else { return nil }
        return Tensor(owning: found)
    }

    /// Forgets the accumulated gradient and frees its memory.
    public func clearGradient() { _ = hone_clear_gradient(raw) }

    /// Accumulates the gradient of this tensor into the trainable leaves that it was made from.
    ///
    /// - Parameter gradient: the gradient of the objective for this tensor; ones where it is left out, which libtorch
    ///   allows for a single number only.
    public func backward(gradient: Tensor? = nil, keepGraph: Bool = false) throws {
        let roots: [hone_tensor?] = [raw]
        let gradients: [hone_tensor?] = [gradient?.raw]
        try withExtendedLifetime(gradient) { try check(hone_backward(roots, gradients, 1, keepGraph), in: "backward") }
    }
}

/// The gradients of a single number for some tensors, without touching what their leaves have accumulated.
///
/// - Returns: one gradient an input; `nil` for an input that the number does not depend on.
public func gradients(of root: Tensor, for inputs: [Tensor], keepGraph: Bool = false, createGraph: Bool = false) throws
    -> [Tensor?]
{
    let roots: [hone_tensor?] = [root.raw]
    let wanted: [hone_tensor?] = inputs.map(\.raw)
    var found = [hone_tensor?](repeating: nil, count: inputs.count)
    try withExtendedLifetime(inputs) {
        try check(
            hone_gradients(roots, nil, 1, wanted, wanted.count, keepGraph, createGraph, &found), in: "gradients")
    }
    return found.map { $0.map(Tensor.init(owning:)) }
}
