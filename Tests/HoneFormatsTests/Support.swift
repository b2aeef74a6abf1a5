import Foundation
import HoneFormats
import Testing

/// The path of a fixture.
func fixture(_ name: String, file: String = #filePath) -> String {
    URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Fixtures/\(name)").path
}

/// Runs a closure with a new empty folder, which is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("hone-tests-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// Writes bytes without the care of `AtomicFile`, which is under test.
func put(_ bytes: [UInt8], at path: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

/// The error that a closure throws; records an issue where it throws none, or one of another type.
func refusal<Value>(
    _ body: () throws -> Value, sourceLocation: SourceLocation = #_sourceLocation
) -> HoneError? {
    do {
        let value = try body()
        Issue.record("accepted as \(value)", sourceLocation: sourceLocation)
    } catch let error as HoneError {
        return error
    } catch {
        Issue.record("threw \(error), which is no HoneError", sourceLocation: sourceLocation)
    }
    return nil
}

/// Expects a closure to throw a `HoneError` whose message contains words.
///
/// A function of its own rather than a closure inside `#expect`: where both stand in one enclosing closure, a closure
/// inside of a macro and one outside get the same symbol (Swift 6.3.1), and the first runs in place of the second.
func expectRefusal<Value>(
    _ words: String = "", _ code: HoneError.Code? = nil, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () throws -> Value
) {
    guard let error = refusal(body, sourceLocation: sourceLocation) else { return }
    #expect(error.message.contains(words) || words.isEmpty, sourceLocation: sourceLocation)
    if let code { #expect(error.code == code, sourceLocation: sourceLocation) }
}

/// What a closure throws to see that its error passes through.
struct Stop: Error {}

/// Expects a closure to throw `Stop`.
func expectStop<Value>(sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Value) {
    do {
        _ = try body()
        Issue.record("threw nothing", sourceLocation: sourceLocation)
    } catch {
        if !(error is Stop) { Issue.record("threw \(error)", sourceLocation: sourceLocation) }
    }
}

/// SplitMix64: small, seedable, the same on every machine.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
