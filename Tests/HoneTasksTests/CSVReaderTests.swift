import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct CSVReaderTests {
    @Test func `reads quoted separators, line breaks and doubled quotes, and knows where rows start`() throws {
        let rows = try table("text,label\n\"a, b\",x\n\"two\nlines\",y\n\"she said \"\"no\"\"\",\"z\"\n,\n")
        #expect(rows.columns == ["text", "label"])
        #expect(strings(rows) == [["a, b", "x"], ["two\nlines", "y"], ["she said \"no\"", "z"], ["", ""]])
        #expect(rows.rows.map(\.line) == [2, 3, 5, 6])
        #expect(rows.row(1)["label"] == "y")
        #expect(rows.row(1)["nothing"] == .null)
    }

    @Test(arguments: ["\n", "\r\n", "\r"])
    func `reads every kind of line end, with and without one at the end`(end: String) throws {
        let lines = ["text,label", "one,x", "\"two\(end)lines\",y", "", "three,z"]
        for last in ["", end] {
            let rows = try table(lines.joined(separator: end) + last)
            #expect(strings(rows) == [["one", "x"], ["two\(end)lines", "y"], ["three", "z"]])
            #expect(rows.rows.map(\.line) == [2, 3, 6])
        }
    }

    @Test func `skips a UTF-8 mark and white space around names`() throws {
        #expect(try table("\u{FEFF}text , label\na,b\n").columns == ["text", "label"])
    }

    @Test(
        arguments: [
            ("a;b\n1,5;2\n", "rows.csv", Delimiter.semicolon), ("a,b\n1;2;3,4\n", "rows.csv", .comma),
            ("a\tb, c\n1\t2\n", "rows.csv", .tab), ("a,b\tc\n1,1\t2\n", "rows.tsv", .tab),
            ("a\n1\n", "rows.csv", .comma),
        ] as [(String, String, Delimiter)])
    func `finds the separator`(text: String, file: String, expected: Delimiter) {
        #expect(
            CSVReader.detect(Array(text.utf8), from: 0, file: file, limits: TableLimits()) == expected)
    }

    @Test func `takes quotes inside tab-separated fields as they are`() throws {
        #expect(strings(try table("a\tb\nsay \"no\"\t1\n", file: "rows.tsv")) == [["say \"no\"", "1"]])
    }

    @Test func `names an index column that has no name`() throws {
        #expect(try table(",text\n0,a\n").columns == ["column 1", "text"])
    }

    @Test func `keeps a field of ten megabytes`() throws {
        let long = String(repeating: "é,", count: 3_400_000)
        let rows = try table("text,label\n\"\(long)\",x\n")
        #expect(rows[0, 0].string?.utf8.count == long.utf8.count)
        #expect(rows[0, 1] == "x")
    }

    @Test func `refuses a row longer than the limit`() throws {
        var limits = TableLimits()
        limits.rowBytes = 20
        let reader = CSVReader(limits: limits)
        #expect(try reader.table(from: Array("t\n\"12345678901234567\"\nx".utf8), file: "f.csv").count == 2)
        let error = honeError {
            _ = try reader.table(from: Array("t\nok\n123456789012345678901\nx".utf8), file: "f.csv")
        }
        #expect(error?.description == "f.csv:3: the row is longer than 20 bytes")
        let quoted = honeError {
            _ = try reader.table(from: Array("t\nok\n\"12345678901234567890\n\n\nx".utf8), file: "f.csv")
        }
        #expect(quoted?.line == 3)
        #expect(quoted?.message.contains("quote opened on line 3") == true)
    }

    @Test func `a table gives back what any fields were written as`() throws {
        var generator = SeededGenerator(seed: 5, stream: "damage")
        let alphabet = Array("ab,;\t\"\n\r é🙂")
        for _ in 0..<300 {
            let fields = (0..<6).map { _ in
                String((0..<generator.next(below: 6)).map { _ in alphabet[generator.next(below: alphabet.count)] })
            }
            let quoted = fields.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
            let text =
                "a,b\n"
                + stride(from: 0, to: 6, by: 2).map { quoted[$0] + "," + quoted[$0 + 1] }.joined(separator: "\n")
            let read = try CSVReader(delimiter: .comma).table(from: Array(text.utf8), file: "f.csv")
            #expect(strings(read).flatMap { $0 } == fields)
        }
    }
}
