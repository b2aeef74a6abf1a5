import Foundation
import HoneFormats
import Testing

@testable import HoneText

@Suite struct BytePairTrainerTests {
    private static let llama3 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    private func options(_ name: String) throws -> BytePairTrainer.Options {
        switch name {
        case "plain": .init(vocabularySize: 900, specialTokens: ["<|end|>", "the"])
        case "long": .init(vocabularySize: 1500, minimumFrequency: 2, addsPrefixSpace: true)
        default:
            .init(
                vocabularySize: 700, minimumFrequency: 3, specialTokens: ["<s>"], maximumTokenLength: 6,
                pattern: Self.llama3, composes: true)
        }
    }

    @Test("learns the reference's merges from the same text", arguments: ["plain", "long", "composed"])
    func merges(name: String) throws {
        var trainer = try BytePairTrainer(try options(name))
        for line in try Fixtures.lines() { try trainer.add(line) }
        let trained = try trainer.train()
        let expected = try JSON.read(file: Fixtures.path("trained.\(name).json"))
        let merges = expected["model"]?["merges"]?.array?.map { $0.array?.compactMap(\.string) ?? [] } ?? []
        #expect(!merges.isEmpty && trained.merges.map { [$0.0, $0.1] } == merges)
        let vocabulary = try #require(expected["model"]?["vocab"]?.object)
        #expect(trained.vocabularySize == vocabulary.count)
        for (id, token) in trained.vocabulary.enumerated() { #expect(vocabulary[token]?.integer == id) }
        // What the reference writes beside; the options of the decoder mean nothing.
        let written = try JSON.parse(trained.json())
        for part in ["added_tokens", "normalizer", "pre_tokenizer", "post_processor"] {
            #expect(written[part] == expected[part], "\(part)")
        }
    }

    @Test("what was learned is read back, and encodes to what it decodes from")
    func roundTrip() throws {
        var trainer = try BytePairTrainer(.init(vocabularySize: 600, specialTokens: ["<|end|>"]))
        let lines = try Fixtures.lines()
        for line in lines { try trainer.add(line) }
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("hone-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try trainer.train().write(to: path)
        let tokenizer = try Tokenizer(file: path)
        #expect(tokenizer.vocabularySize == 600 && tokenizer.id("<|end|>") == 0)
        for line in lines { #expect(tokenizer.decode(tokenizer.encode(line)).utf8.elementsEqual(line.utf8)) }
    }

    @Test("little text gives few tokens, none gives the bytes")
    func littleText() throws {
        var trainer = try BytePairTrainer(.init(vocabularySize: 1000))
        #expect(try trainer.train().vocabularySize == 256)
        try trainer.add("aaaa aaaa")
        #expect(trainer.wordCount == 2)
        let trained = try trainer.train()
        #expect(trained.vocabularySize > 256 && trained.vocabularySize < 262)
    }

    @Test("options that make no sense are refused")
    func refusals() {
        for options in [
            BytePairTrainer.Options(vocabularySize: 255), .init(vocabularySize: .max),
            .init(vocabularySize: 256, specialTokens: ["a"]), .init(specialTokens: [""]), .init(pattern: "("),
        ] {
            #expect(throws: HoneError.self) { try BytePairTrainer(options) }
        }
    }

    /// Compares with what Scripts/parity/trainer_parity.py wrote; see there.
    @Test(
        "learns the reference's merges from the texts of HONE_PARITY_TRAINER",
        .enabled(if: ProcessInfo.processInfo.environment["HONE_PARITY_TRAINER"] != nil))
    func parity() throws {
        let folder = try #require(ProcessInfo.processInfo.environment["HONE_PARITY_TRAINER"])
        let expected = try JSON.read(file: folder + "/trained.json")
        let merges = expected["model"]?["merges"]?.array?.map { $0.array?.compactMap(\.string) ?? [] } ?? []
        let size = try #require(expected["model"]?["vocab"]?.object?.count)
        var trainer = try BytePairTrainer(.init(vocabularySize: size, specialTokens: ["<|end|>"]))
        let clock = ContinuousClock()
        let taken = try clock.measure {
            for text in try Fixtures.jsonLines(path: folder + "/texts.jsonl") {
                try trainer.add(try #require(text.string))
            }
        }
        let trained = try trainer.train()
        let learned = trained.merges.map { [$0.0, $0.1] }
        let equal = zip(learned, merges).prefix { $0 == $1 }.count
        print("\(trainer.wordCount) words in \(taken); \(equal) of \(merges.count) merges equal from the first on")
        #expect(learned == merges)
    }
}
