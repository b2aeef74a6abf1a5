import Foundation
import HoneFormats

/// A folder of its own for a test, removed with everything in it when the last reference goes.
public final class TemporaryFolder: Sendable {
    /// Where it is.
    public let path: String

    /// A new empty folder.
    ///
    /// - Throws: `HoneError` where it cannot be made.
    public init() throws {
        let place = FileManager.default.temporaryDirectory.appendingPathComponent("hone-test-\(UUID().uuidString)")
        path = place.path
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw HoneError(.fileSystem, "the temporary folder cannot be made", file: path)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// The path of a new empty folder inside.
    public func folder(_ name: String) throws -> String {
        let inner = path + "/" + name
        do {
            try FileManager.default.createDirectory(atPath: inner, withIntermediateDirectories: true)
        } catch {
            throw HoneError(.fileSystem, "the temporary folder cannot be made", file: inner)
        }
        return inner
    }
}
