import Foundation
import HoneFormats
import Testing

@Suite struct FileLockTests {
    private func temporaryFolder() throws -> String {
        let path = FileManager.default.temporaryDirectory.path + "/hone-lock-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    @Test func `a file is claimed by one at a time, and free when let go`() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        var first = try FileLock.claim(folder + "/claim")
        #expect(first != nil)
        #expect(try FileLock.claim(folder + "/claim") == nil)
        #expect(try FileLock.claim(folder + "/other") != nil)
        first = nil
        // A process that another test starts just then holds a copy until it becomes another program.
        var again = try FileLock.claim(folder + "/claim")
        for _ in 0..<200 where again == nil {
            usleep(10_000)
            again = try FileLock.claim(folder + "/claim")
        }
        #expect(again != nil)
    }

    @Test func `a claim on a file that was removed does not keep others from a new one`() throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let first = try FileLock.claim(folder + "/claim")
        try FileManager.default.removeItem(atPath: folder + "/claim")
        #expect(try FileLock.claim(folder + "/claim") != nil)
        withExtendedLifetime(first) {}
    }

    @Test func `a folder is locked by one after the other`() async throws {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let file = folder + "/number"
        try AtomicFile.write("0", to: file)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<25 {
                        let lock = try FileLock.waiting(forFolder: folder)
                        let number = try Int(String(contentsOfFile: file, encoding: .utf8)) ?? -1000
                        try AtomicFile.write("\(number + 1)", to: file)
                        withExtendedLifetime(lock) {}
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "100")
    }

    @Test func `what cannot be locked is named`() {
        let error = #expect(throws: HoneError.self) { try FileLock.waiting(forFolder: "/nonexistent/folder") }
        #expect(error?.file == "/nonexistent/folder")
        #expect(throws: HoneError.self) { try FileLock.claim("/nonexistent/folder/claim") }
    }
}
