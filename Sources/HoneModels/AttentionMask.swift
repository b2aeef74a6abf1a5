import HoneTorch

/// Which positions may look at which, in the cheapest form that attention understands.
enum AttentionMask {
    /// Every position sees every position.
    case none
    /// A position sees itself and what is before it; there are as many keys as queries.
    case causal
    /// True where a query may look at a key, broadcast to `[rows, heads, queries, keys]`.
    case allowed(Tensor)
    /// A token sees its own row of a packed batch: all of it, or itself and what is before it.
    case rows(offsets: Tensor, isCausal: Bool)

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
