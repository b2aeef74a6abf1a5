import Foundation
import HoneFormats
import HoneText
import Testing

@testable import HoneModels

/// Text that comes token by token, with the tokenizers of the text module's fixtures.
struct WrittenTextTests {
    static let kinds = ["gpt2", "llama3", "sentencepiece", "wordpiece", "other"]
    static let folder = (Reference.fixtures as NSString).deletingLastPathComponent + "/../HoneTextTests/Fixtures/"

    private let lines = [
        "Once upon a time, there was a little girl.", "Été, déjà vu: naïve café — “quoted” …", "她昨天買了三本書。",
        "👩‍👩‍👧‍👦 family, 🇩🇪 flag, e\u{301} accent", "tabs\tand\nlines\r\n\n  spaces   ", "עברית ו‎العربية",
        "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \u{0} \u{7f} ﬁ",
        String(repeating: "long text with Ünïcödé and 漢字, ", count: 30),
    ]

    private func stream(_ ids: ArraySlice<Int>, after prompt: [Int], _ tokenizer: Tokenizer, stops: [String] = []) -> (
        pieces: [String], written: WrittenText, read: Int
    ) {
        var written = WrittenText(after: prompt, tokenizer: tokenizer, stopStrings: stops)
        var pieces: [String] = []
        var read = 0
        for id in ids {
            written.append(id)
            read += 1
            pieces.append(written.piece())
            if written.stop != nil { break }
        }
        pieces.append(written.lastPiece())
        return (pieces, written, read)
    }

    @Test("pieces joined are the decoded text, from any token on, and hold whole characters", arguments: kinds)
    func pieces(kind: String) throws {
        let tokenizer = try Tokenizer(file: WrittenTextTests.folder + kind + ".json")
        for line in lines {
            let ids = tokenizer.encode(line, addSpecialTokens: false)
            let whole = tokenizer.decode(ids)
            for start in Set([0, 1, ids.count / 2, ids.count - 1]) where start >= 0 && start <= ids.count {
                let prompt = Array(ids[..<start])
                let before = tokenizer.decode(prompt)
                // A prompt that ends within a character has no text of its own there.
                guard whole.utf8.starts(with: before.utf8), !before.hasSuffix("\u{FFFD}") else { continue }
                let (pieces, written, _) = stream(ids[start...], after: prompt, tokenizer)
                #expect(Array((before + pieces.joined()).utf8) == Array(whole.utf8), "\(kind): \(line) from \(start)")
                #expect(written.whole == pieces.joined())
                if !whole.contains("\u{FFFD}") { #expect(!pieces.contains { $0.contains("\u{FFFD}") }) }
                #expect(
                    WrittenText.whole(of: Array(ids[start...]), after: prompt, tokenizer: tokenizer)
                        == pieces.joined())
            }
        }
    }

    @Test func `text comes as soon as its characters are complete, byte tokens included`() throws {
        let tokenizer = try Tokenizer(file: WrittenTextTests.folder + "sentencepiece.json")
        let bytes = "é漢".utf8.compactMap { tokenizer.id(String(format: "<0x%02X>", $0)) }
        try #require(bytes.count == 5)
        let (pieces, _, _) = stream(bytes[...], after: tokenizer.encode("so", addSpecialTokens: false), tokenizer)
        #expect(pieces == ["", "é", "", "", "漢", ""])
    }

    @Test func `bytes that are no character become replacement characters and spoil nothing before them`() throws {
        let tokenizer = try Tokenizer(file: WrittenTextTests.folder + "sentencepiece.json")
        func byte(_ value: Int) throws -> Int { try #require(tokenizer.id(String(format: "<0x%02X>", value))) }
        let word = try #require(tokenizer.encode("so", addSpecialTokens: false).last)
        let ids = try [byte(0xC3), byte(0xA9), byte(0xE6), byte(0xBC), word, byte(0xA9), byte(0x41)]
        let (pieces, written, _) = stream(ids[...], after: [word], tokenizer)
        #expect(pieces.joined() == written.whole)
        #expect(written.whole.hasPrefix("é\u{FFFD}") && written.whole.hasSuffix("\u{FFFD}A"))
    }

    @Test("a stop string is found at once wherever token borders lie", arguments: kinds)
    func stops(kind: String) throws {
        let tokenizer = try Tokenizer(file: WrittenTextTests.folder + kind + ".json")
        for line in lines {
            let ids = tokenizer.encode(line, addSpecialTokens: false)
            let characters = Array(tokenizer.decode(ids))
            guard characters.count > 4 else { continue }
            for (start, length) in [(0, 1), (1, 3), (characters.count / 2, 2), (characters.count - 4, 4)] {
                let stop = String(characters[start..<start + length])
                guard !stop.contains("\u{FFFD}") else { continue }
                let (pieces, written, read) = stream(ids[...], after: [], tokenizer, stops: ["\u{1}\u{2}", stop])
                #expect(written.stop?.string == stop)
                let text = Array(tokenizer.decode(ids).utf8)
                let first = try #require(text.indices.first { text[$0...].starts(with: stop.utf8) })
                #expect(Array(pieces.joined().utf8) == Array(text[..<first]), "\(kind): \(stop) in \(line)")
                // One token less does not hold it yet.
                let before = Array(tokenizer.decode(Array(ids[..<(read - 1)])).utf8)
                #expect(!before.indices.contains { before[$0...].starts(with: stop.utf8) })
            }
        }
    }

    @Test func `the beginning of a stop string is held back, and comes when it was none`() throws {
        let tokenizer = try Tokenizer(file: WrittenTextTests.folder + "gpt2.json")
        let ids = Array("aXXbXXY".utf8).compactMap { tokenizer.id(String(UnicodeScalar($0))) }
        try #require(ids.count == 7)
        let (pieces, written, read) = stream(ids[...], after: [], tokenizer, stops: ["XXY", "XXXX"])
        #expect(pieces == ["a", "", "", "XXb", "", "", "", ""])
        #expect(written.stop?.string == "XXY" && read == 7 && written.whole == "aXXb")
    }
}
