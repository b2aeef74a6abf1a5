import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct JSONLinesReaderTests {
    @Test func `reads objects, skips blank lines and a UTF-8 mark`() throws {
        let rows = try table(
            "\u{FEFF}{\"a\": 1, \"b\": \"x\"}\r\n\n  \n{\"b\": \"y\", \"c\": null}\n", file: "rows.jsonl")
        #expect(rows.columns == ["a", "b", "c"])
        #expect(rows.rows.map(\.line) == [1, 4])
        #expect(rows.row(0).values == [1, "x", .null])
        #expect(rows.row(1).values == [.null, "y", .null])
    }

    @Test func `reads an array of objects over any lines`() throws {
        let text = """
            [
              {"a": "x]},", "b": [1, {"c": 2}]},
              {
                "a": "quote \\" here"
              }
            ]
            """
        let rows = try table(text, file: "rows.json")
        #expect(rows.rows.map(\.line) == [2, 3])
        #expect(rows[0, 0] == "x]},")
        #expect(rows[0, 1] == [1, ["c": 2]])
        #expect(rows[1, 0] == "quote \" here")
    }

    @Test func `reads JSON Lines under the name of JSON`() throws {
        #expect(try table("{\"a\": 1}\n{\"a\": 2}\n", file: "rows.json").count == 2)
    }

    @Test func `keeps its memory proportional to the file where each row has a key of its own`() throws {
        let text = (0..<3_000).map { "{\"k\($0)\": \($0)}" }.joined(separator: "\n")
        let rows = try table(text, file: "rows.jsonl")
        #expect(rows.columns.count == 3_000)
        #expect(rows[2_999, 2_999] == 2_999)
        #expect(rows[2_999, 0] == .null)
    }

    @Test func `refuses a line longer than the limit`() throws {
        var limits = TableLimits()
        limits.rowBytes = 30
        let text = "{\"a\": 1}\n{\"a\": \"" + String(repeating: "x", count: 40) + "\"}\n"
        let error = honeError {
            _ = try JSONLinesReader(limits: limits).table(from: Array(text.utf8), file: "f.jsonl")
        }
        #expect(error?.description == "f.jsonl:2: the line is longer than 30 bytes")
    }
}
