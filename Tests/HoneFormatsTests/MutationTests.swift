import Foundation
import Testing

@testable import HoneFormats

/// Changes bytes at random: bits, bytes with a meaning, deletions, repetitions, cuts, and numbers at the edges.
private struct Mutator {
    var random: SplitMix64

    private static let telling: [UInt8] =
        Array("{}[]\",:\\-+.eE0919utfn \n".utf8) + [0, 0x1F, 0x7F, 0x80, 0xC3, 0xED, 0xF4, 0xFF]
    private static let numbers = [
        "0", "-1", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e308", "1e999", "0.5",
        "4294967296",
    ]

    mutating func mutate(_ original: [UInt8]) -> [UInt8] {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            guard !bytes.isEmpty else { return bytes }
            let place = Int.random(in: 0..<bytes.count, using: &random)
            let end = min(bytes.count, place + Int.random(in: 1...12, using: &random))
            switch Int.random(in: 0..<8, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[place] = Self.telling.randomElement(using: &random) ?? 0
            case 2: bytes.insert(Self.telling.randomElement(using: &random) ?? 0, at: place)
            case 3: bytes.removeSubrange(place..<end)
            case 4: bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0...bytes.count, using: &random))
            case 5: bytes = Int.random(in: 0..<4, using: &random) == 0 ? Array(bytes[..<place]) : bytes
            default: replaceNumber(in: &bytes, after: place)
            }
        }
        return bytes
    }

    private mutating func replaceNumber(in bytes: inout [UInt8], after place: Int) {
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: (Self.numbers.randomElement(using: &random) ?? "").utf8)
    }
}

/// Counts what a reader does with mutations; records an issue for an error of another type.
private func outcomes(
    of original: [UInt8], count: Int = 20_000, seed: UInt64, _ read: ([UInt8]) throws -> Void
) -> (accepted: Int, refused: Int) {
    var mutator = Mutator(random: SplitMix64(state: seed))
    var (accepted, refused) = (0, 0)
    for _ in 0..<count {
        let bytes = mutator.mutate(original)
        do {
            try read(bytes)
            accepted += 1
        } catch let error as HoneError {
            if error.message.isEmpty { Issue.record("an error without words") }
            refused += 1
        } catch {
            Issue.record("threw \(error), which is no HoneError")
        }
    }
    return (accepted, refused)
}

@Suite struct MutationTests {
    @Test("JSON: a value or an error, and a value writes and reads back")
    func json() throws {
        let original = Array(
            #"{"a": [1, -2.5e3, true, null, "x\u00e9\ud83d\ude00"], "é😀": {"b": {"c": [[], {}, "\\\"\n"]}}, "n": 12345678901234567890}"#
                .utf8)
        #expect((try? JSON.parse(original)) != nil)
        let (accepted, refused) = outcomes(of: original, seed: 1) { bytes in
            let value = try JSON.parse(bytes, file: "mutated.json")
            let again = try JSON.parse(value.text())
            if again != value { Issue.record("does not round-trip") }
        }
        #expect(accepted > 1000)
        #expect(refused > 5000)
    }

    @Test("safetensors headers: entries that fill the file, or an error")
    func headers() throws {
        let original = try FileBytes.read(fixture("numpy.safetensors"))
        let length = try SafetensorsHeader.length(start: original, fileLength: original.count, file: nil)
        let json = Array(original[8..<8 + length])
        let data = original.count - 8 - length
        let (accepted, refused) = outcomes(of: json, seed: 2) { bytes in
            let fileLength = bytes.count + 8 + data
            let header = try SafetensorsHeader(json: bytes, fileLength: fileLength)
            var position = bytes.count + 8
            for entry in header.entries {
                if entry.byteRange.lowerBound != position { Issue.record("a hole or an overlap") }
                if entry.dtype.byteCount(shape: entry.shape) != entry.byteRange.count { Issue.record("a wrong size") }
                position = entry.byteRange.upperBound
            }
            if position != fileLength { Issue.record("bytes left over") }
        }
        #expect(accepted > 500)
        #expect(refused > 5000)
    }

    @Test("safetensors files: a checked header or an error")
    func wholeFiles() throws {
        let original = try FileBytes.read(fixture("torch.safetensors"))
        let (accepted, refused) = outcomes(of: original, seed: 3) { bytes in
            let length = try SafetensorsHeader.length(
                start: Array(bytes.prefix(64)), fileLength: bytes.count, file: nil)
            let header = try SafetensorsHeader(json: Array(bytes[8..<8 + length]), fileLength: bytes.count)
            for entry in header.entries where entry.byteRange.upperBound > bytes.count {
                Issue.record("a tensor beyond the end")
            }
        }
        #expect(accepted > 500)
        #expect(refused > 5000)
    }

    @Test("safetensors files on disk: tensors whose bytes can all be touched, or an error")
    func filesOnDisk() throws {
        let original = try FileBytes.read(fixture("torch.safetensors"))
        try withTemporaryFolder { folder in
            let path = "\(folder)/mutated.safetensors"
            let (accepted, refused) = outcomes(of: original, count: 300, seed: 6) { bytes in
                try put(bytes, at: path)
                let file = try SafetensorsFile(path: path)
                var sum: UInt8 = 0
                for entry in file.entries {
                    try file.withBytes(of: entry.name) { for byte in $0 { sum &+= byte } }
                }
            }
            #expect(accepted > 5)
            #expect(refused > 100)
        }
    }

    @Test(
        "adapter configurations: a configuration that writes and reads back, or an error",
        arguments: ["lora", "prompt"])
    func adapters(_ name: String) throws {
        let original = try FileBytes.read(fixture("\(name)/adapter_config.json"))
        let (accepted, refused) = outcomes(of: original, count: 10_000, seed: 4) { bytes in
            let configuration = try AdapterConfiguration(json: try JSON.parse(bytes))
            let again = try AdapterConfiguration(json: try JSON.parse(configuration.json.text(pretty: true)))
            if again.method != configuration.method { Issue.record("does not round-trip") }
        }
        #expect(accepted > 500)
        #expect(refused > 2000)
    }

    @Test("manifests: a manifest or an error")
    func manifests() {
        let file = Manifest.File(name: "adapter/weights", length: 3, sha256: FileHash.sha256(of: "abc"))
        let original = Array(Manifest(files: [file]).json.text(pretty: true).utf8)
        let (accepted, refused) = outcomes(of: original, count: 5_000, seed: 5) { bytes in
            _ = try Manifest(json: try JSON.parse(bytes), file: nil)
        }
        #expect(accepted > 10)
        #expect(refused > 2000)
    }
}
