import Foundation
import HoneFormats
import Testing

@testable import HoneText

@Suite struct StageTests {
    @Test("the four Unicode forms equal the reference's")
    func unicodeForms() throws {
        let forms: [(String, UnicodeForm)] = [
            ("NFC", .composed), ("NFD", .decomposed), ("NFKC", .compatiblyComposed), ("NFKD", .compatiblyDecomposed),
        ]
        let cases = try Fixtures.jsonLines(path: Fixtures.path("forms.jsonl"))
        #expect(cases.count > 300)
        for example in cases {
            let text = try #require(example["text"]?.string)
            for (name, form) in forms {
                var formed = AlignedText(Array(text.utf8), tracks: false)
                form.apply(to: &formed)
                let expected = Array((example[name]?.string ?? text).utf8)
                #expect(
                    formed.bytes == expected, "\(name) of \(text.unicodeScalars.map { String($0.value, radix: 16) })")
            }
        }
    }

    private func pieces(_ text: String, _ json: String) throws -> [String] {
        let component = Component(try JSON.parse(json), file: "made", place: "pre_tokenizer")
        var pieces = Pieces()
        pieces.reset(to: AlignedText(Array(text.utf8), tracks: false), isAtStart: true)
        try PreTokenizer(component).apply(to: &pieces, keepsBytes: false)
        return pieces.ranges.map { String(decoding: pieces.bytes[$0.start..<$0.end], as: UTF8.self) }
    }

    @Test(
        "delimiters are removed, isolated or merged as asked",
        arguments: [
            ("Removed", ["the", "final", "countdown"]), ("Isolated", ["the", "-", "final", "-", "-", "countdown"]),
            ("MergedWithPrevious", ["the-", "final-", "-", "countdown"]),
            ("MergedWithNext", ["the", "-final", "-", "-countdown"]),
            ("Contiguous", ["the", "-", "final", "--", "countdown"]),
        ])
    func delimiters(behavior: String, expected: [String]) throws {
        for pattern in [#"{"String":"-"}"#, #"{"Regex":"-"}"#] {
            let split = #"{"type":"Split","pattern":\#(pattern),"behavior":"\#(behavior)","invert":false}"#
            #expect(try pieces("the-final--countdown", split) == expected)
        }
        let punctuation = #"{"type":"Punctuation","behavior":"\#(behavior)"}"#
        #expect(try pieces("the-final--countdown", punctuation) == expected)
    }

    @Test("an inverted split keeps the matches")
    func invertedSplit() throws {
        let split = #"{"type":"Split","pattern":{"Regex":"[a-z]+"},"behavior":"Removed","invert":true}"#
        #expect(try pieces("ab 12 c\u{1F600}d", split) == ["ab", "c", "d"])
    }

    @Test(
        "hand-written scanners split as the regular expressions do",
        arguments: [
            #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
            #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#,
        ])
    func scanners(pattern: String) throws {
        let scanner = try #require(WordScanner(pattern: pattern))
        // The same pattern, written so that it is not recognised.
        let component = Component(.null, file: "made", place: "pattern")
        let expression = try RegularExpression("(?:\(pattern))", component)
        var generator = SeededGenerator(seed: 41)
        let alphabet = Array(" \n\r\t'’sStTrReEvVmMlLdD09½٣a\u{E9}Z中\u{301}!.,-_\u{A0}\u{2003}\u{85}😀")
        for _ in 0..<1500 {
            let count = Int.random(in: 0...14, using: &generator)
            let text = String((0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] })
            let bytes = Array(text.utf8)
            let scanned = TextPattern.words(scanner).matches(in: bytes, 0, bytes.count)
            #expect(scanned == expression.matches(in: bytes, 0, bytes.count), "\(text.debugDescription)")
        }
    }

    @Test("merging by scanning and by heap give the same")
    func mergesAlike() throws {
        let tokenizer = try Fixtures.tokenizer("gpt2")
        guard case .bytePair(let model) = tokenizer.pipeline.model else {
            Issue.record("not byte-pair encoding")
            return
        }
        let lines = try Fixtures.lines().filter { $0.utf8.count > 2 }
        for line in lines {
            var short = BytePairScratch()
            // Any printable ASCII characters do, and each has a token.
            short.symbols = line.utf8.map { model.vocabulary.table.id([$0 % 94 + 33]) }
            var long = short
            short.merge(model.merges, scanLimit: .max)
            long.merge(model.merges, scanLimit: 0)
            #expect(short.symbols == long.symbols)
        }
    }
}

/// A small generator of repeatable random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
