import Foundation
import HoneFormats
import Testing

@testable import HoneText

@Suite struct ReferenceTests {
    @Test("ids and decoded texts equal the reference's, line by line", arguments: Fixtures.names)
    func equalsReference(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let lines = try Fixtures.lines()
        let expected = try Fixtures.jsonLines(path: Fixtures.path("\(name).expected.jsonl"))
        #expect(lines.count == expected.count && lines.count > 300)
        for (line, expected) in zip(lines, expected) {
            let ids = tokenizer.encode(line)
            #expect(ids == expected["ids"]?.integers, "\(name): \(line.debugDescription)")
            let wanted = expected["ids"]?.integers ?? []
            let text = try #require(expected["text"]?.string)
            #expect(tokenizer.decode(wanted).utf8.elementsEqual(text.utf8), "\(name): \(line.debugDescription)")
            let all = try #require(expected["all"]?.string)
            #expect(tokenizer.decode(wanted, skipSpecialTokens: false).utf8.elementsEqual(all.utf8))
        }
        #expect(tokenizer.encode(lines) == expected.map { $0["ids"]?.integers ?? [] })
    }

    @Test("pairs and lengths are cut as the reference cuts them", arguments: Fixtures.names)
    func cutsLikeReference(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let cases = try Fixtures.jsonLines(path: Fixtures.path("pairs.jsonl")).filter {
            $0["tokenizer"]?.string == name
        }
        #expect(cases.count == 24)
        var truncated = 0
        for example in cases {
            let first = try #require(example["first"]?.string)
            let second = try #require(example["second"]?.string)
            let limit = try #require(example["limit"]?.integer)
            let pair = tokenizer.encodePair(first, second, maximumLength: limit)
            #expect(pair.ids == example["ids"]?.integers, "\(first.debugDescription), \(second.debugDescription)")
            #expect(pair.typeIds == example["types"]?.integers)
            if pair.isTruncated { truncated += 1 }
            let single = tokenizer.encoding(first, maximumLength: limit)
            #expect(single.ids == example["single"]?.integers)
            #expect(single.isTruncated == (tokenizer.encode(first).count > limit))
        }
        #expect(truncated > 0)
    }

    /// Compares with what Scripts/parity/tokenizer_parity.py wrote; see there.
    @Test(
        "every line of HONE_PARITY_LINES has the ids and the text that the reference gives",
        .enabled(if: ProcessInfo.processInfo.environment["HONE_PARITY_LINES"] != nil))
    func equalsReferenceOnLines() throws {
        let folder = try #require(ProcessInfo.processInfo.environment["HONE_PARITY_LINES"])
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        for name in names.filter({ $0.hasSuffix(".jsonl") }).sorted() {
            let path = folder + "/" + name
            var lines = try Fixtures.jsonLines(path: path)[...]
            let tokenizer = try Tokenizer(file: try #require(lines.popFirst()?["tokenizer"]?.string))
            var wrong = 0
            for line in lines {
                let text = try #require(line["line"]?.string)
                let ids = try #require(line["ids"]).integers
                let decoded = try #require(line["text"]?.string)
                if tokenizer.encode(text) != ids || !tokenizer.decode(ids).utf8.elementsEqual(decoded.utf8) {
                    wrong += 1
                    if wrong <= 5 { Issue.record("\(name): \(text.debugDescription)") }
                }
            }
            print("\(name): \(lines.count) lines compared, \(lines.count - wrong) equal")
            #expect(wrong == 0 && !lines.isEmpty)
        }
    }
}
