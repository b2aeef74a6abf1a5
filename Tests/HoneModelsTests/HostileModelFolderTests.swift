import Foundation
import HoneFormats
import HoneHub
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Changes JSON at random: values that no honest file has, missing and doubled fields, fields of others; and plain bytes.
private struct JSONMutator {
    var random: SeededGenerator

    private static let values: [JSON] = [
        0, -1, 1, 2, 3, 7, 64, 1024, 65_536, .integer(1 << 24), .integer(1 << 31), .integer(1 << 40), .integer(.max),
        .integer(.min), 0.5, -0.5, 1e-300, 1e300, .number(.greatestFiniteMagnitude), .null, .bool(true), .bool(false),
        "",
        "gelu", "../../../etc/passwd", .string(String(repeating: "x", count: 5000)), [], .object(JSONObject()),
        [[[[[]]]]],
        [1, 2, 3], ["a": ["b": 1]], "F64", "I64", "F16",
    ]

    mutating func mutate(_ original: [UInt8]) -> [UInt8] {
        if Int.random(in: 0..<4, using: &random) > 0, var value = try? JSON.parse(original) {
            for _ in 0..<Int.random(in: 1...3, using: &random) { change(&value, depth: 0) }
            return Array(value.text().utf8)
        }
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes.insert(Array("{}[]\",:-0e9".utf8).randomElement(using: &random) ?? 0, at: place)
            case 2: bytes.removeSubrange(place..<min(bytes.count, place + 9))
            case 3: bytes[place] = UInt8.random(in: 0...255, using: &random)
            default:
                if let digit = bytes[place...].firstIndex(where: { (0x31...0x39).contains($0) }) {
                    bytes.insert(contentsOf: Array("99999999".utf8), at: digit)
                }
            }
        }
        return bytes
    }

    private mutating func change(_ value: inout JSON, depth: Int) {
        switch value {
        case .object(var object) where object.count > 0:
            guard let key = object.keys.randomElement(using: &random), let old = object[key] else { return }
            switch Int.random(in: 0..<8, using: &random) {
            case 0: object[key] = nil
            case 1: object[key + "_"] = old
            case 2: if let other = object.keys.randomElement(using: &random) { object[key] = object[other] }
            case 3...4 where depth < 6:
                var inner = old
                change(&inner, depth: depth + 1)
                object[key] = inner
            case 5:
                if let number = old.integer, number < 1 << 40, number > -1 << 40 {
                    object[key] = .integer(number * Int.random(in: -3...3, using: &random) + 1)
                }
            default: object[key] = JSONMutator.values.randomElement(using: &random) ?? .null
            }
            value = .object(object)
        case .array(var array) where !array.isEmpty:
            let place = array.indices.randomElement(using: &random) ?? 0
            change(&array[place], depth: depth + 1)
            value = .array(array)
        default: value = JSONMutator.values.randomElement(using: &random) ?? .null
        }
    }
}

