// Shapes, slices, joining, conversion.

private enum Shapes {
    static let reshape = Operator("aten::reshape")
    static let transpose = Operator("aten::transpose", "int")
    static let permute = Operator("aten::permute")
    static let contiguous = Operator("aten::contiguous")
    static let unsqueeze = Operator("aten::unsqueeze")
    static let squeeze = Operator("aten::squeeze", "dim")
    static let expand = Operator("aten::expand")
    static let narrow = Operator("aten::narrow")
    static let cat = Operator("aten::cat")
    static let stack = Operator("aten::stack")
    static let split = Operator("aten::split", "Tensor")
    static let unbind = Operator("aten::unbind", "int")
    static let index = Operator("aten::index_select")
    static let gather = Operator("aten::gather")
    static let flatten = Operator("aten::flatten", "using_ints")
    static let to = Operator("aten::to", "dtype")
    static let toDevice = Operator("aten::to", "device")
    static let detach = Operator("aten::detach")
    static let clone = Operator("aten::clone")
    static let select = Operator("aten::select", "int")
    static let repeatI = Operator("aten::repeat_interleave", "self_int")
    static let indexAdd = Operator("aten::index_add")
    static let indexCopy = Operator("aten::index_copy")
    static let indexCopyI = Operator("aten::index_copy_")
    static let nonzero = Operator("aten::nonzero")
    static let take = Operator("aten::index", "Tensor")
    static let flip = Operator("aten::flip")
    static let triu = Operator("aten::triu")
    static let tril = Operator("aten::tril")
    static let tile = Operator("aten::repeat")
    static let scatter = Operator("aten::scatter", "src")
}

extension Tensor {
    /// The same elements in another shape; one length may be -1 and is worked out.
    public func reshaped(_ shape: [Int]) throws -> Tensor { try Shapes.reshape(.tensor(self), .integers(shape)) }

    /// Two dimensions swapped.
    public func transpose(_ first: Int, _ second: Int) throws -> Tensor {
        try Shapes.transpose(.tensor(self), .integer(first), .integer(second))
    }

    /// Dimensions in a new order.
    public func permuted(_ order: [Int]) throws -> Tensor { try Shapes.permute(.tensor(self), .integers(order)) }

    /// The same tensor where it has no gaps in memory, a copy otherwise.
    public func contiguous() throws -> Tensor { isContiguous ? self : try Shapes.contiguous(.tensor(self)) }

    /// A dimension of length 1 put in.
    public func unsqueezed(_ dimension: Int) throws -> Tensor {
        try Shapes.unsqueeze(.tensor(self), .integer(dimension))
    }

    /// A dimension of length 1 taken out.
    public func squeezed(_ dimension: Int) throws -> Tensor {
        try Shapes.squeeze(.tensor(self), .integer(dimension))
    }

    /// Dimensions of length 1 repeated without copying; -1 keeps a length.
    public func expanded(_ shape: [Int]) throws -> Tensor { try Shapes.expand(.tensor(self), .integers(shape)) }

    /// The whole tensor repeated along each dimension.
    public func repeated(_ times: [Int]) throws -> Tensor { try Shapes.tile(.tensor(self), .integers(times)) }

    /// Each slice along a dimension repeated so many times in place, as grouped heads need.
    public func repeatedInterleaved(_ times: Int, dimension: Int) throws -> Tensor {
        try Shapes.repeatI(.tensor(self), .integer(times), .integer(dimension))
    }

    /// A stretch of a dimension, sharing memory.
    public func narrowed(_ dimension: Int, from start: Int, length: Int) throws -> Tensor {
        try Shapes.narrow(.tensor(self), .integer(dimension), .integer(start), .integer(length))
    }

    /// One slice of a dimension, which disappears; negative indices count from the end.
    public func at(_ index: Int, dimension: Int = 0) throws -> Tensor {
        try Shapes.select(.tensor(self), .integer(dimension), .integer(index))
    }

    /// Pieces of at most `length` along a dimension, sharing memory.
    public func split(_ length: Int, dimension: Int) throws -> [Tensor] {
        try Shapes.split.results(
            [.tensor(self), .integer(length), .integer(dimension)],
            capacity: length > 0 ? size(dimension) / length + 2 : 2)
    }

