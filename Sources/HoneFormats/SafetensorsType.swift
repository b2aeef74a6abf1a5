/// The element types of safetensors that Hone reads and writes, under the names of the format.
public enum SafetensorsType: String, Sendable, Hashable, CaseIterable {
    /// 64 bit signed integers.
    case int64 = "I64"
    /// 64 bit IEEE 754 floating point.
    case float64 = "F64"
    /// 32 bit IEEE 754 floating point.
    case float32 = "F32"
    /// 32 bit signed integers.
    case int32 = "I32"
    /// 16 bit floating point with the exponent of 32 bit (bfloat16).
    case bfloat16 = "BF16"
    /// 16 bit IEEE 754 floating point.
    case float16 = "F16"
    /// 16 bit signed integers.
    case int16 = "I16"
    /// 8 bit signed integers.
    case int8 = "I8"
    /// 8 bit unsigned integers.
    case uint8 = "U8"
    /// Truth values, one byte each, 0 or 1.
    case bool = "BOOL"

    /// The bytes of one element.
    public var byteCount: Int {
        switch self {
        case .int64, .float64: 8
        case .float32, .int32: 4
        case .bfloat16, .float16, .int16: 2
        case .int8, .uint8, .bool: 1
        }
    }

    /// The bytes of a tensor of a shape; `nil` where they would not fit 64 bits or a dimension is negative.
    public func byteCount(shape: [Int]) -> Int? {
        var result = byteCount
        for dimension in shape {
            let (product, overflow) = result.multipliedReportingOverflow(by: dimension)
            guard dimension >= 0, !overflow else { return nil }
            result = product
        }
        return result
    }

    /// Where the type stands in the order in which the reference implementation lays tensors out: by falling alignment.
    var layoutOrder: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// One tensor as a safetensors header describes it.
public struct SafetensorsEntry: Hashable, Sendable {
    /// The name of the tensor.
    public var name: String
    /// The element type.
    public var dtype: SafetensorsType
    /// The dimensions, outermost first; empty for a scalar. The elements are stored in row-major order.
    public var shape: [Int]
    /// Where the elements stand, in bytes from the beginning of the file.
    public var byteRange: Range<Int>

    /// An entry with all its parts.
    public init(name: String, dtype: SafetensorsType, shape: [Int], byteRange: Range<Int>) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.byteRange = byteRange
    }
}
