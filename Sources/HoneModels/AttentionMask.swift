import HoneTorch

/// Which positions may look at which, in the cheapest form that attention understands.
enum AttentionMask {
    /// Every position sees every position.
    case none
    /// A position sees itself and what is before it; there are as many keys as queries.
    case causal
    /// True where a query may look at a key, broadcast to `[rows, heads, queries, keys]`.
    case allowed(Tensor)
    /// Added to the scores, broadcast to `[rows, heads, queries, keys]`; minus infinity where a query may not look.
    case added(Tensor)
    /// A token sees its own row of a packed batch: all of it, or itself and what is before it.
    case rows(Segments, isCausal: Bool)

    /// The mask of a forward pass.
    ///
    /// - Parameters:
    ///   - queries: how many positions are computed now.
    ///   - past: how many a cache holds.
    ///   - valid: `[rows, past + queries]`, or `nil` where nothing is padded.
    ///   - window: how many positions a query sees, itself included; all where left out.
    ///   - paddedRight: whether padding stands after the tokens, where no real query can see it in a causal model.
    init(isCausal: Bool, queries: Int, past: Int, valid: Tensor?, window: Int? = nil, paddedRight: Bool, device: Device)
        throws
    {
        guard isCausal else {
            self = try valid.map { .allowed(try $0.unsqueezed(1).unsqueezed(1)) } ?? .none
            return
        }
        // A window that reaches back to the beginning is none.
        let window = window.flatMap { $0 < past + queries ? $0 : nil }
        if past == 0, window == nil, valid == nil || paddedRight {
            self = queries == 1 ? .none : .causal
            return
        }
        if queries == 1, window == nil {
            self = try valid.map { .allowed(try $0.unsqueezed(1).unsqueezed(1)) } ?? .none
            return
        }
        var all = try Tensor.full([queries, past + queries], 1, on: device).lowerTriangle(diagonal: past).to(.bool)
        guard let valid, past > 0 || !paddedRight else {
            if let window {
                all = try Tensor.full([queries, past + queries], 1, on: device).lowerTriangle(diagonal: past)
                    .upperTriangle(diagonal: past - window + 1).to(.bool)
            }
            self = .allowed(all)
            return
        }
        if let window {
            // Nearness is counted in tokens, so that padding between a prompt and its text changes nothing.
            let places = try valid.to(.int64).cumulativeSum(1)
            let own = try places.narrowed(1, from: past, length: queries).unsqueezed(2)
            all = try all.logicalAnd(places.unsqueezed(1).greater(own - Double(window)))
        }
        // A padded query would see nothing at all and give not-a-number; it may see itself.
        let itself = try Tensor.full([queries, past + queries], 1, on: device).lowerTriangle(diagonal: past)
            .upperTriangle(diagonal: past).to(.bool)
        self = .allowed(try all.logicalAnd(valid.unsqueezed(1)).logicalOr(itself).unsqueezed(1))
    }
}

extension AttentionMask {
    /// The same mask with a bias of the scores, `[1, heads, queries, keys]`.
    func biased(by bias: Tensor) throws -> AttentionMask {
        switch self {
        case .none: return .added(bias)
        case .causal:
            let ahead = try Tensor.full([bias.size(-2), bias.size(-1)], 1, on: bias.device).upperTriangle(diagonal: 1)
            return .added(try bias.filled(where: ahead.to(.bool), with: -Double.infinity))
        case .allowed(let allowed):
            return .added(try bias.filled(where: allowed.logicalNot(), with: -Double.infinity))
        case .added(let other): return .added(try other + bias)
        case .rows: preconditionFailure("rows are not packed where scores have a bias")
        }
    }

    /// Attention under this mask: queries `[rows, heads, length, width]`, keys and values `[rows, heads, keyLength, width]`.
    ///
    /// - Parameter scale: of the scores; one over the square root of the width where left out.
    func attention(_ queries: Tensor, keys: Tensor, values: Tensor, scale: Double? = nil) throws -> Tensor {
        switch self {
        case .none: try queries.attention(keys: keys, values: values, scale: scale)
        case .causal: try queries.attention(keys: keys, values: values, isCausal: true, scale: scale)
        case .allowed(let allowed): try queries.attention(keys: keys, values: values, mask: allowed, scale: scale)
        case .added(let scores): try queries.attention(keys: keys, values: values, mask: scores, scale: scale)
        case .rows: preconditionFailure("packed rows have attention of their own")
        }
    }
}
