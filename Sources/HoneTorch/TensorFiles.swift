import HoneFormats

extension DType {
    /// The element type of a safetensors entry.
    public init(_ type: SafetensorsType) {
        self =
            switch type {
            case .float64: .float64
            case .float32: .float32
            case .float16: .float16
            case .bfloat16: .bfloat16
            case .int64: .int64
            case .int32: .int32
            case .int16: .int16
            case .int8: .int8
            case .uint8: .uint8
            case .bool: .bool
            }
    }

    /// The element type as safetensors names it.
    public var safetensorsType: SafetensorsType {
        switch self {
        case .float64: .float64
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        case .int64: .int64
        case .int32: .int32
        case .int16: .int16
        case .int8: .int8
        case .uint8: .uint8
        case .bool: .bool
        }
    }
}

/// Tensors in safetensors files.
public enum TensorFiles {
    /// A tensor of a mapped file, without a copy: it must not be written to, and keeps the file mapped.
    public static func tensor(_ name: String, in file: SafetensorsFile) throws -> Tensor {
        guard let entry = file.entry(named: name) else {
            throw HoneError(.mismatch, "the tensor is missing", file: file.path, item: name)
        }
        return try file.withBytes(of: name) {
            try Tensor(sharing: $0, owner: file, shape: entry.shape, dtype: DType(entry.dtype))
        }
    }

    /// Every tensor of a file, copied into memory of its own.
    public static func read(_ path: String) throws -> [(name: String, tensor: Tensor)] {
        let file = try SafetensorsFile(path: path)
        return try file.entries.map { ($0.name, try tensor($0.name, in: file).cloned()) }
    }

    /// Writes tensors, atomically.
    public static func write(
        _ tensors: [(name: String, tensor: Tensor)], metadata: [String: String]? = nil, to path: String
    )
        throws
    {
        try SafetensorsWriter.write(
            tensors.map { name, tensor in
                let plain = try withoutGradients { try tensor.detached().to(.cpu).contiguous() }
                return SafetensorsTensor(name: name, dtype: plain.dtype.safetensorsType, shape: plain.shape) { sink in
                    try plain.withBytes(sink)
                }
            }, metadata: metadata, to: path)
    }
}