    /// Every slice along a dimension, which disappears.
    public func unbound(_ dimension: Int) throws -> [Tensor] {
        try Shapes.unbind.results([.tensor(self), .integer(dimension)], capacity: size(dimension) + 1)
    }

    /// Dimensions `start ... end` made one.
    public func flattened(_ start: Int = 0, _ end: Int = -1) throws -> Tensor {
        try Shapes.flatten(.tensor(self), .integer(start), .integer(end))
    }

    /// Slices of a dimension by their numbers (`int64`, one-dimensional).
    public func selecting(_ indices: Tensor, dimension: Int = 0) throws -> Tensor {
        try Shapes.index(.tensor(self), .integer(dimension), .tensor(indices))
    }

    /// One element along a dimension for each index; `indices` has the shape of the result.
    public func gathered(_ indices: Tensor, dimension: Int) throws -> Tensor {
        try Shapes.gather(.tensor(self), .integer(dimension), .tensor(indices))
    }

    /// Elements by one index tensor a dimension; `nil` takes the whole dimension.
    public func indexed(_ indices: [Tensor?]) throws -> Tensor { try Shapes.take(.tensor(self), .tensors(indices)) }

    /// The indices of elements that are not zero, `[count, rank]`.
    public func nonZero() throws -> Tensor { try Shapes.nonzero(.tensor(self)) }

    /// A copy in which rows of `source` are added to the slices named by `indices`.
    public func adding(_ source: Tensor, at indices: Tensor, dimension: Int = 0) throws -> Tensor {
        try Shapes.indexAdd(.tensor(self), .integer(dimension), .tensor(indices), .tensor(source))
    }

    /// A copy in which the slices named by `indices` are those of `source`.
    public func replacing(_ source: Tensor, at indices: Tensor, dimension: Int = 0) throws -> Tensor {
        try Shapes.indexCopy(.tensor(self), .integer(dimension), .tensor(indices), .tensor(source))
    }

    /// A copy in which the elements that `indices` name along a dimension are those of `source`; both have one shape.
    public func scattering(_ source: Tensor, at indices: Tensor, dimension: Int) throws -> Tensor {
        try Shapes.scatter(.tensor(self), .integer(dimension), .tensor(indices), .tensor(source))
    }

    /// Overwrites the slices named by `indices` with those of `source`, in place.
    public func copyInPlace(_ source: Tensor, at indices: Tensor, dimension: Int = 0) throws {
        try Shapes.indexCopyI.run(.tensor(self), .integer(dimension), .tensor(indices), .tensor(source))
    }

    /// The order of a dimension turned around.
    public func flipped(_ dimension: Int) throws -> Tensor {
        try Shapes.flip(.tensor(self), .integers([dimension]))
    }

    /// Elements on and below the `diagonal`-th diagonal; zero above.
    public func lowerTriangle(diagonal: Int = 0) throws -> Tensor {
        try Shapes.tril(.tensor(self), .integer(diagonal))
    }

    /// Elements on and above the `diagonal`-th diagonal; zero below.
    public func upperTriangle(diagonal: Int = 0) throws -> Tensor {
        try Shapes.triu(.tensor(self), .integer(diagonal))
    }
}

extension Tensor {
    /// Tensors put one after the other along a dimension.
    public static func concatenated(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
        try Shapes.cat(.tensors(tensors), .integer(dimension))
    }

    /// Tensors of one shape put side by side along a new dimension.
    public static func stacked(_ tensors: [Tensor], dimension: Int = 0) throws -> Tensor {
        try Shapes.stack(.tensors(tensors), .integer(dimension))
    }
}

extension Tensor {
    /// The elements in another type; the tensor itself where it has that type already.
    public func to(_ dtype: DType) throws -> Tensor {
        dtype == self.dtype ? self : try Shapes.to(.tensor(self), .integer(Int(dtype.rawValue)))
    }

    /// The tensor on another device; the tensor itself where it is there already.
    public func to(_ device: Device) throws -> Tensor {
        device == self.device
            ? self : try Shapes.toDevice(.tensor(self), .string(device.description), .integer(Int(dtype.rawValue)))
    }

    /// The same numbers, cut off from the record of gradients.
    public func detached() throws -> Tensor { try Shapes.detach(.tensor(self)) }

    /// A copy with memory of its own.
    public func cloned() throws -> Tensor { try Shapes.clone(.tensor(self)) }
}
