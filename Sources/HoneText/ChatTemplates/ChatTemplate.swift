import HoneFormats

/// How a model wants conversations written: a Jinja template, as `apply_chat_template` of transformers uses it.
///
///     let template = try ChatTemplate("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}")
///     try template.render(ChatConversation([("user", "Hello")])).text      // "<|user|>Hello"
///
/// The language is the part of Jinja that chat templates use, with the white space control, filters and functions that
/// transformers sets up. A template comes from a stranger: it reaches nothing but its variables, and what it may use is
/// limited (`ChatTemplateLimits`). Immutable once read.
public struct ChatTemplate: Sendable {
    /// The text of the template.
    public let source: String
    /// The name that errors give.
    public let file: String?
    /// Special tokens by the names that templates know: `bos_token`, `eos_token` and so on.
    public var specialTokens: [String: String]
    /// What a rendering may use.
    public var limits: ChatTemplateLimits
    /// Whether the template marks what the assistant says with `{% generation %}` blocks.
    public let marksGeneration: Bool
    /// The texts and strings of the template, with a NUL between them.
    let literals: String
    private let body: [TemplateStatement]

    /// Reads a template.
    ///
    /// - Throws: `HoneError` with the line: `.badFile` where it is not Jinja, `.unsupported` where it uses what Hone does
    ///   not have or is too large.
    public init(
        _ source: String, file: String? = nil, specialTokens: [String: String] = [:],
        limits: ChatTemplateLimits = ChatTemplateLimits()
    ) throws {
        self.source = source
        self.file = file
        self.specialTokens = specialTokens
        self.limits = limits
        do {
            guard source.utf8.count <= limits.sourceBytes else {
                throw HoneError(
                    .unsupported,
                    "the template has \(source.utf8.count) bytes, more than the \(limits.sourceBytes) that are read")
            }
            var parser = try TemplateParser(source, depthLimit: limits.depth)
            body = try parser.parse()
            literals = parser.literals.joined(separator: "\0")
            marksGeneration = parser.hasGeneration
        } catch let error as HoneError {
            throw Self.named(error, file)
        }
    }

    /// The text of a conversation.
    ///
    /// - Parameters:
    ///   - addsGenerationPrompt: whether the text ends with what opens a turn of the assistant.
    ///   - continuesLast: whether the text ends inside the last turn, which the model is to go on with.
    ///   - clock: what a template takes for the date.
    /// - Throws: `HoneError` with the template's line: `.badData` where the template refuses the conversation or a turn
    ///   cannot be continued, `.badFile` where it does something that fails, `.unsupported` where it uses what Hone does
    ///   not have, or more than the limits allow.
    public func render(
        _ conversation: ChatConversation, addsGenerationPrompt: Bool = false, continuesLast: Bool = false,
        clock: ChatTemplateClock = .system
    ) throws -> RenderedChat {
        do {
            return try rendered(conversation, addsGenerationPrompt, continuesLast, clock)
        } catch let error as HoneError {
            throw Self.named(error, file)
        } catch let problem as TemplateProblem {
            throw Self.named(HoneError(problem.code, problem.message), file)
        }
    }

    private static func named(_ error: HoneError, _ file: String?) -> HoneError {
        var error = error
        error.file = error.file ?? file
        if file == nil { error.item = error.item ?? "chat template" }
        return error
    }

    private func rendered(
        _ conversation: ChatConversation, _ addsGenerationPrompt: Bool, _ continuesLast: Bool,
        _ clock: ChatTemplateClock
    ) throws -> RenderedChat {
        guard !conversation.messages.isEmpty else {
            throw TemplateProblem("the conversation has no turns", code: .badData)
        }
        guard !(addsGenerationPrompt && continuesLast) else {
            throw TemplateProblem("a text cannot both open a turn and continue the last one", code: .usage)
        }
        let meter = TemplateMeter(limits)
        var variables: [(String, TemplateValue)] = specialTokens.map { ($0.key, .text($0.value)) }
        variables.append(("messages", try conversation.values(continuingLast: continuesLast, meter)))
        for (name, list) in [("tools", conversation.tools), ("documents", conversation.documents)] {
            variables.append((name, try list.map { try TemplateValue(.array($0), origin: .data, meter) } ?? .none))
        }
        variables.append(("add_generation_prompt", .bool(addsGenerationPrompt)))
        for (name, value) in conversation.variables.pairs {
            variables.append((name, try TemplateValue(value, origin: .data, meter)))
        }
        let output = try TemplateEvaluator(meter: meter, clock: clock).render(body, variables: variables)
        return RenderedChat(continuesLast ? try Self.cut(output, conversation, meter) : output)
    }

    /// The output up to the tag behind the turn that is to be continued.
    private static func cut(_ output: MarkedText, _ conversation: ChatConversation, _ meter: TemplateMeter) throws
        -> MarkedText
    {
        let tag = ChatConversation.tag
        let bare = tag[0..<(tag.count - 1)]
        // A template may know the tag and write it itself; otherwise only the tag that was given counts.
        let places = (0...max(0, output.count - bare.count)).reversed().lazy.filter { output.has(bare, at: $0) }
        let given = places.first { MarkedText.origin(output.units[$0]) == .continuation }
        let words = try MarkedText(conversation.continued ?? "").stripped(meter)
        guard let start = given ?? places.first, try output.firstIndex(of: words, meter) != nil else {
            throw TemplateProblem(
                "the last turn cannot be continued, because the template does not write its content as it is",
                code: .badData)
        }
        let cut = output[0..<start]
        // Where the template has dropped the space of the tag, it has dropped the turn's own before it.
        return output.has(tag, at: start) ? cut : try cut.stripped(start: false, meter)
    }
}
