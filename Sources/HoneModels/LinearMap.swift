import HoneTorch

/// A linear map of a transformer, `y = x · weightᵀ + bias`, with what is attached to it.
public struct LinearMap {
    /// The site's path, such as `layers.3.attention.query`.
    public let path: String
    /// `[outputs, inputs]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    let attachments: [any LinearAttachment]
    /// Whether only libtorch's own operators are used.
    let computesExactly: Bool

    /// The map of an input `[..., inputs]`: `[..., outputs]`.
    func callAsFunction(_ input: Tensor) throws -> Tensor {
        if !computesExactly, input.suitsFusedKernels { return try LinearMap.outputs(of: [self], input)[0] }
        let input = try entering(input)
        var output = try input.linear(weight, bias: bias)
        for attachment in attachments { output = try attachment.output(output, input: input, of: self) }
        return output
    }

    /// `input · weightᵀ`
    static func product(_ input: Tensor, _ weight: Tensor, exact: Bool) throws -> Tensor {
        guard !exact, input.suitsFusedKernels, input.dtype == weight.dtype else { return try input.linear(weight) }
        return try input.linears([FusedLinear(weight: weight)])[0]
    }

    private var onlyAttachment: (any LinearAttachment)? { attachments.count == 1 ? attachments[0] : nil }

    /// What the map is given in place of an input.
    private func entering(_ input: Tensor) throws -> Tensor {
        try attachments.reduce(input) { $1.changesInput ? try $1.entering($0) : $0 }
    }

    private var changesInput: Bool { attachments.contains(where: \.changesInput) }

    /// The map with what is attached in its weight and bias; itself where something cannot be folded in.
    func folded() throws -> LinearMap {
        try attachments.reduce(self) { map, attachment in try attachment.folded(into: map) ?? map }
    }

    /// The same map with another weight and bias.
    public func replacing(weight: Tensor, bias: Tensor?) -> LinearMap {
        LinearMap(path: path, weight: weight, bias: bias, attachments: attachments, computesExactly: computesExactly)
    }

    /// What is attached as one low-rank update a segment; `nil` where it is more than that.
    private func updates(_ segmented: SegmentedUpdates?, bounds: [Int]) -> [FusedLinear.Update?]? {
        let segments = max(1, bounds.count - 1)
        if attachments.isEmpty { return Array(repeating: nil, count: segments) }
        if let update = onlyAttachment?.lowRankUpdate { return Array(repeating: update, count: segments) }
        return segmented?.bounds == bounds ? segmented?.updates : nil
    }

    /// What several maps of one input give, low-rank updates included, in one step.
    static func outputs(of maps: [LinearMap], _ input: Tensor) throws -> [Tensor] {
        guard input.suitsFusedKernels, !maps.contains(where: \.computesExactly) else {
            return try maps.map { try $0(input) }
        }
        if maps.count > 1, maps.contains(where: \.changesInput) {
            return try maps.flatMap { try LinearMap.outputs(of: [$0], input) }
        }
        let input = try maps.first?.entering(input) ?? input
        let segmented = maps.map { $0.onlyAttachment?.segmentedUpdates(of: input) }
        let bounds = segmented.lazy.compactMap { $0?.bounds }.first ?? []
        let updates = zip(maps, segmented).map { $0.updates($1, bounds: bounds) }
        let none = [FusedLinear.Update?](repeating: nil, count: max(1, bounds.count - 1))
        var outputs = try input.linears(
            zip(maps, updates).map { FusedLinear(weight: $0.weight, bias: $0.bias, updates: $1 ?? none) },
            bounds: bounds)
        for (place, map) in maps.enumerated() where updates[place] == nil {
            for attachment in map.attachments {
                outputs[place] = try attachment.output(outputs[place], input: input, of: map)
            }
        }
        return outputs
    }
}

/// A norm of a transformer.
struct NormMap {
    let kind: TransformerConfiguration.Norm
    let weight: Tensor
    let bias: Tensor?
    let epsilon: Double
    /// Whether only libtorch's own operators are used.
    let computesExactly: Bool

    /// The norm of a sum, and the sum.
    func callAsFunction(_ input: Tensor, adding change: Tensor) throws -> (normed: Tensor, sum: Tensor) {
        if suitsKernel(input), input.shape == change.shape, input.dtype == change.dtype {
            return try input.fusedNorm(
                adding: change, weight: weight, bias: bias, centres: kind == .layer, epsilon: epsilon)
        }
        let sum = try input + change
        return (try self(sum), sum)
    }

    private func suitsKernel(_ input: Tensor) -> Bool {
        !computesExactly && input.suitsFusedKernels && input.dtype == weight.dtype && !weight.requiresGradient
            && bias?.requiresGradient != true && weight.isContiguous
    }

    func callAsFunction(_ input: Tensor) throws -> Tensor {
        if suitsKernel(input) {
            return try input.fusedNorm(weight: weight, bias: bias, centres: kind == .layer, epsilon: epsilon).normed
        }
        return try plain(input)
    }

    private func plain(_ input: Tensor) throws -> Tensor {
        switch kind {
        case .layer: try input.layerNorm(weight: weight, bias: bias, epsilon: epsilon)
        case .rootMeanSquare: try input.rmsNorm(weight: weight, epsilon: epsilon)
        }
    }
}
