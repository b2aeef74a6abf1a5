import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneText

/// `hone tokenize`
struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Shows the tokens that a model makes of text.",
        discussion: """
            Text comes from the arguments, from a file of lines, or from a file with one JSON string a line. Special tokens \
            in the text stay text unless it is trusted.

              hone tokenize MODEL "my card is stuck"
              hone tokenize tokenizer.json --lines texts.txt --json > ids.jsonl
              hone tokenize openai-community/gpt2 "my card is stuck"
            """)

    @Argument(help: ArgumentHelp("A model's folder, its name on the Hub, or a tokenizer.json.", valueName: "model"))
    var model: String
    @Argument(help: "Texts.") var texts: [String] = []
    @Option(help: "A file with one text a line.") var lines: String?
    @Option(help: ArgumentHelp("A file with one JSON string a line.", valueName: "file")) var strings: String?
    @Option(help: ArgumentHelp("The most tokens of a text.", valueName: "tokens")) var limit: Int?
    @Flag(help: "Text such as `<|end|>` becomes the special token of that name.") var trusted = false
    @Flag(help: "Leave out the special tokens around a text.") var plain = false
    @Flag(help: "Also say where each token stands, in characters.") var offsets = false
    @Flag(help: "Also turn the tokens back into text.") var decode = false
    @Flag(help: "Print one JSON object for each text.") var json = false
    @Flag(help: "Print only how long encoding takes on one thread, the best of five times.") var time = false

    func run() throws {
        let texts = try allTexts()
        let tokenizer = try named()
        if time { return measure(tokenizer, texts) }
        var output: [UInt8] = []
        for text in texts {
            let encoding = tokenizer.encoding(
                text, addSpecialTokens: !plain, trusted: trusted, maximumLength: limit, offsets: offsets)
            if json { append(encoding, tokenizer, to: &output) } else { show(encoding, tokenizer) }
            if output.count > 1 << 20 { write(&output) }
        }
        write(&output)
    }

    /// The tokenizer of a file, a folder, or a model of the Hub.
    private func named() throws -> Tokenizer {
        if FileStatus.isFolder(model) { return try Tokenizer(folder: model) }
        if FileStatus.exists(model) { return try Tokenizer(file: model) }
        return try Tokenizer(folder: NamedModel.location(model, hub: DownloadVoice.client(quiet: false)).folder)
    }

    private func allTexts() throws -> [String] {
        var texts = texts
        if let lines {
            var rows = try FileBytes.read(lines).split(separator: 0x0A, omittingEmptySubsequences: false)
            if rows.last?.isEmpty == true { rows.removeLast() }
            // Bytes that are no UTF-8 become replacement characters.
            texts += rows.map { String(decoding: $0, as: UTF8.self) }
        }
        if let strings {
            for (index, line) in try FileBytes.read(strings).split(separator: 0x0A).enumerated() {
                guard let text = try JSON.parse(line: line, number: index + 1, file: strings).string else {
                    throw HoneError(.badFile, "should hold one JSON string a line", file: strings, line: index + 1)
                }
                texts.append(text)
            }
        }
        if texts.isEmpty { throw HoneError(.usage, "there is no text; give some, or --lines or --strings") }
        return texts
    }

    private func show(_ encoding: Encoding, _ tokenizer: Tokenizer) {
        for (index, id) in encoding.ids.enumerated() {
            let place =
                encoding.offsets.isEmpty ? "" : "\t\(encoding.offsets[index].start)–\(encoding.offsets[index].end)"
            Console.print("\(id)\t\(tokenizer.token(id) ?? "")\(place)")
        }
        if decode { Console.print(tokenizer.decode(encoding.ids)) }
    }

    /// Appends `{"ids":[…],"offsets":[…],"text":"…"}`; the offsets are starts and ends in turn.
    private func append(_ encoding: Encoding, _ tokenizer: Tokenizer, to output: inout [UInt8]) {
        output += #"{"ids":["#.utf8
        output += encoding.ids.map(String.init).joined(separator: ",").utf8
        if offsets {
            output += #"],"offsets":["#.utf8
            output += encoding.offsets.map { "\($0.start),\($0.end)" }.joined(separator: ",").utf8
        }
        output += "]".utf8
        if decode {
            output += #","text":"#.utf8
            output += JSON.string(tokenizer.decode(encoding.ids)).text().utf8
        }
        output += "}\n".utf8
    }

    private func write(_ output: inout [UInt8]) {
        Console.write(output)
        output.removeAll(keepingCapacity: true)
    }

    private func measure(_ tokenizer: Tokenizer, _ texts: [String]) {
        let clock = ContinuousClock()
        let bytes = texts.reduce(0) { $0 + $1.utf8.count }
        var best = Duration.seconds(Int64.max / 2)
        var tokens = 0
        for _ in 0..<5 {
            let taken = clock.measure {
                tokens = tokenizer.encode(texts, addSpecialTokens: !plain, trusted: trusted).reduce(0) { $0 + $1.count }
            }
            best = min(best, taken)
        }
        let seconds = Double(best.components.seconds) + Double(best.components.attoseconds) * 1e-18
        let report: JSON = [
            "texts": .integer(texts.count), "bytes": .integer(bytes), "tokens": .integer(tokens),
            "seconds": .number(seconds),
        ]
        Console.print(report.text())
    }
}
