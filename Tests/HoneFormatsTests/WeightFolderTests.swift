import Foundation
import HoneFormats
import Testing

@Suite struct WeightFolderTests {
    /// Two shards and an index.
    private func shards(in folder: String) throws {
        try SafetensorsWriter.write(
            [
                SafetensorsTensor(name: "a", shape: [1], values: [1]),
                SafetensorsTensor(name: "b", shape: [1], values: [2]),
            ],
            to: "\(folder)/model-00001-of-00002.safetensors")
        try SafetensorsWriter.write(
            [
                SafetensorsTensor(name: "c", shape: [1], values: [3]),
                SafetensorsTensor(name: "x", shape: [1], values: [4]),
            ],
            to: "\(folder)/model-00002-of-00002.safetensors")
        try index(
            [
                "c": "model-00002-of-00002.safetensors", "a": "model-00001-of-00002.safetensors",
                "b": "model-00001-of-00002.safetensors",
            ],
            in: folder)
    }

    private func index(_ map: JSON, in folder: String) throws {
        let index: JSON = ["metadata": ["total_size": 12], "weight_map": map]
        try AtomicFile.write(index.text(), to: "\(folder)/model.safetensors.index.json")
    }

    private func value(_ name: String, _ weights: WeightFolder) throws -> Float {
        try weights.withBytes(of: name) { $0.loadUnaligned(as: Float.self) }
    }

    @Test("presents several files as one table")
    func sharded() throws {
        try withTemporaryFolder { folder in
            try shards(in: folder)
            let weights = try WeightFolder.open(folder)
            #expect(weights.names == ["c", "a", "b"])
            #expect(weights.files.count == 2)
            #expect(weights.unlisted == ["x"])
            let values = try ["a", "b", "c"].map { try value($0, weights) }
            #expect(values == [1, 2, 3])
            #expect(weights.entry(named: "x") == nil)
            expectRefusal("no such tensor") { try value("x", weights) }
        }
    }

    @Test("opens a single file, by its folder, by another stem or by its own path")
    func single() throws {
        try withTemporaryFolder { folder in
            let tensors = [SafetensorsTensor(name: "a", shape: [1], values: [1])]
            try SafetensorsWriter.write(tensors, to: "\(folder)/model.safetensors")
            try SafetensorsWriter.write(tensors, to: "\(folder)/adapter_model.safetensors")
            #expect(try WeightFolder.open(folder).names == ["a"])
            #expect(try WeightFolder.open(folder + "/", stem: "adapter_model").entries.map(\.shape) == [[1]])
            #expect(try value("a", WeightFolder.open("\(folder)/model.safetensors")) == 1)
        }
    }

    @Test("names the files that are missing")
    func missing() throws {
        try withTemporaryFolder { folder in
            try shards(in: folder)
            try FileManager.default.removeItem(atPath: "\(folder)/model-00002-of-00002.safetensors")
            let error = refusal { try WeightFolder.open(folder).names }
            #expect(
                error?.message.contains("1 of the 2 files that the index names are missing: model-00002-of-00002")
                    == true)
        }
    }

    @Test("refuses an index that points elsewhere, promises too much or is none")
    func badIndex() throws {
        let maps: [(JSON, String)] = [
            (["a": "../model-00001-of-00002.safetensors"], "refused"), (["a": "/etc/passwd"], "refused"),
            (["a": 1], "not a string"), ([:], "empty"), (.null, "no weight_map"),
            (["none": "model-00001-of-00002.safetensors"], "does not have it"),
        ]
        try withTemporaryFolder { folder in
            try shards(in: folder)
            for (map, words) in maps {
                try index(map, in: folder)
                let error = refusal { try WeightFolder.open(folder).names }
                #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
            }
        }
    }

    @Test("gives advice where the weights are pickle, and names what it looked for otherwise")
    func pickleOnly() throws {
        try withTemporaryFolder { folder in
            expectRefusal("neither model.safetensors nor") { try WeightFolder.open(folder).names }
            try put([1], at: "\(folder)/pytorch_model.bin")
            let error = refusal { try WeightFolder.open(folder).names }
            #expect(error?.message.contains("only as pickle (pytorch_model.bin)") == true)
            expectRefusal("", .fileSystem) { try WeightFolder.open("\(folder)/none").names }
        }
    }
}
