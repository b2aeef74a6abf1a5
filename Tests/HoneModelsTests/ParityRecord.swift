import Foundation
import HoneFormats

/// Keeps what the comparisons measured, a JSON line each, in the file that `HONE_PARITY_RECORD` names;
/// `Scripts/model-families` makes the table of the documentation from it.
enum ParityRecord {
    private static let file = ProcessInfo.processInfo.environment["HONE_PARITY_RECORD"]
    private static let lock = NSLock()

    /// Notes a difference of a fixture from its reference.
    static func add(_ fixture: String, _ quantity: String, _ difference: Double) {
        guard let file else { return }
        let line: JSON = [
            "fixture": .string(fixture), "quantity": .string(quantity), "difference": .number(difference),
        ]
        lock.withLock {
            let old = (try? Data(contentsOf: URL(filePath: file))) ?? Data()
            try? (old + Data((line.text() + "\n").utf8)).write(to: URL(filePath: file))
        }
    }
}
