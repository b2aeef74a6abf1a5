import HoneFormats
import Testing

@testable import HoneTasks

/// Random damage to good files: reading gives a table or an error with its place, and never traps.
@Suite struct MutationTests {
    private static let pieces: [[UInt8]] = [
        "\"", "\"\"", ",", "\n", "\r", "\r\n", "\t", ";", "{", "}", "[", "]", ":", "\\", "\\u", "\\ud800", "null",
        "1e999",
        "-", "- ", "? ", "&a ", "*a ", "!!", "|", ">", "%", "#", "---", "\u{FEFF}", "é", "🙂", "\u{2028}", "<<: ", "'",
        "~",
        "9223372036854775808", "true", "\u{0}",
    ].map { Array($0.utf8) }

    /// The bytes with one to three pieces of damage: flipped, removed, repeated, inserted.
    private func damaged(_ original: [UInt8], _ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = original
        for _ in 0...generator.next(below: 3) where !bytes.isEmpty {
            let place = generator.next(below: bytes.count)
            let length = min(generator.next(below: 12), bytes.count - place)
            switch generator.next(below: 5) {
            case 0: bytes[place] = UInt8(generator.next(below: 256))
            case 1: bytes.removeSubrange(place..<(place + length))
            case 2: bytes.insert(contentsOf: bytes[place..<(place + length)], at: place)
            case 3: bytes.insert(contentsOf: Self.pieces[generator.next(below: Self.pieces.count)], at: place)
            default: bytes.removeLast(generator.next(below: bytes.count / 4 + 1))
            }
        }
        return bytes
    }

    /// Reads damaged copies of a file; returns how many were read and how many refused.
    private func run(
        _ text: String, seed: UInt64, count: Int = 10_000, _ read: ([UInt8]) throws -> Void
    ) throws -> (read: Int, refused: Int) {
        var generator = SeededGenerator(seed: seed, stream: "damage")
        var result = (read: 0, refused: 0)
        for _ in 0..<count {
            do {
                try read(damaged(Array(text.utf8), &generator))
                result.read += 1
            } catch let error as HoneError {
                #expect(error.file == "f", "\(error)")
                result.refused += 1
            }
        }
        return result
    }

    @Test func `damaged CSV`() throws {
        let text = "text,label\n\"a, \"\"b\"\"\",x\n\"two\r\nlines\",y\nplain é,z\n"
        let outcome = try run(text, seed: 1) { bytes in
            let table = try CSVReader().table(from: bytes, file: "f")
            #expect(table.rows.allSatisfy { $0.values.count == table.columns.count })
            #expect(zip(table.rows, table.rows.dropFirst()).allSatisfy { $0.line < $1.line })
        }
        #expect(outcome.read > 500 && outcome.refused > 500)
    }

    @Test func `damaged JSON Lines`() throws {
        let text =
            "{\"text\": \"a \\u00e9 \\\"b\\\"\", \"label\": 1}\n{\"text\": [1, {\"x\": null}], \"label\": -2.5e3}\n"
        let outcome = try run(text, seed: 2) { bytes in
            let table = try JSONLinesReader().table(from: bytes, file: "f")
            #expect(table.rows.allSatisfy { $0.values.count == table.columns.count })
        }
        #expect(outcome.read > 500 && outcome.refused > 500)
    }

    @Test func `damaged JSON arrays`() throws {
        let outcome = try run("[\n{\"a\": \"x]},\"},\n{\"a\": [1, {\"b\": 2}]}\n]\n", seed: 3, count: 5_000) { bytes in
            _ = try JSONLinesReader().table(from: bytes, file: "f")
        }
        #expect(outcome.read > 200 && outcome.refused > 200)
    }

    @Test func `damaged YAML`() throws {
        let text = """
            kind: classification
            columns: {text: body, label: team}
            labels:
              - a
              - "b c"
            splits: {validation: 0.1}
            seed: 3
            """
        let outcome = try run(text, seed: 4) { _ = try TaskDefinition(yaml: $0, file: "f") }
        #expect(outcome.read > 500 && outcome.refused > 500)
    }

    @Test func `damaged tables from detection to splits`() throws {
        let rows = (0..<12).map { "text \($0),\($0 % 3),\($0)" }.joined(separator: "\n")
        var generator = SeededGenerator(seed: 5, stream: "damage")
        let folder = try TemporaryFolder()
        var outcome = (read: 0, refused: 0)
        for _ in 0..<500 {
            let path = try folder.write("f.csv", damaged(Array("text,label,id\n\(rows)\n".utf8), &generator))
            do {
                let data = try TaskData.load(path: path)
                let all = data.split.train + data.split.validation + data.split.test
                #expect(all.allSatisfy { data.kind == .generation || data.labels.indices.contains($0.label ?? -1) })
                #expect(Set(all.map(\.index)).count == all.count)
                outcome.read += 1
            } catch let error as HoneError {
                #expect(error.file == path, "\(error)")
                outcome.refused += 1
            }
        }
        #expect(outcome.read > 50 && outcome.refused > 50)
    }
}
