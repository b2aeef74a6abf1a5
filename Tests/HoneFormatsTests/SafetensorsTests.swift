import Foundation
import HoneFormats
import Testing

/// The tensors of `numpy.safetensors`, made again.
private func numpyTensors() -> [SafetensorsTensor] {
    func bytes<Value>(_ values: [Value]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }
    let whole = (0..<6).map { $0 }
    let kinds: [(String, SafetensorsType, ([Int]) -> [UInt8])] = [
        ("uint8", .uint8, { bytes($0.map { UInt8($0) }) }), ("int8", .int8, { bytes($0.map { Int8($0) }) }),
        ("int16", .int16, { bytes($0.map { Int16($0) }) }), ("int32", .int32, { bytes($0.map { Int32($0) }) }),
        ("int64", .int64, { bytes($0.map { Int64($0) }) }), ("float32", .float32, { bytes($0.map { Float($0) }) }),
        ("float64", .float64, { bytes($0.map { Double($0) }) }),
        (
            "float16", .float16,
            { bytes($0.map { [0, 0x3C00, 0x4000, 0x4200, 0x4400, 0x4500, 0, 0x4700][$0] as UInt16 }) }
        ),
    ]
    var tensors: [SafetensorsTensor] = []
    for (name, dtype, make) in kinds {
        tensors.append(SafetensorsTensor(name: "b.\(name)", dtype: dtype, shape: [2, 3], bytes: make(whole)))
        tensors.append(SafetensorsTensor(name: "a.\(name)", dtype: dtype, shape: [], bytes: make([7])))
    }
    tensors.append(SafetensorsTensor(name: "truth", dtype: .bool, shape: [3], bytes: [1, 0, 1]))
    tensors.append(SafetensorsTensor(name: "empty", shape: [0, 4], values: []))
    return tensors
}

@Suite struct SafetensorsTests {
    @Test("writes the same bytes as the Python package does for NumPy arrays")
    func sameBytesAsNumpy() throws {
        try withTemporaryFolder { folder in
            try SafetensorsWriter.write(numpyTensors(), to: "\(folder)/a.safetensors")
            #expect(try FileBytes.read("\(folder)/a.safetensors") == FileBytes.read(fixture("numpy.safetensors")))
        }
    }

