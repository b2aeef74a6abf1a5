import Foundation
import Hone
import HoneFormats

/// What the verbs have in common when they speak.
enum Console {
    /// Writes text as it is.
    static func write(_ text: String, to handle: FileHandle) {
        try? handle.write(contentsOf: Data(text.utf8))
    }

    /// Writes a line to standard output.
    static func print(_ text: String) { write(text + "\n", to: .standardOutput) }

    /// All of standard input.
    ///
    /// - Throws: `HoneError` where it cannot be read (it may be a folder, or closed) or is not UTF-8.
    static func standardInput() throws -> String {
        let place = "standard input"
        let bytes: Data
        do {
            bytes = try FileHandle.standardInput.readToEnd() ?? Data()
        } catch {
            throw HoneError(
                .fileSystem, "cannot be read; give texts as arguments, in a file or through a pipe", file: place)
        }
        guard let text = String(data: bytes, encoding: .utf8) else {
            throw HoneError(.badFile, "is not UTF-8 text", file: place)
        }
        return text
    }

    /// The lines of standard input that are not blank.
    static func standardInputLines() throws -> [String] { TextFile.lines(try standardInput()) }

    /// Writes an error's sentence to standard error.
    static func error(_ text: String) { write("hone: \(text)\n", to: .standardError) }

    /// Writes one JSON object to standard output.
    static func print(json: JSON) { print(json.text(pretty: true)) }
}

/// Versions in words.
enum Version {
    /// Hone's version.
    static var text: String { honeVersion }
}

/// A time span as people type it: `90s`, `15m`, `1h`, or plain seconds.
enum TimeSpan {
    /// The seconds of a text.
    ///
    /// - Throws: `HoneError` with code `.usage` that says how to write one.
    static func seconds(_ text: String, option: String) throws -> Double {
        let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600]
        var digits = Substring(text)
        var factor = 1.0
        if let last = text.last, let unit = units[last] {
            factor = unit
            digits = text.dropLast()
        }
        guard let value = Double(digits), value > 0, value.isFinite, value * factor < 1e8 else {
            throw HoneError(.usage, "`\(text)` is no time span; write 90s, 15m or 1h", item: option)
        }
        return value * factor
    }

    /// A span in words.
    static func text(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        if whole < 120 { return "\(whole) s" }
        if whole < 7200 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }
}
