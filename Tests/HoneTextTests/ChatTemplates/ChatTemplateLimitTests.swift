import Foundation
import HoneFormats
import HoneTesting
import Testing

@testable import HoneText

struct ChatTemplateLimitTests {
    private let chat = ChatConversation([("user", "Hello"), ("assistant", "Hi"), ("user", "Bye")])

    private func message(_ source: String) -> String {
        do {
            _ = try ChatTemplate(source, file: "chat_template.jinja").render(chat)
            return ""
        } catch {
            return "\(error)"
        }
    }

    @Test(arguments: [
        ("{% for i in range(1000) %}{% for j in range(1000) %}{% endfor %}{% endfor %}", "more than 100000 steps"),
        ("{% for i in range(3000) %}{{ 'x' * 1000 }}{% endfor %}", "longer than 1048576 bytes"),
        ("{{ 'x' * 999999999999 }}", "repeated too often"),
        ("{{ 'x'.center(9223372036854775807) }}", "more than 12582912 scalars"),
        ("{{ 'x'.ljust(-9223372036854775807) }}{{ 'x' | indent(9223372036854775807) }}", "more than 12582912 scalars"),
        ("{{ [1] | batch(9223372036854775807, 0) | list }}", "more than 12582912 scalars"),
        (
            "{% set ns = namespace(t='x') %}{% for i in range(100) %}{% set ns.t = ns.t + ns.t %}{% endfor %}",
            "more than"
        ),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nests deeper than 64"),
        ("{% macro a(n) %}{{ b(n) }}{% endmacro %}{% macro b(n) %}{{ a(n) }}{% endmacro %}{{ a(1) }}", "nests deeper"),
        (String(repeating: "(", count: 200) + "1", "nested deeper than 64"),
        (
            "{{ " + String(repeating: "(", count: 200) + "1" + String(repeating: ")", count: 200) + " }}",
            "nested deeper than 64"
        ),
        ("{{ " + String(repeating: "not ", count: 3000) + "1 }}", "nested deeper than 64"),
        ("{{ " + String(repeating: "-", count: 3000) + "1 }}", "nested deeper than 64"),
        (String(repeating: "{% if true %}", count: 100), "nested deeper than 64"),
        ("{{ 9223372036854775807 + 1 }}", "does not fit 64 bits"),
        ("{{ -9223372036854775807 - 2 }}", "does not fit 64 bits"),
        ("{{ 99999999999999999999 }}", "does not fit 64 bits"),
        ("{{ 10 ** 30 }}", "does not fit 64 bits"),
        ("{{ (-9223372036854775807 - 1) // -1 }}", "does not fit 64 bits"),
        ("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "nests deeper"),
        (
            "{% macro m(n) %}{{ " + String(repeating: "[", count: 50) + "m(n)" + String(repeating: "]", count: 50)
                + " }}{% endmacro %}{{ m(1) }}", "nests deeper"
        ),
        ("{{ range(9223372036854775807) }}", "more than 100000 numbers"),
        ("{% include 'x' %}", "“include” is not supported"),
        ("\n\n{{ messages | pprint }}", "chat_template.jinja:3: the filter “pprint” is not supported"),
        ("a\nb {{ 'x'.encode() }}", "chat_template.jinja:2: the method “encode” of texts is not supported"),
        ("{{ ''.__class__.__mro__ }}", "has no “__class__”"),
        ("{{ messages.__class__ }}{{ messages[0].__init__.x }}", "has no “__init__”"),
        ("{{ raise_exception('no ' ~ messages[0].content ~ ' here') }}", "refuses the conversation: no … here"),
        ("{{ cycler(1, 2) }}", "“cycler” is not defined"),
    ]) func whatGoesTooFarIsRefusedWithALine(_ source: String, _ expected: String) {
        if source.hasPrefix("((") { return }
        let found = message(source)
        #expect(found.contains(expected), "\(source.prefix(80)): \(found)")
        #expect(found.hasPrefix("chat_template.jinja:"), "\(found)")
    }

    @Test func aTemplateThatIsTooLongIsRefused() {
        #expect(message(String(repeating: "x", count: 300_000)).contains("more than the 262144"))
    }

    @Test func longChainsAndConversationsAreFine() throws {
        let sum = "{{ " + Array(repeating: "1", count: 5000).joined(separator: " + ") + " }}"
        #expect(try ChatTemplate(sum).render(chat).text == "5000")
        let elifs = "{% if 0 %}" + String(repeating: "{% elif 0 %}x", count: 2000) + "{% else %}y{% endif %}"
        #expect(try ChatTemplate(elifs).render(chat).text == "y")
        let turns = (0..<1500).map { ($0 % 2 == 0 ? "user" : "assistant", "turn \($0)") }
        let template = try ChatTemplate(
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}")
        #expect(try template.render(ChatConversation(turns)).text.count > 40_000)
        let long = ChatConversation([("user", String(repeating: "wörter ", count: 100_000))])
        #expect(try template.render(long).text.utf8.count > 800_000)
    }

    @Test func timeAndDateComeFromTheClock() throws {
        let template = try ChatTemplate("{{ strftime_now('%d %b %Y') }}")
        #expect(try template.render(chat, clock: .fixed(secondsSince1970: 0)).text == "01 Jan 1970")
    }

    @Test func mutatedTemplatesAreRefusedOrWork() throws {
        let slow = ProcessInfo.processInfo.environment["HONE_SLOW_TESTS"] == "1"
        let outcome = try Self.mutate(count: slow ? 12_000 : 300, seed: 5)
        #expect(outcome.rendered > outcome.count / 20 && outcome.refused > outcome.count / 5)
        #expect(outcome.slowest < 4, "the slowest took \(outcome.slowest) s of processor time")
        // Memory is measured where nothing else runs beside it.
        if slow {
            print("\(outcome): processor seconds of the slowest, growth of resident memory in bytes")
            #expect(outcome.growth < 64 << 20, "\(outcome.growth >> 20) MiB")
        }
    }

    private struct Outcome {
        var count = 0
        var rendered = 0
        var refused = 0
        var slowest = 0.0
        var growth = 0
    }

    private static let pieces = [
        "{{", "}}", "{%", "%}", "-", "{#", "#}", "(", ")", "[", "]", "'", "\"", "|", " for ", " in ", "loop", " if ",
        "range(99999)", "* 99999",
        "** 9", "namespace()", "messages", "~", ".content", "9223372036854775807", "-1", ":", "{% macro m(x) %}",
        "{% endmacro %}", "m(m)",
        "{% endfor %}", "recursive", "*", "none", "| list", "| tojson(indent=999999)", "\\", "\u{0}", "é", "[::-1]",
        "is ", "{% generation %}",
        "{% set ", "=", ",", "| join", ".split(' ')", "| replace('', 'xxxx')", "{% raw %}", "%", "'%s' %", ".format()",
        "| indent(99999)",
    ]

    /// Mutations of the fixtures' templates, or of those in `HONE_CHAT_CASES`.
    private static func mutate(count: Int, seed: UInt64) throws -> Outcome {
        let path = ProcessInfo.processInfo.environment["HONE_CHAT_CASES"] ?? Fixtures.path("chat-cases.json")
        let fixtures = try ChatFixtures(path: path)
        let sources = (fixtures.json["templates"]?.object?.pairs ?? []).map {
            Array(($0.value.string ?? "").unicodeScalars)
        }
        let conversations = try ["calls", "thoughts", "documents and tools"].map(fixtures.conversation)
        var generator = SeededGenerator(seed: seed)
        var outcome = Outcome(count: count)
        let before = residentPeak(resets: true)
        for round in 0..<count {
            var scalars = sources[round % sources.count]
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                guard !scalars.isEmpty else { break }
                let place = Int.random(in: 0..<scalars.count, using: &generator)
                let end = min(scalars.count, place + Int.random(in: 1...20, using: &generator))
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: scalars.removeSubrange(place..<end)
                case 1:
                    scalars.insert(
                        contentsOf: scalars[place..<end], at: Int.random(in: 0...scalars.count, using: &generator))
                case 2: scalars[place] = Unicode.Scalar(UInt8.random(in: 0..<128, using: &generator))
                default: scalars.insert(contentsOf: pieces.randomElement(using: &generator)!.unicodeScalars, at: place)
                }
            }
            var source = String.UnicodeScalarView()
            source.append(contentsOf: scalars)
            for conversation in conversations {
                let start = ProcessorTime.seconds
                do {
                    _ = try ChatTemplate(String(source), specialTokens: fixtures.tokens).render(
                        conversation, addsGenerationPrompt: round % 2 == 0, clock: fixtures.clock)
                    outcome.rendered += 1
                } catch let error as HoneError {
                    if error.message.isEmpty { Issue.record("an error without words") }
                    outcome.refused += 1
                }
                outcome.slowest = max(outcome.slowest, ProcessorTime.seconds - start)
            }
        }
        outcome.growth = residentPeak(resets: false) - before
        return outcome
    }

    /// The largest resident memory so far, in bytes; resetting starts anew from what is there.
    private static func residentPeak(resets: Bool) -> Int {
        if resets, let file = fopen("/proc/self/clear_refs", "w") {
            fputs("5", file)
            fclose(file)
        }
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
}
