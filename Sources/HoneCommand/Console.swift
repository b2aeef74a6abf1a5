import Foundation
import Hone
import HoneFormats
import Synchronization

/// What the verbs have in common when they speak.
enum Console {
    private static let loss = Mutex<String?>(nil)

    /// Why standard output has not taken all that was written to it; nil where it has, and where its reader went away.
    static var lostOutput: String? { loss.withLock { $0 } }

    /// Writes bytes to standard output. What it does not take, on a full disk for example, makes the command fail at its end.
    static func write(_ bytes: some Sequence<UInt8>) {
        do {
            try FileHandle.standardOutput.write(contentsOf: Data(bytes))
        } catch {
            let number = ((error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError)?.code ?? Int(EIO)
            if number == EPIPE { return }
            loss.withLock { $0 = $0 ?? String(cString: strerror(Int32(number))) }
        }
    }

    /// Writes text to standard output as it is.
    static func write(_ text: String) { write(text.utf8) }

    /// Writes text to standard error as it is.
    static func note(_ text: String) { try? FileHandle.standardError.write(contentsOf: Data(text.utf8)) }

    /// Takes the place of standard streams that are closed, lest a file of a run should become one of them: a stream that can
    /// neither be read nor written, as the closed one.
    static func fillClosedStreams() {
        for (stream, mode) in [(0, O_WRONLY), (1, O_RDONLY), (2, O_RDONLY)] where fcntl(Int32(stream), F_GETFD) == -1 {
            _ = open("/dev/null", mode)
        }
    }

    /// Writes a line to standard output.
    static func print(_ text: String) { write(text + "\n") }

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
    static func error(_ text: String) { note("hone: \(text)\n") }

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
