import HoneFormats
import HoneTasks
import HoneText

/// Turns conversations of a task into tokens through the model's own chat template.
struct ChatEncoding: Sendable {
    private let format: ChatFormat
    /// For conversations in which tools may be called; some folders have a template of its own for them.
    private let toolFormat: ChatFormat
    /// The token that ends a turn of the assistant, where the template writes one.
    let turnEnd: Int?

    init(_ format: ChatFormat, withTools toolFormat: ChatFormat) {
        self.format = format
        self.toolFormat = toolFormat
        turnEnd = format.turnEnd()
    }

    /// The turns, a preamble before the words of the first one that is not a standing instruction.
    private func conversation(_ messages: [Message], tools: [JSON], preamble: String) -> ChatConversation {
        let first = messages.firstIndex { $0.role != .system }
        return ChatConversation(
            messages: messages.enumerated().map { index, message in
                var turn = JSONObject()
                turn["role"] = .string(message.role.rawValue)
                turn["content"] = .string(index == first ? preamble + message.content : message.content)
                for (name, value) in message.members.pairs where turn[name] == nil { turn[name] = value }
                return turn
            }, tools: tools.isEmpty ? nil : tools)
    }

    /// The tokens of a row: with an answer the whole conversation, all turns of the assistant being targets; without, the
    /// prompt that asks for one.
    ///
    /// - Throws: `HoneError` that names the row, where the template refuses it or a turn cannot be located.
    func encode(_ messages: [Message], answer: Message?, of example: Example, preamble: String) throws -> EncodedExample
    {
        do {
            let tools = example.tools
            let format = tools.isEmpty ? format : toolFormat
            let asked = conversation(messages, tools: tools, preamble: preamble)
            guard let answer else {
                let ids = try format.prompt(asked)
                return EncodedExample(ids: ids, targets: [])
            }
            let tokens = try format.trainingTokens(
                conversation(messages + [answer], tools: tools, preamble: preamble))
            return EncodedExample(ids: tokens.ids, targets: tokens.targets)
        } catch let error as HoneError {
            guard !example.file.isEmpty else { throw error }
            throw HoneError(error.code, "\(error)", file: example.file, line: example.line)
        }
    }
}
