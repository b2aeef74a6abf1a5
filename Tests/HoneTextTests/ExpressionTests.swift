import HoneFormats
import HoneTesting
import Testing

@testable import HoneText

@Suite struct ExpressionTests {
    private func pieces(_ text: String, _ pattern: String) throws -> [Int] {
        let value: JSON = [
            "type": "Split", "pattern": ["Regex": .string(pattern)], "behavior": "Isolated",
            "invert": false,
        ]
        var pieces = Pieces()
        pieces.reset(to: AlignedText(Array(text.utf8), tracks: false), isAtStart: true)
        try PreTokenizer(Component(value, file: "made", place: "pre_tokenizer")).apply(
            to: &pieces, keepsBytes: false)
        return pieces.ranges.map {
            String(decoding: pieces.bytes[..<$0.end], as: UTF8.self).unicodeScalars.count
        }
    }

    @Test("matches where the reference's engine matches")
    func equalsReference() throws {
        let cases = try Fixtures.jsonLines(path: Fixtures.path("expressions.jsonl"))
        #expect(cases.count > 60)
        for example in cases {
            let pattern = try #require(example["pattern"]?.string)
            for (text, ends) in zip(example["texts"]?.array ?? [], example["pieces"]?.array ?? []) {
                let text = try #require(text.string)
                #expect(
                    try pieces(text, pattern) == ends.integers, "\(pattern) in \(text.debugDescription)")
            }
        }
    }

    @Test(
        "what cannot be used is refused with a reason",
        arguments: [
            "(", ")", "[", "[a", "a**b{2}{3}{4}{5}{6}", "*a", #"\"#, #"(a)\1"#, #"\p{Han}"#, #"\p{L"#,
            #"\q"#, "(?x:a)",
            "(?<=a*)b", "a{99999}", "a{3,2}", "[z-a]", #"\x{110000}"#, #"\ud800"#,
            "(((a{100}){100}){100}){100}", "(?<a", "(?",
            "[[:nothing:]]", String(repeating: "(", count: 1000), String(repeating: "[", count: 1000),
            String(repeating: "a", count: 20_000),
        ])
    func refusals(pattern: String) {
        let component = Component(.null, file: "made", place: "pattern")
        #expect(throws: HoneError.self) { try RegularExpression(pattern, component) }
    }

    @Test(
        "patterns that could take forever end soon",
        arguments: [
            "(a+)+$", "(a|a)*b", "(a*)*b", "((a?){30}){30}b", "(?:a+)+(?=c)", "(.*)*(.*)*x",
            "(?<!a{500})b", "(a|aa)+$",
        ])
    func bounded(pattern: String) throws {
        let expression = try RegularExpression(
            pattern, Component(.null, file: "made", place: "pattern"))
        let text = Array(String(repeating: "a", count: 500).utf8)
        let start = ProcessorTime.seconds
        _ = expression.matches(in: text, 0, text.count)
        #expect(ProcessorTime.seconds - start < 10)
    }
}
