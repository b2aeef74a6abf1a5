/// The header of a safetensors file: 8 bytes of length (little-endian), then a JSON object that names every tensor.
///
/// Checked as the reference implementation checks it, and bounded: the tensors must fill the rest of the file without a
/// hole or an overlap, so that nothing can hide in the file and no two tensors share bytes.
public struct SafetensorsHeader: Sendable, Hashable {
    /// The texts under `__metadata__`.
    public let metadata: [String: String]
    /// The tensors, in the order of their bytes in the file.
    public let entries: [SafetensorsEntry]

    /// The longest header that is read, in bytes: the limit of the reference implementation.
    public static let longestHeader = 100_000_000
    /// The most tensors of one file.
    public static let mostTensors = 1_000_000
    /// The longest name of a tensor, in bytes.
    public static let longestName = 1024
    /// The most dimensions of a tensor.
    public static let highestRank = 8
    /// The key under which the header holds texts instead of a tensor.
    static let metadataKey = "__metadata__"

    /// The length of the header's JSON text, from the first 8 bytes of the file.
    ///
    /// - Parameters:
    ///   - start: the first bytes of the file, at least 9 where it has as many.
    ///   - fileLength: the length of the whole file, in bytes.
    ///   - file: the name to put into errors.
    /// - Throws: `HoneError` (`.badFile`) where no safetensors file begins like this, naming what it is instead where
    ///   that can be told.
    static func length(start: [UInt8], fileLength: Int, file: String?) throws -> Int {
        func refuse(_ message: String) -> HoneError {
            ForeignFormat.error(start: start, file: file) ?? HoneError(.badFile, message, file: file)
        }
        guard start.count >= 8, fileLength >= 8 else {
            throw refuse("this is no safetensors file: it has only \(fileLength) bytes; download or write it again")
        }
        let length = start[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard length <= UInt64(longestHeader) else {
            throw refuse(
                "this is no safetensors file: its header claims \(length) bytes, more than the \(longestHeader) allowed"
            )
        }
        guard Int(length) <= fileLength - 8 else {
            throw refuse(
                "the header claims \(length) bytes, but only \(fileLength - 8) follow; the file is truncated or is "
                    + "no safetensors file")
        }
        guard length > 0, start.count > 8, start[8] == UInt8(ascii: "{") else {
            throw refuse("this is no safetensors file: its header does not begin with {")
        }
        return Int(length)
    }

    /// Reads a header.
    ///
    /// - Parameters:
    ///   - json: the JSON text of the header, without the 8 bytes before it.
    ///   - fileLength: the length of the whole file, in bytes.
    ///   - file: the name to put into errors.
    /// - Throws: `HoneError`: `.badFile` where the header breaks the format, `.unsupported` for an element type that Hone
    ///   does not read.
    public init(json: [UInt8], fileLength: Int, file: String? = nil) throws {
        guard json.first == UInt8(ascii: "{") else {
            throw HoneError(.badFile, "the header does not begin with {", file: file)
        }
        let limits = JSONLimits(depth: 8, stringBytes: 16 << 20, elements: Self.mostTensors + 1)
        let object: JSONObject
        do {
            guard let value = try JSON.parse(json, file: file, limits: limits).object else {
                throw HoneError(.badFile, "it is not an object", file: file)
            }
            object = value
        } catch let error as HoneError {
            throw HoneError(error.code, "the header is not as it should be: \(error.message)", file: file)
        }
        let (dataStart, overflow) = json.count.addingReportingOverflow(8)
        guard !overflow, dataStart <= fileLength else {
            throw HoneError(.badFile, "the header is longer than the file", file: file)
        }
        var metadata: [String: String] = [:]
        var entries: [SafetensorsEntry] = []
        entries.reserveCapacity(object.count)
        for (key, value) in object.pairs {
            if key.hasSameBytes(as: Self.metadataKey) {
                metadata = try Self.metadata(value, file: file)
            } else {
                entries.append(try Self.entry(key, value, dataStart: dataStart, file: file))
            }
        }
        guard entries.count <= Self.mostTensors else {
            throw HoneError(.badFile, "the file has more than \(Self.mostTensors) tensors", file: file)
        }
        self.metadata = metadata
        self.entries = try Self.inOrder(entries, from: dataStart, to: fileLength, file: file)
    }

    private static func metadata(_ value: JSON, file: String?) throws -> [String: String] {
        guard let object = value.object else {
            throw HoneError(.badFile, "the metadata is \(value.kind), not an object", file: file, item: metadataKey)
        }
        var result: [String: String] = [:]
        for (key, value) in object.pairs {
            guard let text = value.string else {
                throw HoneError(
                    .badFile, "the metadata \(quoted(key)) is \(value.kind), not a string", file: file,
                    item: metadataKey)
            }
            guard result.updateValue(text, forKey: key) == nil else {
                throw HoneError(.badFile, "the metadata \(quoted(key)) stands twice", file: file, item: metadataKey)
            }
        }
        return result
    }

    private static func entry(
        _ name: String, _ value: JSON, dataStart: Int, file: String?
    ) throws -> SafetensorsEntry {
        func bad(_ message: String) -> HoneError {
            HoneError(.badFile, message, file: file, item: "tensor \(quoted(name))")
        }
        guard name.utf8.count <= longestName else { throw bad("its name is longer than \(longestName) bytes") }
        guard value.object != nil else { throw bad("its entry is \(value.kind), not an object") }
        guard let typeName = value["dtype"]?.string else { throw bad("its entry has no dtype") }
        guard let dtype = SafetensorsType(rawValue: typeName) else {
            throw HoneError(
                .unsupported,
                "its element type is \(quoted(typeName)); Hone reads "
                    + SafetensorsType.allCases.map(\.rawValue).joined(separator: ", "),
                file: file, item: "tensor \(quoted(name))")
        }
        guard let dimensions = value["shape"]?.array else { throw bad("its entry has no shape") }
        guard dimensions.count <= highestRank else {
            throw bad("it has \(dimensions.count) dimensions, more than the \(highestRank) allowed")
        }
        let shape = try dimensions.map { dimension -> Int in
            guard case .integer(let size) = dimension, size >= 0 else {
                throw bad("its shape holds something other than whole numbers from 0 up")
            }
            return size
        }
        guard let offsets = value["data_offsets"]?.array, offsets.count == 2,
            case .integer(let begin) = offsets[0], case .integer(let end) = offsets[1], begin >= 0, begin <= end
        else { throw bad("its data_offsets are not two whole numbers, the first no larger than the second") }
        guard let size = dtype.byteCount(shape: shape) else { throw bad("its shape needs more bytes than fit 64 bits") }
        guard size == end - begin else {
            throw bad("its shape needs \(size) bytes, its data_offsets span \(end - begin)")
        }
        let (first, overflow) = begin.addingReportingOverflow(dataStart)
        let (last, carried) = end.addingReportingOverflow(dataStart)
        guard !overflow, !carried else { throw bad("its data_offsets do not fit 64 bits") }
        return SafetensorsEntry(name: name, dtype: dtype, shape: shape, byteRange: first..<last)
    }

    /// The entries by offset, which must follow each other from the header's end to the file's end.
    private static func inOrder(
        _ entries: [SafetensorsEntry], from dataStart: Int, to fileLength: Int, file: String?
    ) throws -> [SafetensorsEntry] {
        let sorted = entries.sorted {
            ($0.byteRange.lowerBound, $0.byteRange.upperBound) < ($1.byteRange.lowerBound, $1.byteRange.upperBound)
        }
        var position = dataStart
        for entry in sorted {
            let begin = entry.byteRange.lowerBound
            guard begin == position else {
                let problem = begin < position ? "overlap those of another tensor" : "leave a hole before them"
                throw HoneError(
                    .badFile, "its data_offsets \(problem)", file: file, item: "tensor \(quoted(entry.name))")
            }
            position = entry.byteRange.upperBound
            guard position <= fileLength else {
                throw HoneError(
                    .badFile,
                    "its data end at byte \(position), but the file has only \(fileLength) bytes; the file is truncated, "
                        + "download or write it again", file: file, item: "tensor \(quoted(entry.name))")
            }
        }
        guard position == fileLength else {
            throw HoneError(
                .badFile, "\(fileLength - position) bytes follow the last tensor; a safetensors file ends with it",
                file: file)
        }
        return sorted
    }

    /// A name from the file, short and in quotes, for messages.
    static func quoted(_ name: String) -> String {
        JSON.string(name.utf8.count > 120 ? String(name.prefix(100)) + "…" : name).text()
    }
}
