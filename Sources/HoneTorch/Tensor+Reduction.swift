// Sums, means, extremes, sorting.

private enum Reductions {
    static let sum = Operator("aten::sum")
    static let sumD = Operator("aten::sum", "dim_IntList")
    static let mean = Operator("aten::mean")
    static let meanD = Operator("aten::mean", "dim")
    static let max = Operator("aten::max")
    static let min = Operator("aten::min")
    static let amax = Operator("aten::amax")
    static let argmax = Operator("aten::argmax")
    static let topk = Operator("aten::topk")
    static let sort = Operator("aten::sort", "stable")
    static let cumsum = Operator("aten::cumsum")
    static let logsumexp = Operator("aten::logsumexp")
    static let any = Operator("aten::any")
    static let all = Operator("aten::all")
    static let norm = Operator("aten::linalg_vector_norm")
}

extension Tensor {
    /// The sum of all elements.
    public func sum() throws -> Tensor { try Reductions.sum(.tensor(self)) }

    /// Sums along dimensions.
    public func sum(_ dimensions: [Int], keepDimensions: Bool = false) throws -> Tensor {
        try Reductions.sumD(.tensor(self), .integers(dimensions), .boolean(keepDimensions))
    }

    /// The mean of all elements.
    public func mean() throws -> Tensor { try Reductions.mean(.tensor(self)) }

    /// Means along dimensions.
    public func mean(_ dimensions: [Int], keepDimensions: Bool = false) throws -> Tensor {
        try Reductions.meanD(.tensor(self), .integers(dimensions), .boolean(keepDimensions))
    }

    /// The largest element.
    public func max() throws -> Tensor { try Reductions.max(.tensor(self)) }

    /// The smallest element.
    public func min() throws -> Tensor { try Reductions.min(.tensor(self)) }

    /// The largest elements along a dimension.
    public func max(_ dimension: Int, keepDimensions: Bool = false) throws -> Tensor {
        try Reductions.amax(.tensor(self), .integers([dimension]), .boolean(keepDimensions))
    }

    /// Where the largest element along a dimension stands, as `int64`; the first of equals.
    public func argumentOfMax(_ dimension: Int) throws -> Tensor {
        try Reductions.argmax(.tensor(self), .integer(dimension))
    }

    /// Running sums along a dimension.
    public func cumulativeSum(_ dimension: Int) throws -> Tensor {
        try Reductions.cumsum(.tensor(self), .integer(dimension))
    }

    /// The logarithm of the sum of exponentials along a dimension, without overflow.
    public func logSumExp(_ dimension: Int, keepDimensions: Bool = false) throws -> Tensor {
        try Reductions.logsumexp(.tensor(self), .integers([dimension]), .boolean(keepDimensions))
    }

    /// Whether any element is true, as a `bool` tensor.
    public func any() throws -> Tensor { try Reductions.any(.tensor(self)) }

    /// Whether all elements are true, as a `bool` tensor.
    public func all() throws -> Tensor { try Reductions.all(.tensor(self)) }

    /// The Euclidean norm of all elements.
    public func norm() throws -> Tensor { try Reductions.norm(.tensor(self)) }

    /// Euclidean norms along dimensions.
    public func norm(_ dimensions: [Int], keepDimensions: Bool = false) throws -> Tensor {
        try Reductions.norm(.tensor(self), .real(2), .integers(dimensions), .boolean(keepDimensions))
    }

    /// The largest `count` elements along a dimension, in falling order, and where they stand.
    public func largest(_ count: Int, dimension: Int = -1) throws -> (values: Tensor, indices: Tensor) {
        let found = try Reductions.topk.results([.tensor(self), .integer(count), .integer(dimension)])
        return (found[0], found[1])
    }

    /// The elements sorted along a dimension, and where they stood; equal elements keep their order.
    public func sorted(_ dimension: Int = -1, descending: Bool = false) throws -> (values: Tensor, indices: Tensor) {
        let found = try Reductions.sort.results([
            .tensor(self), .boolean(true), .integer(dimension), .boolean(descending),
        ])
        return (found[0], found[1])
    }
}
