import Foundation
import HoneFormats
import HoneImages
import HoneTesting
import Testing

/// What the tests compare with; `Scripts/fixtures/image_files.py` says how it was made.
enum Expected {
    static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().path + "/Fixtures"
    static let files = ((try? FileManager.default.contentsOfDirectory(atPath: fixtures + "/files")) ?? []).sorted()

    static func path(_ name: String) -> String { fixtures + "/files/" + name }

    /// The names of tensors in a file.
    static func names(_ file: String) -> [String] {
        (try? SafetensorsFile(path: "\(fixtures)/\(file).safetensors").entries.map(\.name)) ?? []
    }

    static func bytes(_ name: String, in file: String) throws -> (shape: [Int], bytes: [UInt8]) {
        let open = try SafetensorsFile(path: "\(fixtures)/\(file).safetensors")
        let entry = try #require(open.entry(named: name), "\(name)")
        return (entry.shape, try open.withBytes(of: name) { Array($0) })
    }

    static func floats(_ name: String, in file: String) throws -> (shape: [Int], values: [Float]) {
        let (shape, bytes) = try bytes(name, in: file)
        return (shape, bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) })
    }
}

/// Files, in every sample as Pillow reads them and transformers turns them into colours.
struct ImageFileTests {
    @Test(arguments: Expected.files)
    func `gives the reference's samples`(name: String) throws {
        for (ending, channels) in [("rgb", 3), ("grey", 1)] {
            let image = try ImageFile.read(Expected.path(name), channels: channels)
            let (shape, bytes) = try Expected.bytes("\(name).\(ending)", in: "decoded")
            #expect([image.height, image.width] == Array(shape.prefix(2)) && image.channels == channels)
            let wrong = zip(image.samples, bytes).count { $0 != $1 }
            #expect(image.samples.count == bytes.count && wrong == 0, "\(ending): \(wrong) of \(bytes.count) differ")
        }
    }

    @Test func `there is a file of every kind`() { #expect(Expected.files.count == 32) }

    @Test func `names what is no image`() throws {
        for (bytes, words) in [
            ("GIF89a", "GIF"), ("", "empty"), ("RIFF....WEBP", "WebP"), ("plain text", "neither a PNG nor a JPEG"),
        ] {
            let error = try #require(throws: HoneError.self) {
                try ImageFile.decode(Array(bytes.utf8), file: "some.png", channels: 3)
            }
            #expect(error.code == .unsupported && error.file == "some.png" && error.message.contains(words), "\(error)")
        }
        let error = try #require(throws: HoneError.self) { try ImageFile.read("/no/such/image.png", channels: 3) }
        #expect(error.code == .fileSystem && error.file == "/no/such/image.png")
    }

    @Test(arguments: ["colours.png", "colours-interlaced.png", "palette.png", "colours-420.jpg", "progressive.jpg"])
    func `refuses a file that was cut off, wherever`(name: String) throws {
        let whole = try FileBytes.read(Expected.path(name))
        let image = try ImageFile.decode(whole, file: name, channels: 3)
        for share in stride(from: 0.02, to: 0.97, by: 0.05) {
            let cut = Array(whole.prefix(Int(Double(whole.count) * share)))
            do {
                let read = try ImageFile.decode(cut, file: name, channels: 3)
                // A progressive file is only then whole when all of its scans are there.
                #expect(read == image, "\(share)")
            } catch let error as HoneError {
                #expect(error.file == name && !error.message.isEmpty)
            }
        }
    }

    @Test func `refuses sizes that the file cannot hold, before memory is taken for them`() throws {
        var png = try FileBytes.read(Expected.path("colours.png"))
        func claim(_ width: UInt32, _ height: UInt32) throws -> HoneError {
            for (place, value) in [(16, width), (20, height)] {
                for byte in 0..<4 { png[place + byte] = UInt8(truncatingIfNeeded: value >> (24 - 8 * UInt32(byte))) }
            }
            let sum = checksum(png[12..<29])
            for byte in 0..<4 { png[29 + byte] = UInt8(truncatingIfNeeded: sum >> (24 - 8 * UInt32(byte))) }
            return try #require(throws: HoneError.self) {
                try ImageFile.decode(png, file: "claims.png", channels: 3)
            }
        }
        for (width, height) in [(30_000, 30_000), (8_000, 8_000), (1 << 24, 1 << 24)] as [(UInt32, UInt32)] {
            let error = try claim(width, height)
            #expect(error.code == .badFile && error.message.contains("claims \(width) by \(height)"), "\(error)")
        }
        for (width, height) in [(0, 5), (.max, 5), (1 << 31, 1 << 31)] as [(UInt32, UInt32)] {
            #expect(try claim(width, height).code == .badFile)
        }
        var jpeg = try FileBytes.read(Expected.path("colours-420.jpg"))
        let frame = try #require(
            (0..<jpeg.count - 8).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xC0 })
        jpeg.replaceSubrange(frame + 5..<frame + 9, with: [0xFF, 0xDC, 0xFF, 0xDC])
        let error = try #require(throws: HoneError.self) {
            try ImageFile.decode(jpeg, file: "claims.jpg", channels: 3)
        }
        #expect(error.message.contains("claims 65500 by 65500"), "\(error)")
    }

    /// The checksum of a PNG chunk (CRC-32).
    private func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        ~bytes.reduce(~0 as UInt32) { sum, byte in
            (0..<8).reduce(sum ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
    }

    @Test(arguments: Expected.files)
    func `a file that was changed at random is an image or an error`(name: String) throws {
        let whole = try FileBytes.read(Expected.path(name))
        var random = SeededGenerator(seed: 9, stream: name)
        let isSlow = ProcessInfo.processInfo.environment["HONE_SLOW_TESTS"] == "1"
        let rounds = isSlow ? 2000 : whole.count > 20_000 ? 10 : 60
        for round in 0..<rounds {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 1: bytes[place] = [0, 0xFF, 0x7F, 0x80].randomElement(using: &random) ?? 0
                case 2: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...9, using: &random)))
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let start = ProcessorTime.seconds
            do {
                let image = try ImageFile.decode(bytes, file: name, channels: round % 2 == 0 ? 3 : 1)
                #expect(image.samples.count == image.width * image.height * image.channels)
            } catch let error as HoneError {
                #expect(error.file == name)
            }
            #expect(ProcessorTime.seconds - start < 5, "round \(round)")
        }
    }
}

