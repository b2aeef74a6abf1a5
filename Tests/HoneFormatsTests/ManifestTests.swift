import Foundation
import HoneFormats
import Testing

@Suite struct ManifestTests {
    /// A folder with two files, one of them in a folder of its own, and a manifest.
    private func withRun(_ body: (String) throws -> Void) throws {
        try withTemporaryFolder { folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/adapter", withIntermediateDirectories: false)
            try AtomicFile.write("abc", to: "\(folder)/adapter/weights")
            try AtomicFile.write("", to: "\(folder)/empty")
            try Manifest.write(folder: folder, files: ["adapter/weights", "empty"])
            try body(folder)
        }
    }

    @Test("hashes as FIPS 180-4 says")
    func hashes() throws {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(FileHash.sha256(of: "abc") == abc)
        #expect(
            FileHash.sha256(of: [] as [UInt8]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        try withTemporaryFolder { folder in
            let large = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0) }
            try put(large, at: "\(folder)/large")
            #expect(try FileHash.sha256(ofFile: "\(folder)/large") == FileHash.sha256(of: large))
            expectRefusal("", .fileSystem) { try FileHash.sha256(ofFile: "\(folder)/none") }
        }
    }

    @Test("verifies what it wrote")
    func roundTrip() throws {
        try withRun { folder in
            let manifest = try Manifest.verify(folder: folder)
            #expect(manifest.version == 1)
            #expect(manifest.files.map(\.name) == ["adapter/weights", "empty"])
            #expect(manifest.files.map(\.length) == [3, 0])
            #expect(manifest.files[0].sha256 == FileHash.sha256(of: "abc"))
        }
    }

    @Test("names the file that is missing, truncated, too long, changed or a link")
    func damage() throws {
        let damages: [(String, (String) throws -> Void)] = [
            ("missing", { try FileManager.default.removeItem(atPath: $0) }),
            ("truncated: 2 bytes instead of 3", { try put([1, 2], at: $0) }),
            ("too long: 4 bytes instead of 3", { try put([1, 2, 3, 4], at: $0) }),
            ("has changed", { try put([1, 2, 3], at: $0) }),
            (
                "a link stands",
                {
                    try FileManager.default.removeItem(atPath: $0)
                    try FileManager.default.createSymbolicLink(atPath: $0, withDestinationPath: "../empty")
                }
            ),
        ]
        for (words, damage) in damages {
            try withRun { folder in
                try damage("\(folder)/adapter/weights")
                let error = refusal { try Manifest.verify(folder: folder) }
                #expect(error?.file == "\(folder)/adapter/weights")
                #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
            }
        }
    }

    @Test("refuses a newer version with advice, and what is no manifest")
    func refusals() throws {
        let hash = String(repeating: "a", count: 64)
        let cases: [(JSON, String)] = [
            (["version": 2], "a newer version of Hone wrote this folder"), (["version": 0], "no version"),
            ([], "no version"),
            (["version": 1], "no list of files"), (["version": 1, "files": [1]], "lacks its name"),
            (["version": 1, "files": [["name": "../a", "length": 1, "sha256": .string(hash)]]], "refused"),
            (["version": 1, "files": [["name": "a", "length": -1, "sha256": .string(hash)]]], "lacks"),
            (["version": 1, "files": [["name": "a", "length": 1, "sha256": "xyz"]]], "lacks"),
        ]
        for (json, words) in cases {
            let error = refusal { try Manifest(json: json, file: "manifest.json") }
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
        }
        expectRefusal("", .unsupported) { try Manifest(json: ["version": 2], file: nil) }
    }

    @Test("refuses to list a file that is missing, outside or twice")
    func refusesToWrite() throws {
        try withRun { folder in
            for files in [["none"], ["../a"], ["empty", "empty"]] {
                expectRefusal { try Manifest.write(folder: folder, files: files) }
            }
            let manifest = try Manifest.verify(folder: folder)
            #expect(manifest.files.count == 2)
        }
    }
}
