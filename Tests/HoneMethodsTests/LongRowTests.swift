import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTesting
import Testing

/// What becomes of rows that are longer than may be.
@Suite struct LongRowTests {
    private let model: BaseModel
    private let prompt = "we see one big old apple and one saw and the red file:"

    init() throws {
        model = try TinyModel.gpt2.load(in: TemporaryFolder())
    }

    private func row(_ prompt: String, _ completion: String?) -> Example {
        Example(
            index: 0, file: "rows.jsonl", line: 1, input: .prompt(prompt),
            target: completion.map { .completion($0) } ?? .unknown)
    }

    private func encoder(_ length: Int, marks: Bool = true, preamble: String = "") throws -> ExampleEncoder {
        try ExampleEncoder(
            model, options: .init(maximumLength: length, marksCompletions: marks), preamble: preamble)
    }

    private func targets(_ row: EncodedExample) -> [Int] { row.targets.flatMap { row.ids[$0] } }

    @Test func `a marked row that is too long loses the beginning of its prompt, not its start token or answer`() throws
    {
        let whole = try encoder(90).encode(row(prompt, " plum"))
        let cut = try encoder(whole.ids.count - 5).encode(row(prompt, " plum"))
        #expect(!whole.isTruncated && cut.isTruncated)
        #expect(targets(cut) == targets(whole))
        let start = try model.tokenizer.bosId.map { [$0] } ?? []
        #expect(cut.ids == start + whole.ids.dropFirst(start.count + 5))
        let asked = try encoder(8).prompt(row(prompt, nil))
        #expect(asked == start + (try encoder(90).prompt(row(prompt, nil))).suffix(8 - start.count))
    }

    @Test func `a row that is taken as it stands loses its end`() throws {
        let whole = try encoder(90, marks: false).encode(row(prompt, " plum"))
        let cut = try encoder(whole.ids.count - 2, marks: false).encode(row(prompt, " plum"))
        #expect(cut.ids == whole.ids.dropLast(2) && cut.isTruncated)
        #expect(targets(cut) == targets(whole).dropLast(2))
    }

    @Test func `an answer as long as the row may be keeps one token to predict it from`() throws {
        let long = try encoder(8).encode(row(prompt, prompt))
        #expect(long.ids.count == 8 && long.targets == [1..<8])
    }

    @Test(arguments: [true, false], [1, 2, 6, 12, 20, 40, 90])
    func `worked examples before a row never change its targets`(marks: Bool, length: Int) throws {
        let preamble = String(repeating: "the big plum: red\n\n", count: 12)
        for completion in [" plum", " " + prompt, ""] {
            let alone = try encoder(length, marks: marks).encode(row(prompt, completion))
            let shown = try encoder(length, marks: marks, preamble: preamble).encode(row(prompt, completion))
            #expect(targets(shown) == targets(alone))
            #expect(shown.ids.count <= model.maximumLength)
            #expect(shown.ids.count > alone.ids.count)
            #expect(alone.ids.count <= length)
        }
    }
}
