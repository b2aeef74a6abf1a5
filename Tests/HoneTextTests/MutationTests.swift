import Foundation
import HoneFormats
import HoneTesting
import Testing

@testable import HoneText

/// Damaged versions of whole tokenizer files: refused with a sentence, or used, but never a trap, a hang or a flood.
@Suite struct MutationTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let isSlow = environment["HONE_SLOW_TESTS"] == "1"

    /// A line of every sort, and one that is long enough for what grows too fast to show.
    private static let texts: [String] = [
        "The card's [MASK] 12 <|end|>\u{E9}\u{301} ▁x\u{200D}\u{1F600}  \n", "", "newtoken <extra_id_3>\u{0}\u{AD} ﬁ２",
        String(repeating: "the small card, 1234! é\u{301} 中文 aaaa    ", count: 50),
    ]

    @Test("damaged files are refused or work, each within a second")
    func fixtures() throws {
        let files = try Fixtures.names.map { try Data(contentsOf: URL(fileURLWithPath: Fixtures.path("\($0).json"))) }
        let outcome = try mutate(files, rounds: Self.isSlow ? 10_000 : 60, seed: 7, measuresMemory: false)
        // Both have to occur for this to mean something.
        #expect(outcome.loaded > 0 && outcome.refused > 0)
    }

    /// For a run of its own, because the memory of a process is measured: HONE_MUTATE_FOLDER names a folder of
    /// tokenizer files, HONE_MUTATE_ROUNDS says how often (10,000 times).
    @Test(
        "damaged files take no more memory than twice their size and 64 MiB",
        .enabled(if: environment["HONE_MUTATE_FOLDER"] != nil))
    func folder() throws {
        let folder = try #require(Self.environment["HONE_MUTATE_FOLDER"])
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".json") }
            .sorted()
        let files = try names.map { try Data(contentsOf: URL(fileURLWithPath: folder + "/" + $0)) }
        let rounds = Self.environment["HONE_MUTATE_ROUNDS"].flatMap(Int.init) ?? 10_000
        let outcome = try mutate(files, rounds: rounds, seed: 8, measuresMemory: true)
        print(
            "\(rounds) mutations of \(files.count) files: \(outcome.loaded) loaded, \(outcome.refused) refused, at most",
            "\(outcome.longest) s of processor time and \(outcome.memory >> 20) MiB beyond twice the file")
    }

    private struct Outcome {
        var loaded = 0
        var refused = 0
        var longest = 0.0
        var memory = 0
    }

    private func mutate(_ files: [Data], rounds: Int, seed: UInt64, measuresMemory: Bool) throws -> Outcome {
        var generator = SeededGenerator(seed: seed)
        var outcome = Outcome()
        for round in 0..<rounds {
            var bytes = Array(files[round % files.count])
            for _ in 0...Int.random(in: 0...2, using: &generator) { Self.mutate(&bytes, &generator) }
            let before = measuresMemory ? ProcessMemory.startOver() : 0
            let start = ProcessorTime.seconds
            do {
                try use(bytes, round)
                outcome.loaded += 1
            } catch {
                #expect(error.file == "made/tokenizer.json" && !error.message.isEmpty)
                outcome.refused += 1
            }
            let taken = ProcessorTime.seconds - start
            #expect(taken < 3, "round \(round) of seed \(seed)")
            outcome.longest = max(outcome.longest, taken)
            guard measuresMemory else { continue }
            let beyond = ProcessMemory.peak() - before - 2 * bytes.count
            #expect(beyond <= 64 << 20, "round \(round) of seed \(seed)")
            outcome.memory = max(outcome.memory, beyond)
        }
        return outcome
    }

    private func use(_ bytes: [UInt8], _ round: Int) throws(HoneError) {
        let pipeline = try TokenizerPipeline(TokenizerFile(bytes: bytes, path: "made/tokenizer.json"))
        var scratch = EncodingScratch()
        let truncation = Truncation(maximumLength: 7, side: round % 2 == 0 ? .left : .right)
        for text in Self.texts {
            let tokens = pipeline.tokens(of: text, isTrusted: round % 2 == 0, hasOffsets: round % 3 == 0, &scratch)
            _ = pipeline.decode(tokens.ids, skipsSpecial: round % 5 == 0)
            _ = pipeline.postProcessor.encoding(tokens, tokens, addsSpecialTokens: true, truncation: truncation)
        }
    }

    /// Damages a file in one place; half of the time outside of the vocabulary, where the rules stand.
    private static func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        guard bytes.count > 4 else { return }
        var place = Int.random(in: 0..<bytes.count, using: &generator)
        if Bool.random(using: &generator) {
            place = Int.random(in: 0..<min(bytes.count, 4096), using: &generator)
        }
        switch Int.random(in: 0..<11, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(UInt8.random(in: 0x20...0x7E, using: &generator), at: place)
        case 4: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...4000, using: &generator)))
        case 5:
            let end = min(bytes.count, place + Int.random(in: 1...4000, using: &generator))
            let target = Int.random(in: 0...bytes.count, using: &generator)
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: target)
        case 6: bytes.removeSubrange(place...)
        case 7, 8:
            // Another letter, digit or sign, so that the file often stays well-formed.
            let signs = Array("+*?{}()[]|\\^$-&:,\"".utf8)
            let isDigit = (0x30...0x39).contains(bytes[place])
            let isLetter = (0x61...0x7A).contains(bytes[place] | 0x20)
            if isDigit { bytes[place] = UInt8.random(in: 0x30...0x39, using: &generator) }
            if isLetter { bytes[place] = UInt8.random(in: 0x61...0x7A, using: &generator) }
            if signs.contains(bytes[place]) { bytes[place] = signs.randomElement(using: &generator) ?? 0x2B }
        default:
            // Another value in the place of one: the likeliest to get past the parser.
            let values = [
                "-1", "0", "1e9", "null", "true", "false", "[]", "{}", "\"\"", "\"\\ud800\"", "99999999999",
                "2147483646",
                "\"(a+)+$\"", "\"▁\"", "{\"Regex\":\"(x*)*y\"}", "{\"String\":\" \"}", "\"AAAA\"",
            ]
            let stops = [UInt8(ascii: ","), UInt8(ascii: "}")]
            guard let colon = bytes[place...].firstIndex(of: UInt8(ascii: ":")),
                let end = bytes[(colon + 1)...].firstIndex(where: stops.contains)
            else { return }
            bytes.replaceSubrange((colon + 1)..<end, with: Array((values.randomElement(using: &generator) ?? "").utf8))
        }
    }
}

/// The memory of this process, as Linux counts it.
enum ProcessMemory {
    /// Forgets the peak so far, and returns what is in use now, in bytes.
    static func startOver() -> Int {
        try? Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
        return status("VmRSS")
    }

    /// The most that was in use since, in bytes.
    static func peak() -> Int { status("VmHWM") }

    private static func status(_ name: String) -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix(name + ":") } ?? ""
        return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
    }
}
