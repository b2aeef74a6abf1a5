import CHoneTorch
import HoneFormats

private enum Creation {
    static let zeros = Operator("aten::zeros")
    static let full = Operator("aten::full")
    static let range = Operator("aten::arange", "start")
    static let eye = Operator("aten::eye")
    static let empty = Operator("aten::empty", "memory_format")
}

/// A Swift number that tensors are made from and read into.
public protocol TensorElement: BitwiseCopyable, Sendable {
    /// The element type of a tensor of such numbers.
    static var dtype: DType { get }
}

extension Float: TensorElement {
    /// `float32`
    public static var dtype: DType { .float32 }
}
extension Double: TensorElement {
    /// `float64`
    public static var dtype: DType { .float64 }
}
extension Int: TensorElement {
    /// `int64`
    public static var dtype: DType { .int64 }
}
extension Int32: TensorElement {
    /// `int32`
    public static var dtype: DType { .int32 }
}
extension UInt8: TensorElement {
    /// `uint8`
    public static var dtype: DType { .uint8 }
}
extension Bool: TensorElement {
    /// `bool`
    public static var dtype: DType { .bool }
}

extension Tensor {
    /// A tensor of zeros.
    public static func zeros(_ shape: [Int], _ dtype: DType = .float32, on device: Device = .cpu) throws -> Tensor {
        try Creation.zeros(
            .integers(shape), .integer(Int(dtype.rawValue)), .none, .string(device.description))
    }

    /// A tensor that holds one number everywhere.
    public static func full(_ shape: [Int], _ value: Double, _ dtype: DType = .float32, on device: Device = .cpu) throws
        -> Tensor
    {
        try Creation.full(
            .integers(shape), .real(value), .integer(Int(dtype.rawValue)), .none, .string(device.description))
    }

    /// The whole numbers from `start` up to, not including, `end`, as `[end - start]` of `int64`.
    public static func range(_ start: Int = 0, _ end: Int, on device: Device = .cpu) throws -> Tensor {
        try Creation.range(
            .integer(start), .integer(end), .integer(Int(DType.int64.rawValue)), .none, .string(device.description))
    }

    /// The identity of so many rows and columns.
    public static func identity(_ size: Int, _ dtype: DType = .float32, on device: Device = .cpu) throws -> Tensor {
        try Creation.eye(.integer(size), .integer(Int(dtype.rawValue)), .none, .string(device.description))
    }

    /// A tensor of a shape with unspecified content.
    public static func empty(_ shape: [Int], _ dtype: DType = .float32, on device: Device = .cpu) throws -> Tensor {
        try Creation.empty(.integers(shape), .integer(Int(dtype.rawValue)), .none, .string(device.description))
    }

    /// A tensor with the given numbers in row-major order. Without a shape it is one-dimensional.
    ///
    /// - Throws: where the shape does not hold exactly as many elements.
    public init<Element: TensorElement>(_ elements: [Element], shape: [Int]? = nil, on device: Device = .cpu) throws {
        let shape = shape ?? [elements.count]
        guard shape.reduce(1, *) == elements.count else {
            throw HoneError(.engine, "\(elements.count) elements do not fill a tensor of shape \(shape)")
        }
        let made = try Tensor.empty(shape, Element.dtype)
        elements.withUnsafeBytes { source in
            if let target = hone_data(made.raw), let start = source.baseAddress {
                target.copyMemory(from: start, byteCount: source.count)
            }
        }
        self = device == .cpu ? made : try made.to(device)
    }

    /// A tensor over memory that is not copied, such as a mapped file: it must not be written to.
    ///
    /// `owner` is kept alive for as long as libtorch uses the memory.
    public init(sharing bytes: UnsafeRawBufferPointer, owner: AnyObject, shape: [Int], dtype: DType) throws {
        let (needed, overflow) = shape.reduce((dtype.size, false)) { sum, length in
            let product = sum.0.multipliedReportingOverflow(by: length)
            return (product.partialValue, sum.1 || product.overflow)
        }
        guard !overflow, needed == bytes.count else {
            throw HoneError(.engine, "\(bytes.count) bytes do not hold a tensor of shape \(shape) and type \(dtype)")
        }
        guard needed > 0, let start = bytes.baseAddress else {
            self = try Tensor.empty(shape, dtype)
            return
        }
        let context = Unmanaged.passRetained(owner).toOpaque()
        var made: hone_tensor?
        let status = hone_wrap(
            UnsafeMutableRawPointer(mutating: start), shape.map { Int64($0) }, Int64(shape.count), dtype.rawValue,
            { context in if let context { Unmanaged<AnyObject>.fromOpaque(context).release() } }, context, &made)
        guard status == 0, let made else {
            Unmanaged<AnyObject>.fromOpaque(context).release()
            throw HoneError(.engine, String(cString: hone_error()))
        }
        self.init(owning: made)
    }

    /// All elements in row-major order, converted to a Swift number type.
    public func elements<Element: TensorElement>(_ type: Element.Type = Element.self) throws -> [Element] {
        let source = try withoutGradients { try self.detached().to(.cpu).to(Element.dtype).contiguous() }
        let count = source.count
        return withExtendedLifetime(source) {
            [Element](unsafeUninitializedCapacity: count) { buffer, initialized in
                if count > 0, let data = hone_data(source.raw), let target = buffer.baseAddress {
                    UnsafeMutableRawPointer(target).copyMemory(
                        from: data, byteCount: count * MemoryLayout<Element>.stride)
                }
                initialized = count
            }
        }
    }

    /// The only element of a tensor that has one.
    public func item() throws -> Double {
        let values = try elements(Double.self)
        guard values.count == 1 else {
            throw HoneError(.engine, "a tensor of shape \(shape) is not a single number")
        }
        return values[0]
    }

    /// Gives the bytes of a contiguous tensor on the CPU to a body; nothing is copied.
    ///
    /// - Throws: where the tensor is elsewhere or has gaps.
    public func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) throws -> Result {
        guard device == .cpu, isContiguous else {
            throw HoneError(.engine, "only the bytes of a contiguous tensor on the CPU can be read")
        }
        return try withExtendedLifetime(handle) {
            try body(UnsafeRawBufferPointer(start: hone_data(raw), count: count * dtype.size))
        }
    }
}