    @Test("writes the same bytes as the Python package does for torch tensors with metadata")
    func sameBytesAsTorch() throws {
        try withTemporaryFolder { folder in
            let tensors = [
                SafetensorsTensor(name: "int8", dtype: .int8, shape: [5], bytes: [0xFE, 0xFF, 0, 1, 2]),
                SafetensorsTensor(name: "größe \"quoted\" \\ \t", shape: [3], values: [0, 1, 2]),
                SafetensorsTensor(
                    name: "b.bfloat16", dtype: .bfloat16, shape: [2, 3],
                    bytes: [0, 0, 0x80, 0x3F, 0, 0x40, 0x40, 0x40, 0x80, 0x40, 0xA0, 0x40]),
            ]
            try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: "\(folder)/a.safetensors")
            #expect(try FileBytes.read("\(folder)/a.safetensors") == FileBytes.read(fixture("torch.safetensors")))
        }
    }

    @Test("reads names, types, shapes and bytes of what the Python package wrote")
    func readsReference() throws {
        let file = try SafetensorsFile(path: fixture("numpy.safetensors"))
        let expected = numpyTensors()
        #expect(file.entries.count == expected.count)
        #expect(file.metadata.isEmpty)
        for tensor in expected {
            let entry = try #require(file.entry(named: tensor.name))
            #expect(entry.dtype == tensor.dtype)
            #expect(entry.shape == tensor.shape)
            var bytes: [UInt8] = []
            try tensor.provide { bytes += $0 }
            #expect(try file.bytes(of: tensor.name) == bytes)
        }
        #expect(file.entry(named: "none") == nil)
        let error = refusal { try file.bytes(of: "none") }
        #expect(error?.item == "tensor \"none\"")
        #expect(try SafetensorsFile(path: fixture("torch.safetensors")).metadata == ["format": "pt"])
    }

    @Test("reads elements where they stand, without alignment")
    func elements() throws {
        let file = try SafetensorsFile(path: fixture("torch.safetensors"))
        let values = try file.withBytes(of: "größe \"quoted\" \\ \t") { bytes in
            (0..<3).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
        }
        #expect(values == [0, 1, 2])
    }

    @Test("writes random tensors that read back the same")
    func randomRoundTrips() throws {
        var random = SplitMix64(state: 1)
        try withTemporaryFolder { folder in
            for round in 0..<20 {
                var tensors: [String: (SafetensorsType, [Int], [UInt8])] = [:]
                for number in 0..<Int.random(in: 0...12, using: &random) {
                    let dtype = SafetensorsType.allCases.randomElement(using: &random) ?? .float32
                    let rank = Int.random(in: 0...4, using: &random)
                    let shape = (0..<rank).map { _ in Int.random(in: 0...5, using: &random) }
                    let count = try #require(dtype.byteCount(shape: shape))
                    let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
                    tensors["t\(number)/ü"] = (dtype, shape, bytes)
                }
                let path = "\(folder)/\(round).safetensors"
                try SafetensorsWriter.write(
                    tensors.map { SafetensorsTensor(name: $0, dtype: $1.0, shape: $1.1, bytes: $1.2) },
                    metadata: ["round": "\(round)", "a": "b"], to: path)
                let file = try SafetensorsFile(path: path)
                #expect(file.metadata == ["round": "\(round)", "a": "b"])
                #expect(Set(file.entries.map(\.name)) == Set(tensors.keys))
                for (name, (dtype, shape, bytes)) in tensors {
                    #expect(file.entry(named: name)?.dtype == dtype)
                    #expect(file.entry(named: name)?.shape == shape)
                    #expect(try file.bytes(of: name) == bytes)
                }
            }
        }
    }

    @Test("opens a file whose small header length looks like the beginning of a pickle")
    func headerLengthLikePickle() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            // 0x0280 bytes of header: the file begins with 80 02, as a pickle of protocol 2 does.
            let header = Array("{\"__metadata__\":{\"a\":\"b\"}}".utf8)
            try put([0x80, 2, 0, 0, 0, 0, 0, 0] + header + Array(repeating: 0x20, count: 640 - header.count), at: path)
            #expect(try SafetensorsFile(path: path).metadata == ["a": "b"])
        }
    }

    @Test("notices a file that has become shorter instead of dying")
    func shrunkFile() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try SafetensorsWriter.write([SafetensorsTensor(name: "a", shape: [4], values: [1, 2, 3, 4])], to: path)
            let file = try SafetensorsFile(path: path)
            #expect(try file.bytes(of: "a").count == 16)
            #expect(truncate(path, 10) == 0)
            expectRefusal("become shorter") { try file.bytes(of: "a") }
        }
    }

    @Test("refuses a pipe instead of waiting for it")
    func pipes() throws {
        try withTemporaryFolder { folder in
            #expect(mkfifo("\(folder)/model.safetensors", 0o600) == 0)
            expectRefusal("this is a pipe") { try SafetensorsFile(path: "\(folder)/model.safetensors").path }
            expectRefusal("this is a pipe") { try FileHash.sha256(ofFile: "\(folder)/model.safetensors") }
        }
    }

    @Test("refuses to write what could not be read, and leaves the old file")
    func refusesToWrite() throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/a.safetensors"
            try put([1, 2, 3], at: path)
            let good = SafetensorsTensor(name: "a", shape: [1], values: [1])
            let bad: [([SafetensorsTensor], String)] = [
                ([good, good], "stands twice"),
                ([SafetensorsTensor(name: "__metadata__", shape: [0], values: [])], "kept for the metadata"),
                ([SafetensorsTensor(name: String(repeating: "n", count: 1025), shape: [0], values: [])], "1024 bytes"),
                ([SafetensorsTensor(name: "a", shape: [2], values: [1])], "needs 8 bytes, 4 were provided"),
                ([SafetensorsTensor(name: "a", shape: [1], values: [1, 2])], "more bytes were provided"),
                ([SafetensorsTensor(name: "a", shape: [-1], values: [1])], "negative"),
                ([SafetensorsTensor(name: "a", shape: [.max, 2], values: [1])], "64 bits"),
                ([SafetensorsTensor(name: "a", shape: Array(repeating: 1, count: 9), values: [1])], "8 dimensions"),
            ]
            for (tensors, words) in bad {
                let error = refusal { try SafetensorsWriter.write(tensors, to: path) }
                #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
            }
            #expect(try FileBytes.read(path) == [1, 2, 3])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.safetensors"])
        }
    }
}