/// Other sizes, in every sample as Pillow's.
struct ResamplingTests {
    @Test(arguments: Expected.names("resized"))
    func `gives the reference's samples`(name: String) throws {
        let (shape, bytes) = try Expected.bytes(name, in: "resized")
        let parts = name.split(separator: ".")
        let number = try #require(Int(parts[2]))
        let resampling = try #require(Resampling(rawValue: number))
        let image = try ImageFile.read(Expected.path("\(parts[0]).\(parts[1])"), channels: 3)
        let made = image.resized(width: shape[1], height: shape[0], by: resampling)
        let wrong = zip(made.samples, bytes).count { $0 != $1 }
        #expect(made.samples.count == bytes.count && wrong == 0, "\(wrong) of \(bytes.count) differ")
    }

    @Test func `every way to another size is compared`() {
        #expect(Expected.names("resized").count == Resampling.allCases.count * 8)
    }

    @Test func `an image of grey is its colours' own`() throws {
        let colours = try ImageFile.read(Expected.path("grey.jpg"), channels: 3).resized(
            width: 33, height: 20, by: .bicubic)
        let grey = try ImageFile.read(Expected.path("grey.jpg"), channels: 1).resized(
            width: 33, height: 20, by: .bicubic)
        #expect(grey.samples == stride(from: 0, to: colours.samples.count, by: 3).map { colours.samples[$0] })
    }
}

/// `preprocessor_config.json`: numbers equal transformers', and what it cannot do is named.
struct ImagePreparationTests {
    private static let descriptions = (try? JSON.read(file: Expected.fixtures + "/preparations.json")) ?? .null

    @Test(arguments: Expected.names("prepared"))
    func `gives the reference's numbers`(name: String) throws {
        let (shape, expected) = try Expected.floats(name, in: "prepared")
        let parts = name.split(separator: ".")
        let description = try #require(Self.descriptions[String(parts[0])])
        let preparation = try ImagePreparation(json: description, file: "preparations.json", channels: 3)
        let image = try ImageFile.read(Expected.path("\(parts[1]).\(parts[2])"), channels: 3)
        let sized = preparation.sized(image)
        #expect([3, sized.height, sized.width] == shape)
        let wrong = zip(preparation.numbers(of: sized), expected).count { $0 != $1 }
        #expect(wrong == 0 && 3 * sized.height * sized.width == expected.count, "\(wrong) of \(expected.count) differ")
        if let final = preparation.finalSize { #expect([final.height, final.width] == Array(shape.dropFirst())) }
    }

    @Test func `takes what is left out as the reference does`() throws {
        let vit = try ImagePreparation(json: ["feature_extractor_type": "ViTFeatureExtractor"], file: "", channels: 3)
        #expect(vit.size == .exact(height: 224, width: 224) && vit.resampling == .bilinear && vit.crop == nil)
        #expect(vit.mean == [0.5, 0.5, 0.5] && vit.deviation == [0.5, 0.5, 0.5] && vit.scale == 1 / 255)
        let deit = try ImagePreparation(json: ["image_processor_type": "DeiTImageProcessorFast"], file: "", channels: 1)
        #expect(deit.size == .exact(height: 256, width: 256) && deit.resampling == .bicubic)
        #expect(deit.crop == .init(height: 224, width: 224) && deit.mean == [0.5])
    }

    private static let wrong: [(String, JSON)] = [
        ("size", 0), ("size", "224"), ("size", ["height": 5]), ("size", ["longest_edge": 5]), ("size", 100_000),
        ("size", ["height": 5, "width": -5]), ("crop_size", ["shortest_edge": 5]), ("resample", 6),
        ("resample", "bilinear"),
        ("do_resize", "yes"), ("rescale_factor", 0), ("image_mean", [0.5]), ("image_std", [0.5, 0.5, 0]),
        ("image_std", [1, 1, "1"]), ("do_pad", true), ("image_processor_type", "CLIPImageProcessor"),
        ("image_processor_type", 3),
    ]

    @Test(arguments: wrong)
    func `names the field that it cannot use`(field: String, value: JSON) throws {
        var object: JSONObject = try #require(Self.descriptions["deit"]?.object)
        object[field] = value
        let error = try #require(throws: HoneError.self) {
            try ImagePreparation(json: .object(object), file: "preprocessor_config.json", channels: 3)
        }
        #expect(error.item == field && error.file == "preprocessor_config.json")
    }

    @Test func `says that the description is missing`() throws {
        let error = try #require(throws: HoneError.self) { try ImagePreparation(folder: "/no/such", channels: 3) }
        #expect(error.code == .fileSystem && error.message.contains("preprocessor_config.json"))
    }
}
