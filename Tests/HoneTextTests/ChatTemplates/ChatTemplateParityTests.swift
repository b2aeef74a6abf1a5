import Foundation
import HoneFormats
import Testing

@testable import HoneText

struct ChatTemplateParityTests {
    @Test func everyTemplateRendersEveryConversationAsTransformersDoes() throws {
        let result = try ChatFixtures().differences()
        #expect(result.cases > 1_500)
        #expect(result.differences == [], "\(result.differences.count) of \(result.cases) differ")
    }

    /// `HONE_CHAT_CASES=FILE` checks what Scripts/fixtures/chat_templates.py made of templates that are not in the project.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["HONE_CHAT_CASES"] != nil))
    func otherTemplatesRenderAsTransformersDoes() throws {
        let path = try #require(ProcessInfo.processInfo.environment["HONE_CHAT_CASES"])
        let result = try ChatFixtures(path: path).differences()
        for line in result.differences.prefix(40) { print(line.prefix(1500)) }
        print("\(result.cases) cases, \(result.differences.count) differences")
        #expect(result.differences.isEmpty)
    }

    /// Templates that come with and without `{% generation %}` blocks, NAME and NAME_training: turns that are located have to
    /// hold what the blocks hold, and stop where they stop or at the token that ends the turn.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["HONE_CHAT_CASES"] != nil))
    func locatedTurnsAreThoseOfTheBlocksOfOtherTemplates() throws {
        let fixtures = try ChatFixtures(path: try #require(ProcessInfo.processInfo.environment["HONE_CHAT_CASES"]))
        let tokenizer = try Tokenizer(file: Fixtures.path("chat-tokenizer.json"))
        func turns(_ name: String, _ conversation: ChatConversation) throws -> (text: String, turns: [String]) {
            var format = ChatFormat(template: try fixtures.template(name), tokenizer: tokenizer)
            format.clock = fixtures.clock
            let chat = try format.template.render(conversation, clock: fixtures.clock)
            let (tokens, training) = (format.tokens(of: chat), try format.trainingTokens(conversation))
            return (
                chat.text,
                training.targets.map { range in
                    chat.marked[tokens.offsets[range.lowerBound].start..<tokens.offsets[range.upperBound - 1].end]
                        .string
                }
            )
        }
        var (same, refused, other, changed) = (0, 0, 0, 0)
        let names = fixtures.json["templates"]?.object?.keys ?? []
        for name in names where names.contains(name + "_training") {
            for title in ["two turns", "answered", "long", "thoughts", "letters", "calls without tools", "reasoning"] {
                let conversation = try fixtures.conversation(title)
                guard let blocks = try? turns(name + "_training", conversation) else { continue }
                do {
                    let located = try turns(name, conversation)
                    guard located.text == blocks.text else {
                        changed += 1
                        continue
                    }
                    let agrees =
                        located.turns.count == blocks.turns.count
                        && zip(located.turns, blocks.turns).allSatisfy { $1.contains($0) || $0.contains($1) }
                    if agrees { same += 1 } else { other += 1 }
                    if !agrees { print("\(name), \(title):\n  \(located.turns)\n  \(blocks.turns)") }
                } catch {
                    refused += 1
                    print("\(name), \(title): \(error)")
                }
            }
        }
        print("\(same) agree, \(other) do not, \(refused) refused, \(changed) with another text")
        #expect(same > 50 && other == 0)
    }

    @Test func piecesOfJinjaGiveWhatJinjaGives() throws {
        let json = try JSON.read(file: Fixtures.path("chat-snippets.json"))
        let snippets = try #require(json["snippets"]?.array)
        #expect(snippets.count > 200)
        for snippet in snippets {
            let source = try #require(snippet["source"]?.string)
            let found = Result { try Self.render(source, json["variables"]?.object ?? JSONObject()) }
            guard let expected = snippet["text"]?.string else {
                #expect(throws: HoneError.self, "\(source) should fail") { try found.get() }
                continue
            }
            switch found {
            case .success(let text): #expect(text.hasSameBytes(as: expected), "\(source)\n\(text)\n\(expected)")
            case .failure(let error): Issue.record("\(source): \(error)")
            }
        }
    }

    private static func render(_ source: String, _ variables: JSONObject) throws -> String {
        let limits = ChatTemplateLimits()
        var parser = try TemplateParser(source, depthLimit: limits.depth)
        let body = try parser.parse()
        let meter = TemplateMeter(limits)
        let values = try variables.pairs.map { ($0.key, try TemplateValue($0.value, origin: .data, meter)) }
        return try TemplateEvaluator(meter: meter, clock: .fixed(secondsSince1970: 1_741_507_626))
            .render(body, variables: values).string
    }
}
