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
            let ids = tokenizer.encode(line, trusted: true)
            #expect(ids == expected["ids"]?.integers, "\(name): \(line.debugDescription)")
            let wanted = expected["ids"]?.integers ?? []
            let text = try #require(expected["text"]?.string)
            #expect(tokenizer.decode(wanted).utf8.elementsEqual(text.utf8), "\(name): \(line.debugDescription)")
            let all = try #require(expected["all"]?.string)
            #expect(tokenizer.decode(wanted, skipSpecialTokens: false).utf8.elementsEqual(all.utf8))
        }
        #expect(tokenizer.encode(lines, trusted: true) == expected.map { $0["ids"]?.integers ?? [] })
    }

    @Test("offsets equal the reference's, and asking for them changes nothing else", arguments: Fixtures.names)
    func offsetsEqualReference(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let expected = try Fixtures.jsonLines(path: Fixtures.path("\(name).expected.jsonl"))
        var compared = 0
        for (line, expected) in zip(try Fixtures.lines(), expected) {
            guard let offsets = expected["offsets"]?.offsets else { continue }
            let encoding = tokenizer.encoding(line, trusted: true, offsets: true)
            #expect(encoding.ids == expected["ids"]?.integers)
            #expect(encoding.offsets == offsets, "\(name): \(line.debugDescription)")
            #expect(encoding.textIndices.count == encoding.ids.count || encoding.ids.isEmpty)
            compared += 1
        }
        #expect(compared > 100)
    }

    @Test("special tokens in text that is not trusted are text, as in the reference", arguments: Fixtures.names)
    func untrusted(name: String) throws {
        let tokenizer = try Fixtures.tokenizer(name)
        let expected = try Fixtures.jsonLines(path: Fixtures.path("\(name).expected.jsonl"))
        var differing = 0
        for (line, expected) in zip(try Fixtures.lines(), expected) {
            let wanted = expected["untrusted"]?.integers ?? expected["ids"]?.integers ?? []
            let ids = tokenizer.encode(line)
            let special = Set(tokenizer.pipeline.added.specialIds)
            let unknown = tokenizer.pipeline.model.unknownId
            // The reference's Unigram model turns text into special tokens even so; that is where Hone differs.
            let around = tokenizer.encode("").filter { $0 != unknown }.count
            let forged = wanted.filter { special.contains($0) && $0 != unknown }.count > around
            if forged { differing += 1 } else { #expect(ids == wanted, "\(name): \(line.debugDescription)") }
            #expect(ids.filter { special.contains($0) && $0 != unknown }.count == around, "\(line.debugDescription)")
        }
        #expect(differing == 0 || ["t5", "unigram"].contains(name))
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
            let side = try #require(example["side"]?.string.flatMap(TruncationSide.init))
            let strategy = try #require(example["strategy"]?.string.flatMap(TruncationStrategy.init))
            let pair = tokenizer.encodePair(
                first, second, trusted: true, maximumLength: limit, side: side, strategy: strategy, offsets: true)
            if let ids = example["ids"]?.integers {
                #expect(pair.ids == ids, "\(first.debugDescription), \(second.debugDescription)")
                #expect(pair.typeIds == example["types"]?.integers)
                #expect(pair.offsets == example["offsets"]?.offsets)
            } else {
                // The reference gives up where the text that may be cut is too short.
                #expect(strategy != .longestFirst && pair.ids.count >= limit)
            }
            if pair.isTruncated { truncated += 1 }
            let single = tokenizer.encoding(first, trusted: true, maximumLength: limit, side: side)
            #expect(single.ids == example["single"]?.integers)
            #expect(single.isTruncated == (tokenizer.encode(first, trusted: true).count > limit))
        }
        #expect(truncated > 0)
    }
}
