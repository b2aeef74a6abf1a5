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
