import Foundation
import HoneFormats
import Testing

/// A safetensors file taken apart, so that tests can damage it in one place.
struct SafetensorsEdit {
    struct Entry {
        var name: String
        var dtype: String
        var shape: [Int]
        var bytes: [UInt8]
    }

    var entries: [Entry] = []

    /// Takes a file apart.
    init(_ path: String) throws {
        let all = try FileBytes.read(path)
        let length = all[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = try #require(try JSON.parse(all[8..<8 + length]).object)
        for (name, value) in header.pairs where name != "__metadata__" {
            let offsets = try #require(value["data_offsets"]?.array).compactMap(\.integer)
            entries.append(
                Entry(
                    name: name, dtype: try #require(value["dtype"]?.string),
                    shape: try #require(value["shape"]?.array).compactMap(\.integer),
                    bytes: Array(all[8 + length + offsets[0]..<8 + length + offsets[1]])))
        }
    }

    /// Changes the tensor whose name ends so.
    mutating func change(_ suffix: String, _ body: (inout Entry) -> Void) throws {
        let place = try #require(entries.firstIndex { $0.name.hasSuffix(suffix) })
        body(&entries[place])
    }

    /// Leaves the tensor out whose name ends so.
    mutating func remove(_ suffix: String) throws {
        let place = try #require(entries.firstIndex { $0.name.hasSuffix(suffix) })
        entries.remove(at: place)
    }

    /// Puts it together again.
    func write(to path: String) throws {
        var header = JSONObject()
        var data: [UInt8] = []
        for entry in entries {
            header[entry.name] = [
                "dtype": .string(entry.dtype), "shape": .array(entry.shape.map { .integer($0) }),
                "data_offsets": [.integer(data.count), .integer(data.count + entry.bytes.count)],
            ]
            data += entry.bytes
        }
        let text = Array(JSON.object(header).text().utf8)
        try Data(SafetensorsEdit.file(header: text, data: data)).write(to: URL(fileURLWithPath: path))
    }

    /// The bytes of a file with a header of any kind.
    static func file(header: [UInt8], claiming length: UInt64? = nil, data: [UInt8] = []) -> [UInt8] {
        let length = length ?? UInt64(header.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * UInt64($0))) } + header + data
    }

    /// The bytes of a 32-bit not-a-number.
    static let notANumber: [UInt8] = [0, 0, 0xC0, 0x7F]
}