/// Model folders of every fixture with one file changed at random: a model or an error; never a trap, never long, never much
/// memory.
///
/// With `HONE_SLOW_TESTS=1` at least 10,000 changes, in a process of its own in which memory is watched.
@Suite struct HostileModelFolderTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let isAlone = environment["HONE_MUTATIONS_ALONE"] == "1"
    private static let isSlow = environment["HONE_SLOW_TESTS"] == "1"

    private static let families: [String] = {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: Reference.fixtures)) ?? []
        return names.filter { name in
            ["config.json", "model.safetensors"].allSatisfy {
                FileManager.default.fileExists(atPath: "\(Reference.fixtures)/\(name)/\($0)")
            }
        }.sorted()
    }()

    /// A folder with a model and its files by name; weights also as a shard with an index.
    private struct Specimen {
        static let changed = [
            "config.json", "generation_config.json", "preprocessor_config.json", "model.safetensors.index.json",
        ]
        let folder: String
        var originals: [(file: String, bytes: [UInt8])] = []
        var size = 0

        init(_ name: String, in parent: String, sharded: Bool) throws {
            folder = "\(parent)/\(name)\(sharded ? "-sharded" : "")"
            let files = FileManager.default
            try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let source = "\(Reference.fixtures)/\(name)"
            for file in try files.contentsOfDirectory(atPath: source)
            where file.hasSuffix(".json") && !file.hasPrefix("reference") || file == "model.safetensors" {
                let target = sharded && file == "model.safetensors" ? "model-00001-of-00001.safetensors" : file
                try files.copyItem(atPath: "\(source)/\(file)", toPath: "\(folder)/\(target)")
            }
            if sharded {
                var map = JSONObject()
                for name in try SafetensorsFile(path: folder + "/model-00001-of-00001.safetensors").entries.map(\.name)
                {
                    map[name] = "model-00001-of-00001.safetensors"
                }
                let index: JSON = ["metadata": ["total_size": 1], "weight_map": .object(map)]
                try index.text().write(
                    toFile: folder + "/model.safetensors.index.json", atomically: true, encoding: .utf8)
            }
            for file in try files.contentsOfDirectory(atPath: folder) {
                let bytes = Array(files.contents(atPath: "\(folder)/\(file)") ?? Data())
                size += bytes.count
                if Self.changed.contains(file)
                    || file.hasSuffix(".safetensors")
                {
                    originals.append((file, bytes))
                }
            }
        }
    }

    /// A changed header with the length before it made to fit, most of the time.
    private static func header(_ bytes: [UInt8], _ mutator: inout JSONMutator) -> [UInt8] {
        let length = Int(bytes[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
        let changed = mutator.mutate(Array(bytes[8..<8 + length]))
        var claimed = UInt64(changed.count)
        if Int.random(in: 0..<10, using: &mutator.random) == 0 { claimed = mutator.random.next() >> 20 }
        return (0..<8).map { UInt8(truncatingIfNeeded: claimed >> (8 * UInt64($0))) } + changed + bytes[(8 + length)...]
    }

    @Test("a changed config, generation config, index or header gives a model or an error", arguments: families)
    func mutations(_ family: String) throws {
        if Self.isSlow, !Self.isAlone { return }
        // Every file of every family; the count is rounded up.
        let wanted = Self.isAlone ? 10_500 / Self.families.count + 1 : 24
        try withTemporaryFolder { parent in
            for sharded in [false, true] {
                let specimen = try Specimen(family, in: parent, sharded: sharded)
                let count = wanted / 2 / specimen.originals.count + 1
                for (file, bytes) in specimen.originals {
                    var mutator = JSONMutator(random: SeededGenerator(seed: 5, stream: "\(family) \(sharded) \(file)"))
                    for round in 0..<count {
                        let isHeader = file.hasSuffix(".safetensors")
                        let changed = isHeader ? Self.header(bytes, &mutator) : mutator.mutate(bytes)
                        try Data(changed).write(to: URL(fileURLWithPath: "\(specimen.folder)/\(file)"))
                        try attempt(specimen, "\(family) \(file) \(round)")
                    }
                    try Data(bytes).write(to: URL(fileURLWithPath: "\(specimen.folder)/\(file)"))
                }
                // What was put back is whole again, so the refusals came from the changes.
                _ = try BaseModel(folder: specimen.folder)
            }
        }
    }

    private func attempt(_ specimen: Specimen, _ name: String) throws {
        let before = Self.isAlone ? Self.resetPeak() : 0
        let start = ProcessorTime.seconds
        do {
            let model = try BaseModel(folder: specimen.folder)
            try withoutGradients {
                if let patches = model.configuration.patches {
                    let shape = [2, patches.channels, patches.imageHeight, patches.imageWidth]
                    _ = try model.transformer.states(
                        TokenBatch(pixels: Tensor.zeros(shape), for: model.configuration))
                } else {
                    _ = try GenerationDefaults(model)
                    _ = try model.transformer.states(TokenBatch([[1, 2, 3], [2, 1]], padId: model.padId))
                }
            }
        } catch let error as HoneError {
            if error.message.isEmpty { Issue.record("an error without words: \(name)") }
        } catch {
            Issue.record("\(error) is no HoneError: \(name)")
        }
        let seconds = ProcessorTime.seconds - start
        #expect(seconds < 3, "\(name): \(seconds) s")
        if Self.isAlone {
            let grown = Self.status("VmHWM") - before
            #expect(grown <= 2 * specimen.size + 64 << 20, "\(name): \(grown >> 20) MiB")
        }
    }

    @Test(
        "10,000 changes in a process of their own, with an eye on its memory",
        .enabled(if: isSlow && !isAlone))
    func alone() throws {
        let process = Process()
        process.executableURL = URL(
            fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        process.arguments =
            CommandLine.arguments.contains("--test-bundle-path")
            ? Array(CommandLine.arguments.dropFirst()) : []
        process.arguments? += [
            "--filter", "HostileModelFolderTests", "--testing-library", "swift-testing", "--no-parallel",
        ]
        process.environment = Self.environment.merging(["HONE_MUTATIONS_ALONE": "1"]) { $1 }
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit && process.terminationStatus == 0, "\(text.suffix(2000))")
        #expect(text.contains("with \(Self.families.count) test case"), "\(text.suffix(2000))")
    }

    /// Sets the highest memory of the process to the present one, and gives that.
    private static func resetPeak() -> Int {
        try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8)
        return status("VmHWM")
    }

    private static func status(_ field: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return (line?.split(separator: " ").compactMap { Int($0) }.first ?? 0) << 10
    }
}

