import HoneFormats

/// Reads lists of turns: `{role, content}` as chat interfaces have them, `{from, value}` as ShareGPT files do. A content may be a
/// list of texts, `[{"type": "text", "text": …}]`, which is then one text.
enum Conversation {
    /// Whether a value is a turn.
    static func looksLikeTurn(_ value: JSON) -> Bool {
        (value["role"]?.string != nil && (value["content"] != nil || value["tool_calls"] != nil))
            || (value["from"]?.string != nil && value["value"] != nil)
    }

    /// The turns of a list.
    ///
    /// - Throws: `HoneError` without a place: no list, a turn without role or content, an unknown role.
    static func messages(_ value: JSON) throws -> [Message] {
        guard case .array(let turns) = value else {
            throw HoneError(.badData, "a list of turns is needed, this is \(value.kind)")
        }
        return try turns.enumerated().map { index, turn in
            guard looksLikeTurn(turn), let name = turn["role"]?.string ?? turn["from"]?.string else {
                throw HoneError(.badData, "turn \(index + 1) has no `role` and `content`")
            }
            guard let role = role(name) else {
                throw HoneError(
                    .badData,
                    "turn \(index + 1) has an unknown role; the roles are "
                        + Wording.columns(Message.Role.allCases.map(\.rawValue)))
            }
            var members = turn.object ?? JSONObject()
            let written = turn["content"] ?? turn["value"]
            for name in ["role", "from", "content", "value"] { members[name] = nil }
            // A turn that only calls tools need not say anything.
            let silent = turn["tool_calls"]?.array?.isEmpty == false ? "" : nil
            guard let content = try written?.string ?? parts(written, turn: index + 1) ?? silent else {
                throw HoneError(.badData, "the content of turn \(index + 1) is not a string")
            }
            return Message(role: role, content: content, members: members)
        }
    }

    /// The text of a content in parts; `nil` for what is no list.
    private static func parts(_ content: JSON?, turn: Int) throws -> String? {
        guard let list = content?.array else { return nil }
        return try list.map { part in
            if let text = part.string { return text }
            guard part["type"]?.string == "text", let text = part["text"]?.string else {
                let kind =
                    part["type"]?.string.flatMap { Wording.looksLikeName($0) ? "`\($0)`" : nil } ?? "another kind"
                throw HoneError(
                    .unsupported, "the content of turn \(turn) has a part of \(kind); only texts are supported")
            }
            return text
        }.joined()
    }

    private static func role(_ name: String) -> Message.Role? {
        switch name {
        case "human": .user
        case "gpt", "model", "bot": .assistant
        case "developer": .system
        default: Message.Role(rawValue: name)
        }
    }
}
