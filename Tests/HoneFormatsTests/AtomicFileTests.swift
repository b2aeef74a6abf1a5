import Foundation
import Testing

@testable import HoneFormats

@Suite struct AtomicFileTests {
    private func names(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    }

    @Test("writes bytes, texts and pieces, large and small")
    func writes() throws {
        try withTemporaryFolder { folder in
            try AtomicFile.write("é", to: "\(folder)/text")
            #expect(try FileBytes.read("\(folder)/text") == [0xC3, 0xA9])
            try AtomicFile.write([1, 2, 3] as [UInt8], to: "\(folder)/text")
            #expect(try FileBytes.read("\(folder)/text") == [1, 2, 3])
            let large = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
            let count = try AtomicFile.write(to: "\(folder)/pieces") { file -> Int in
                try file.write("head")
                try file.write(large)
                try file.write(large[..<10])
                return file.count
            }
            #expect(count == 300_014)
            #expect(try FileBytes.read("\(folder)/pieces") == Array("head".utf8) + large + large[..<10])
            #expect(try names(folder) == ["pieces", "text"])
        }
    }

    @Test("leaves the old file and no trace when the writing fails")
    func failure() throws {
        try withTemporaryFolder { folder in
            try AtomicFile.write("old", to: "\(folder)/a")
            expectStop {
                try AtomicFile.write(to: "\(folder)/a") { file in
                    try file.write(Array(repeating: 1, count: 100_000))
                    #expect(try names(folder).count == 2)
                    #expect(try FileBytes.read("\(folder)/a") == Array("old".utf8))
                    throw Stop()
                }
            }
            #expect(try FileBytes.read("\(folder)/a") == Array("old".utf8))
            #expect(try names(folder) == ["a"])
        }
    }

    @Test("names the file and the reason when it cannot be written")
    func refusals() throws {
        try withTemporaryFolder { folder in
            expectRefusal("cannot write: this is a folder") { try AtomicFile.write("", to: folder) }
            expectRefusal("cannot write: this is a folder") { try AtomicFile.write("", to: "\(folder)/a/") }
            let missing = refusal { try AtomicFile.write("", to: "\(folder)/none/a") }
            #expect(missing?.description == "\(folder)/none/a: cannot write: its folder does not exist")
            try AtomicFile.write("", to: "\(folder)/file")
            expectRefusal("not a folder") { try AtomicFile.write("", to: "\(folder)/file/a") }
            expectRefusal("", .fileSystem) { try AtomicFile.write("", to: "") }
            expectRefusal("", .fileSystem) { try AtomicFile.write("", to: "\(folder)/a\0b") }
            let long = String(repeating: "n", count: 300)
            expectRefusal("name is too long") { try AtomicFile.write("", to: "\(folder)/\(long)") }
            #expect(try names(folder) == ["file"])
        }
    }

    @Test("says that the disk is full")
    func fullDisk() throws {
        let number = open("/dev/full", O_WRONLY)
        try #require(number >= 0)
        let writer = AtomicFile.Writer(FileDescriptor(number: number, path: "model.safetensors"))
        try writer.write("fits the buffer")
        let error = refusal { try writer.finish() }
        #expect(error?.description == "model.safetensors: cannot write: the disk is full")
        expectRefusal("cannot write: the disk is full") { try writer.write(Array(repeating: 1, count: 100_000)) }
    }

    @Test("keeps the permissions of the file it replaces, and replaces a link instead of following it")
    func permissionsAndLinks() throws {
        try withTemporaryFolder { folder in
            try AtomicFile.write("old", to: "\(folder)/a")
            #expect(chmod("\(folder)/a", 0o600) == 0)
            try AtomicFile.write("new", to: "\(folder)/a")
            var status = stat()
            #expect(stat("\(folder)/a", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600)
            #expect(symlink("a", "\(folder)/link") == 0)
            try AtomicFile.write("other", to: "\(folder)/link")
            #expect(try FileBytes.read("\(folder)/a") == Array("new".utf8))
            #expect(try FileBytes.read("\(folder)/link") == Array("other".utf8))
        }
    }

    @Test("makes a folder complete or not at all")
    func folders() throws {
        try withTemporaryFolder { folder in
            let target = "\(folder)/run"
            expectStop {
                try AtomicFolder.create(at: target) { temporary in
                    try AtomicFile.write("1", to: "\(temporary)/a")
                    throw Stop()
                }
            }
            #expect(try names(folder).isEmpty)
            try AtomicFolder.create(at: target) { temporary in
                #expect(try names(folder).count == 1)
                try FileManager.default.createDirectory(atPath: "\(temporary)/sub", withIntermediateDirectories: false)
                try AtomicFile.write("1", to: "\(temporary)/sub/a")
            }
            #expect(try names(folder) == ["run"])
            #expect(try FileBytes.read("\(target)/sub/a") == [0x31])
            let again = refusal { try AtomicFolder.create(at: target) { _ in } }
            #expect(again?.message == "cannot make the folder: something of this name is there already")
            expectRefusal("parent") { try AtomicFolder.create(at: "\(folder)/none/run") { _ in } }
            #expect(try names(folder) == ["run"])
        }
    }

    @Test("finds the parent of every kind of path")
    func parents() {
        let cases = [("a", "."), ("/a", "/"), ("a/b", "a"), ("a/b/", "a"), ("/", "/"), ("/a/b", "/a"), ("./a", ".")]
        for (path, parent) in cases { #expect(FolderPath.parent(of: path) == parent) }
    }
}
