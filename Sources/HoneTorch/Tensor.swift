import CHoneTorch
import HoneFormats

/// A tensor of libtorch: numbers of one `DType` in a rectangular shape on one `Device`.
///
/// A `Tensor` is a reference: copies of the value share the same numbers, and in-place operators (their names end in
/// `InPlace`) are seen through every copy. The memory is freed when Swift lets go of the last copy. Operators throw
/// libtorch's errors as `HoneError` with code `.engine`; one `try` covers a whole expression:
///
///     let scores = try (queries.matmul(keys.transpose(-1, -2)) * scale).softmax(-1)
///
/// Gradients are recorded where an input requires them and the scope allows it, see `withoutGradients`.
///
/// A tensor is not `Sendable`: libtorch lets threads share tensors only as long as none of them writes. A model and
/// its training belong to one task at a time.
public struct Tensor {
    /// Owns one reference to libtorch's tensor.
    final class Handle {
        let raw: hone_tensor

        init(owning raw: hone_tensor) { self.raw = raw }

        deinit { hone_release(raw) }
    }

    let handle: Handle

    init(owning raw: hone_tensor) { handle = Handle(owning: raw) }

    var raw: hone_tensor { handle.raw }

    /// How many dimensions there are.
    public var rank: Int { Int(hone_rank(raw)) }

    /// The length of each dimension.
    public var shape: [Int] { (0..<hone_rank(raw)).map { Int(hone_size(raw, $0)) } }

    /// The length of one dimension; negative ones count from the last. A dimension that does not exist has length 0.
    public func size(_ dimension: Int) -> Int { Swift.max(0, Int(hone_size(raw, Int64(dimension)))) }

    /// How many elements there are.
    public var count: Int { Int(hone_count(raw)) }

    /// The type of the elements.
    public var dtype: DType { DType(rawValue: hone_dtype(raw)) ?? .uint8 }

    /// Where the elements are.
    public var device: Device {
        hone_device_kind(raw) == 1 ? .cuda(Int(hone_device_index(raw))) : .cpu
    }

    /// Whether the elements lie in memory in row-major order without gaps.
    public var isContiguous: Bool { hone_is_contiguous(raw) }

    /// Whether two values are the same tensor, not merely equal numbers.
    public func isIdentical(to other: Tensor) -> Bool { raw == other.raw }
}

/// Throws libtorch's words for the last failure on this thread.
func check(_ status: Int32, in operation: @autoclosure () -> String) throws {
    guard status == 0 else {
        throw HoneError(.engine, String(cString: hone_error()), item: operation())
    }
}
