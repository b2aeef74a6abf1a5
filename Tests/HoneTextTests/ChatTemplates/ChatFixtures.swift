import Foundation
import HoneFormats
import Testing

@testable import HoneText

/// The files that Scripts/fixtures/chat_templates.py makes with transformers.
struct ChatFixtures {
    let json: JSON

    /// - Parameter path: the fixtures, or what the script made of other templates.
    init(path: String = Fixtures.path("chat-cases.json")) throws { json = try JSON.read(file: path) }

    var tokens: [String: String] {
        Dictionary(uniqueKeysWithValues: (json["tokens"]?.object?.pairs ?? []).map { ($0.key, $0.value.string ?? "") })
    }

    var clock: ChatTemplateClock { .fixed(secondsSince1970: json["now"]?.integer ?? 0) }

    func source(_ name: String) throws -> String { try #require(json["templates"]?[name]?.string) }

    func template(_ name: String) throws -> ChatTemplate {
        try ChatTemplate(try source(name), file: name, specialTokens: tokens)
    }

    func conversation(_ title: String) throws -> ChatConversation {
        try Self.conversation(try #require(json["conversations"]?[title]))
    }

    static func conversation(_ value: JSON) throws -> ChatConversation {
        ChatConversation(
            messages: try #require(value["messages"]?.array).map { try #require($0.object) },
            tools: value["tools"]?.array,
            documents: value["documents"]?.array, variables: value["variables"]?.object ?? JSONObject())
    }

    /// What is not as the reference has it, a line for each case; and how many cases there were.
    func differences() throws -> (cases: Int, differences: [String]) {
        var differences: [String] = []
        let cases = json["cases"]?.array ?? []
        var templates: [String: Result<ChatTemplate, any Error>] = [:]
        for entry in cases {
            let name = try #require(entry["template"]?.string)
            let title = try #require(entry["conversation"]?.string)
            let flags = ["add_generation_prompt", "continue_final_message"].filter { entry[$0]?.bool == true }
            let expected = entry["text"]?.string
            let template = templates[name] ?? Result { try self.template(name) }
            templates[name] = template
            var found: String?
            var problem = ""
            do {
                found = try template.get().render(
                    conversation(title), addsGenerationPrompt: flags.contains("add_generation_prompt"),
                    continuesLast: flags.contains("continue_final_message"), clock: clock
                ).text
            } catch { problem = "\(error)" }
            let same = found.map { expected?.hasSameBytes(as: $0) ?? false } ?? (expected == nil)
            if !same {
                differences.append(
                    "\(name), \(title) \(flags): expected \(String(reflecting: expected ?? entry["error"]?.string)), "
                        + "found \(String(reflecting: found)) \(problem)")
            }
        }
        return (cases.count, differences)
    }
}
