import HoneFormats

/// What a chat template turns into text: turns, and what else the model is told.
public struct ChatConversation: Sendable, Hashable {
    /// The turns, each with at least a `role`; most have a `content`, some `tool_calls`, `reasoning_content` and so on.
    public var messages: [JSONObject]
    /// The tools that the model may call, as JSON schemas.
    public var tools: [JSON]?
    /// Documents for templates that know what to do with them.
    public var documents: [JSON]?
    /// Further variables of the template, such as `enable_thinking`.
    public var variables: JSONObject

    /// A conversation.
    public init(
        messages: [JSONObject], tools: [JSON]? = nil, documents: [JSON]? = nil, variables: JSONObject = JSONObject()
    ) {
        self.messages = messages
        self.tools = tools
        self.documents = documents
        self.variables = variables
    }

    /// A conversation of turns that have a role and a text.
    public init(_ turns: [(role: String, content: String)]) {
        self.init(
            messages: turns.map { role, content in
                var message = JSONObject()
                message["role"] = .string(role)
                message["content"] = .string(content)
                return message
            })
    }

    /// The roles whose names are part of the structure of a prompt and not somebody's text.
    static let roles: Set<ExactString> = [
        "system", "user", "assistant", "tool", "developer", "function", "ipython", "model", "observation",
        "tool_response",
        "environment", "documents", "context",
    ]

    /// The turns as the template sees them: as transformers prepares them, without members that are null, and with the
    /// model's reasoning under all the names that templates look for.
    func values(continuingLast: Bool, _ meter: TemplateMeter) throws -> TemplateValue {
        try meter.take(messages.count * 8)
        var values: [TemplateValue] = []
        for (index, message) in messages.enumerated() {
            let origin = TextOrigin.turn(index)
            var map = TemplateMap()
            let present = message.pairs.filter { !$0.value.isNull }
            let reasoning = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap { name in
                present.first { $0.key.hasSameBytes(as: name) }?.value
            }.first
            if let reasoning { try map.set(.text("thinking"), try TemplateValue(reasoning, origin: origin, meter)) }
            for (key, value) in present {
                let isRole =
                    key.hasSameBytes(as: "role") && value.string.map { Self.roles.contains(ExactString($0)) } == true
                try map.set(
                    .text(MarkedText(key, origin: origin)),
                    try TemplateValue(value, origin: isRole ? .template : origin, meter))
            }
            if let reasoning {
                try map.set(.text("reasoning_content"), try TemplateValue(reasoning, origin: origin, meter))
            }
            if continuingLast, index == messages.count - 1 { try Self.tag(&map) }
            values.append(.map(map))
        }
        return .list(values)
    }

    /// The text that transformers puts behind a turn that is to be continued, to find its end again.
    static let tag = MarkedText("CONTINUE_FINAL_MESSAGE_TAG ", origin: .continuation)

    /// The text of the last turn that can be continued.
    var continued: String? {
        let content = messages.last?["content"]
        return content?.string ?? content?.array?.reversed().lazy.compactMap { $0["text"]?.string }.first
    }

    private static func tag(_ message: inout TemplateMap) throws {
        switch message["content"] {
        case .text(let text)?:
            try message.set(.text("content"), .text(MarkedText(units: text.units + tag.units)))
        case .list(var parts)?:
            for index in parts.indices.reversed() {
                guard case .map(var part) = parts[index], case .text(let text)? = part["text"] else { continue }
                try part.set(.text("text"), .text(MarkedText(units: text.units + tag.units)))
                parts[index] = .map(part)
                try message.set(.text("content"), .list(parts))
                return
            }
            throw TemplateProblem("the last turn has no text that could be continued", code: .badData)
        default:
            throw TemplateProblem("the last turn has no content that could be continued", code: .badData)
        }
    }
}
