import Foundation
import HoneFormats
import Testing

@testable import HoneTasks

/// A folder that goes away with the test.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("hone-tasks-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and gives its path.
    @discardableResult
    func write(_ name: String, _ text: String) throws -> String { try write(name, Array(text.utf8)) }

    /// Writes a file and gives its path.
    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) throws -> String {
        let file = path + "/" + name
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        return file
    }
}

/// The `HoneError` that a piece of code throws; records a failure where it throws none.
func honeError(_ body: () throws -> Void, _ location: SourceLocation = #_sourceLocation) -> HoneError? {
    do {
        try body()
        Issue.record("nothing was thrown", sourceLocation: location)
    } catch let error as HoneError {
        return error
    } catch {
        Issue.record("not a HoneError: \(error)", sourceLocation: location)
    }
    return nil
}

/// The table in a text.
func table(_ text: String, file: String = "rows.csv") throws -> Table {
    try TableReader.table(from: Array(text.utf8), file: file)
}

/// The strings of a table, row by row.
func strings(_ table: Table) -> [[String]] { table.rows.map { row in row.values.map { $0.string ?? "?" } } }

/// The root of the package.
let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

extension SeededGenerator {
    /// A number from 0 to below a bound; 0 for a bound of 0.
    mutating func next(below bound: Int) -> Int { bound > 0 ? below(bound) : 0 }
}
