import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct ScoringRowTests {
    private func row(_ text: String) throws -> ScoringRow {
        let table = try JSONLinesReader().table(from: Array((text + "\n").utf8), file: "rows.jsonl")
        return try #require(ScoringRow.rows(of: table).first)
    }

    @Test("an answer is a choice, its number or its letter", arguments: ["1", "\"1\"", "\"B\"", "\"no\""])
    func answers(answer: String) throws {
        #expect(try row(#"{"question": "q", "choices": ["yes", "no"], "answer": \#(answer)}"#).answer == 1)
    }

    @Test func `an answer that is a choice is that choice, whatever else it could mean`() throws {
        #expect(try row(#"{"prompt": "q", "choices": ["1", "0", "A"], "gold": "0"}"#).answer == 1)
        #expect(try row(#"{"prompt": "q", "choices": ["1", "0", "A"], "gold": "A"}"#).answer == 2)
        #expect(try row(#"{"prompt": "q", "choices": ["1", "0", "A"], "gold": null}"#).answer == nil)
        for wrong in ["2.5", "-1", "3", "\"D\"", "\"\"", "[]"] {
            #expect(throws: HoneError.self) {
                try row(#"{"prompt": "q", "choices": ["1", "0", "A"], "gold": \#(wrong)}"#)
            }
        }
    }

    @Test func `a file may hold questions and completions`() throws {
        let text = #"{"prompt": "a", "completion": " b"}"# + "\n" + #"{"prompt": "c", "choices": [" d"]}"# + "\n"
        let rows = try ScoringRow.rows(of: JSONLinesReader().table(from: Array(text.utf8), file: "rows.jsonl"))
        #expect(rows.map(\.isChoice) == [false, true] && rows.map(\.continuations) == [[" b"], [" d"]])
        #expect(rows.map(\.line) == [1, 2])
    }
}