/// What people name as a model, or have in its folder, that is none.
@Suite struct ForeignModelTests {
    private static let pickles: [(String, [UInt8])] = [
        ("protocol bytes", [0x80, 0x02, 0x8A, 0x0A]), ("protocol 4", [0x80, 0x04, 0x95, 0x00]),
        ("a zip archive", [0x50, 0x4B, 0x03, 0x04] + Array("archive/data.pkl".utf8)),
    ]

    @Test("pickles are refused by content, with advice that names the file", arguments: pickles.map(\.0))
    func pickle(_ kind: String) throws {
        let bytes = try #require(Self.pickles.first { $0.0 == kind }?.1)
        try withTemporaryFolder { folder in
            for file in ["weights.pt", "model.safetensors"] {
                let path = "\(folder)/\(file)"
                try Data(bytes + [UInt8](repeating: 0, count: 100)).write(to: URL(fileURLWithPath: path))
                let error = try #require(throws: HoneError.self) { try BaseModel(folder: path) }
                for word in ["pickle", "torch.load(\"\(file)\"", "can run code"] {
                    #expect(error.message.contains(word))
                }
            }
        }
    }

    @Test("a folder with pickle weights alone names them", arguments: ["pytorch_model.bin", "model.pt"])
    func folder(_ file: String) throws {
        try withTemporaryFolder { parent in
            let folder = parent + "/model"
            try FileManager.default.copyItem(atPath: Reference.fixtures + "/bert-tiny", toPath: folder)
            try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
            try Data([0x80, 0x02]).write(to: URL(fileURLWithPath: folder + "/" + file))
            let error = try #require(throws: HoneError.self) { try BaseModel(folder: folder) }
            for word in [file, "pickle", "convert it"] { #expect(error.description.contains(word)) }
        }
    }

    @Test("a file of weights instead of its folder")
    func weights() throws {
        let path = Reference.fixtures + "/bert-tiny/model.safetensors"
        let error = try #require(throws: HoneError.self) { try BaseModel(folder: path) }
        #expect(error.message.contains("name its folder"))
    }
}
