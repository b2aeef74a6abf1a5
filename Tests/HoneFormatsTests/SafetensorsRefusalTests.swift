import HoneFormats
import Testing

/// A file with a header and data.
private func file(_ header: String, data: Int) -> [UInt8] {
    let text = Array(header.utf8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> ($0 * 8)) } + text + Array(repeating: 0, count: data)
}

private func tensor(_ name: String, _ shape: String, _ begin: Int, _ end: Int, dtype: String = "F32") -> String {
    "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

private let huge: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]

@Suite struct SafetensorsRefusalTests {
    static let refused: [(name: String, bytes: [UInt8], words: String)] = [
        ("empty file", [], "only 0 bytes"),
        ("fewer than 8 bytes", [1, 0, 0], "only 3 bytes"),
        ("header length beyond the limit", huge + [0x7B], "claims 18446744073709551615 bytes"),
        ("header length just beyond the limit", [0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0, 0x7B], "more than the 100000000"),
        ("header longer than the file", [100, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x7D], "only 2 follow"),
        ("no header", [0, 0, 0, 0, 0, 0, 0, 0], "does not begin with {"),
        ("header that begins with a space", file(" {}", data: 0), "does not begin with {"),
        ("header that is an array", file("[]", data: 0), "does not begin with {"),
        ("header that is not JSON", file("{\"a\"}", data: 0), "expected : after the key"),
        ("text after the header's object", file("{} x", data: 0), "expected the end"),
        (
            "header that is not UTF-8", [7, 0, 0, 0, 0, 0, 0, 0, 0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D],
            "not valid UTF-8"
        ),
        ("header that nests deep", file("{\"a\":" + String(repeating: "[", count: 9), data: 0), "deeper than 8"),
        (
            "name that stands twice", file("{\(tensor("a", "[1]", 0, 4)),\(tensor("a", "[1]", 4, 8))}", data: 8),
            "stands twice"
        ),
        ("metadata that is no object", file("{\"__metadata__\":[]}", data: 0), "not an object"),
        ("metadata that is no text", file("{\"__metadata__\":{\"a\":1}}", data: 0), "not a string"),
        ("entry that is no object", file("{\"a\":3}", data: 0), "its entry is a number"),
        ("entry without dtype", file("{\"a\":{\"shape\":[],\"data_offsets\":[0,0]}}", data: 0), "no dtype"),
        ("entry without shape", file("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,0]}}", data: 0), "no shape"),
        ("entry without offsets", file("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", data: 0), "data_offsets"),
        (
            "entry with three offsets",
            file("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1,1]}}", data: 1), "data_offsets"
        ),
        (
            "unknown type", file("{\(tensor("a", "[1]", 0, 1, dtype: "F8_E4M3"))}", data: 1),
            "its element type is \"F8_E4M3\""
        ),
        ("unsigned type", file("{\(tensor("a", "[1]", 0, 4, dtype: "U32"))}", data: 4), "its element type is \"U32\""),
        ("negative dimension", file("{\(tensor("a", "[-1]", 0, 4))}", data: 4), "whole numbers from 0 up"),
        ("fractional dimension", file("{\(tensor("a", "[1.0]", 0, 4))}", data: 4), "whole numbers from 0 up"),
        ("too many dimensions", file("{\(tensor("a", "[1,1,1,1,1,1,1,1,1]", 0, 4))}", data: 4), "9 dimensions"),
        ("shape that overflows", file("{\(tensor("a", "[4611686018427387904,4]", 0, 4))}", data: 4), "64 bits"),
        ("bytes that overflow", file("{\(tensor("a", "[4611686018427387904]", 0, 4))}", data: 4), "64 bits"),
        ("negative offset", file("{\(tensor("a", "[1]", -4, 0))}", data: 4), "data_offsets"),
        ("end before begin", file("{\(tensor("a", "[1]", 4, 0))}", data: 4), "data_offsets"),
        (
            "offsets beyond 64 bits",
            file(
                "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[9223372036854775806,9223372036854775807]}}",
                data: 1), "64 bits"
        ),
        ("size that differs from the shape", file("{\(tensor("a", "[2]", 0, 4))}", data: 4), "needs 8 bytes"),
        ("hole at the beginning", file("{\(tensor("a", "[1]", 4, 8))}", data: 8), "leave a hole"),
        (
            "hole in between", file("{\(tensor("a", "[1]", 0, 4)),\(tensor("b", "[1]", 8, 12))}", data: 12),
            "leave a hole"
        ),
        ("overlap", file("{\(tensor("a", "[2]", 0, 8)),\(tensor("b", "[1]", 4, 8))}", data: 8), "overlap"),
        (
            "two tensors at one place", file("{\(tensor("a", "[1]", 0, 4)),\(tensor("b", "[1]", 0, 4))}", data: 4),
            "overlap"
        ),
        ("data beyond the end", file("{\(tensor("a", "[2]", 0, 8))}", data: 7), "truncated"),
        (
            "bytes after the last tensor", file("{\(tensor("a", "[1]", 0, 4))}", data: 5),
            "1 bytes follow the last tensor"
        ),
        ("bytes after no tensor", file("{}", data: 1), "1 bytes follow"),
        (
            "long name", file("{\(tensor(String(repeating: "n", count: 1025), "[1]", 0, 4))}", data: 4),
            "longer than 1024 bytes"
        ),
        ("zip archive", [0x50, 0x4B, 3, 4, 0, 0, 0, 0, 0, 0], "zip archive"),
        ("pickle, protocol 2", [0x80, 2, 0x7D, 0x71, 0, 0x2E, 0, 0, 0, 0], "this is a pickle"),
        ("pickle, protocol 5", [0x80, 5, 0x95, 0, 0, 0, 0, 0, 0, 0, 0], "this is a pickle"),
        ("short pickle", [0x80, 4, 0x4E, 0x2E], "this is a pickle"),
        ("Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\n".utf8), "git lfs pull"),
        ("GGUF", Array("GGUF\u{3}\0\0\0\0\0\0\0".utf8), "GGUF"),
        ("web page", Array("<!DOCTYPE html><html></html>".utf8), "web page"),
    ]

    @Test("refuses by name", arguments: refused)
    func refuses(_ name: String, _ bytes: [UInt8], _ words: String) throws {
        try withTemporaryFolder { folder in
            let path = "\(folder)/model.safetensors"
            try put(bytes, at: path)
            let error = refusal { try SafetensorsFile(path: path).entries }
            #expect(error?.file == path)
            #expect(error?.code == .badFile || error?.code == .unsupported)
            #expect(error?.message.contains(words) == true, "\(name): \(error?.message ?? "")")
        }
    }

    @Test("accepts the empty header, empty tensors and trailing spaces")
    func accepts() throws {
        let accepted: [([UInt8], Int)] = [
            (file("{}      ", data: 0), 0),
            (file("{\(tensor("a", "[0]", 0, 0)),\(tensor("b", "[1]", 0, 4))}", data: 4), 2),
            (file("{\(tensor("b", "[1]", 0, 4)),\(tensor("a", "[3,0]", 4, 4))}", data: 4), 2),
        ]
        try withTemporaryFolder { folder in
            for (bytes, count) in accepted {
                try put(bytes, at: "\(folder)/a")
                #expect(try SafetensorsFile(path: "\(folder)/a").entries.count == count)
            }
        }
    }

    @Test("refuses what torch.save and pickle wrote, by content, with advice")
    func pickles() throws {
        for name in ["zip-pickle.bin", "pickle.bin"] {
            try withTemporaryFolder { folder in
                let path = "\(folder)/model.safetensors"
                try put(try FileBytes.read(fixture(name)), at: path)
                expectRefusal("safetensors.torch.save_file") { try SafetensorsFile(path: path).path }
            }
        }
    }

    @Test("refuses a file cut at every length, and one with a byte more")
    func truncation() throws {
        let bytes = try FileBytes.read(fixture("numpy.safetensors"))
        try withTemporaryFolder { folder in
            for length in stride(from: 0, to: bytes.count, by: 7) {
                try put(Array(bytes[..<length]), at: "\(folder)/a")
                expectRefusal { try SafetensorsFile(path: "\(folder)/a").path }
            }
            try put(bytes + [0], at: "\(folder)/a")
            expectRefusal { try SafetensorsFile(path: "\(folder)/a").path }
        }
    }
}
