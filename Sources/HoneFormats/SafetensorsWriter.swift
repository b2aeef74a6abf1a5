/// A tensor about to be written: its description, and where its bytes come from.
public struct SafetensorsTensor {
    /// Takes bytes; may be called several times, the pieces are written one after the other.
    public typealias Sink = (UnsafeRawBufferPointer) throws -> Void

    /// The name of the tensor.
    public var name: String
    /// The element type.
    public var dtype: SafetensorsType
    /// The dimensions, outermost first; empty for a scalar.
    public var shape: [Int]
    /// Hands the elements, in row-major order and little-endian, to the sink it is given.
    public var provide: (Sink) throws -> Void

    /// A tensor whose bytes are asked for when they are written.
    public init(name: String, dtype: SafetensorsType, shape: [Int], provide: @escaping (Sink) throws -> Void) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.provide = provide
    }

    /// A tensor whose bytes are at hand.
    public init(name: String, dtype: SafetensorsType, shape: [Int], bytes: [UInt8]) {
        self.init(name: name, dtype: dtype, shape: shape) { sink in try bytes.withUnsafeBytes(sink) }
    }

    /// A tensor of 32 bit floating point numbers, in row-major order.
    public init(name: String, shape: [Int], values: [Float]) {
        self.init(name: name, dtype: .float32, shape: shape) { sink in
            #if _endian(little)
            try values.withUnsafeBytes(sink)
            #else
            try values.map { $0.bitPattern.littleEndian }.withUnsafeBytes(sink)
            #endif
        }
    }
}

/// Writes safetensors files, byte for byte as the reference implementation does.
public enum SafetensorsWriter {
    /// Writes tensors to a file, atomically.
    ///
    /// The file holds them by falling alignment of their type, then by name, as the reference implementation has them;
    /// metadata keys are sorted.
    ///
    /// - Parameters:
    ///   - tensors: the tensors, in any order.
    ///   - metadata: texts for `__metadata__`; `nil` for none. PEFT and transformers expect `["format": "pt"]`.
    ///   - path: the file to make or replace.
    /// - Throws: `HoneError`: `.fileSystem` when the file cannot be written, `.badFile` where a name stands twice or is too
    ///   long, where a shape has too many or negative dimensions, or bytes and shape do not agree; the errors of the
    ///   closures that provide the bytes. The file is then as it was.
    public static func write(
        _ tensors: [SafetensorsTensor], metadata: [String: String]? = nil, to path: String
    ) throws {
        let ordered = tensors.sorted { left, right in
            if left.dtype != right.dtype { return left.dtype.layoutOrder < right.dtype.layoutOrder }
            return left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
        }
        let header = try header(ordered, metadata: metadata, path: path)
        try AtomicFile.write(to: path) { file in
            try file.write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> ($0 * 8)) })
            try file.write(header)
            for tensor in ordered { try write(tensor, to: file, path: path) }
        }
    }

    private static func write(_ tensor: SafetensorsTensor, to file: AtomicFile.Writer, path: String) throws {
        let expected = tensor.dtype.byteCount(shape: tensor.shape) ?? 0
        let start = file.count
        try tensor.provide { piece in
            // Checked piece by piece, so that a provider without end cannot fill the disk.
            guard piece.count <= expected - (file.count - start) else {
                throw problem(tensor, "more bytes were provided than its shape needs (\(expected))", path)
            }
            try file.write(piece)
        }
        guard file.count - start == expected else {
            throw problem(
                tensor, "its shape needs \(expected) bytes, \(file.count - start) were provided", path)
        }
    }

    private static func header(
        _ tensors: [SafetensorsTensor], metadata: [String: String]?, path: String
    ) throws -> [UInt8] {
        guard tensors.count <= SafetensorsHeader.mostTensors else {
            throw HoneError(.badFile, "a file holds at most \(SafetensorsHeader.mostTensors) tensors", file: path)
        }
        var object = JSONObject()
        if let metadata {
            var texts = JSONObject()
            for (key, value) in metadata.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                texts[key] = .string(value)
            }
            object[SafetensorsHeader.metadataKey] = .object(texts)
        }
        var offset = 0
        for tensor in tensors {
            guard !tensor.name.hasSameBytes(as: SafetensorsHeader.metadataKey) else {
                throw problem(tensor, "this name is kept for the metadata", path)
            }
            guard tensor.name.utf8.count <= SafetensorsHeader.longestName else {
                throw problem(tensor, "its name is longer than \(SafetensorsHeader.longestName) bytes", path)
            }
            guard tensor.shape.count <= SafetensorsHeader.highestRank else {
                throw problem(tensor, "it has more than \(SafetensorsHeader.highestRank) dimensions", path)
            }
            guard let size = tensor.dtype.byteCount(shape: tensor.shape),
                case let (end, overflow) = offset.addingReportingOverflow(size), !overflow
            else { throw problem(tensor, "its shape is negative or needs more bytes than fit 64 bits", path) }
            let entry: JSON = [
                "dtype": .string(tensor.dtype.rawValue), "shape": .array(tensor.shape.map { .integer($0) }),
                "data_offsets": [.integer(offset), .integer(end)],
            ]
            guard object.insert(tensor.name, entry) == nil else { throw problem(tensor, "its name stands twice", path) }
            offset = end
        }
        var header = Array(JSON.object(object).text().utf8)
        // The data begins at a multiple of 8 bytes, as the reference implementation has it.
        header += repeatElement(UInt8(ascii: " "), count: (8 - header.count % 8) % 8)
        guard header.count <= SafetensorsHeader.longestHeader else {
            throw HoneError(
                .badFile, "the header would be longer than \(SafetensorsHeader.longestHeader) bytes", file: path)
        }
        return header
    }

    private static func problem(_ tensor: SafetensorsTensor, _ message: String, _ path: String) -> HoneError {
        HoneError(.badFile, message, file: path, item: "tensor \(SafetensorsHeader.quoted(tensor.name))")
    }
}
