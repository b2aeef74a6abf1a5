import Foundation
import HoneFormats

/// The tokens of a conversation.
public struct ChatTokens: Sendable, Hashable {
    /// The token ids; the template wrote the special ones itself, none were added.
    public var ids: [Int]
    /// For each token, where it stands in the text, counted in Unicode scalars.
    public var offsets: [TokenOffset]

    /// The tokens that touch a stretch of the text.
    func touching(_ range: Range<Int>) -> Range<Int> {
        let start = offsets.firstIndex { $0.end > range.lowerBound } ?? ids.count
        let end = offsets[start...].firstIndex { $0.start >= range.upperBound } ?? ids.count
        return start..<end
    }

    /// The tokens that lie within a stretch of the text.
    func within(_ range: Range<Int>) -> Range<Int> {
        let touching = touching(range)
        let kept = touching.filter { offsets[$0].start >= range.lowerBound && offsets[$0].end <= range.upperBound }
        guard let first = kept.first, let last = kept.last else { return touching.lowerBound..<touching.lowerBound }
        return first..<(last + 1)
    }
}

/// How a model takes conversations: its chat template and its tokenizer together.
///
///     let format = try ChatFormat(folder: "models/smol", tokenizer: tokenizer)    // nil: the folder has no template
///     let prompt = try format?.prompt(ChatConversation([("user", "Hello")]))
///
/// What turns say never becomes a special token, whatever they say: the template's output knows which parts of it came from
/// where, and the tokenizer looks for special tokens only in what the template wrote itself. Words of the assistant may hold
/// added tokens that are not special (`<think>`), because models write them; in all other turns such tokens are text where
/// the template uses them.
public struct ChatFormat: Sendable {
    /// The template.
    public let template: ChatTemplate
    /// The tokenizer.
    public let tokenizer: Tokenizer
    /// What the template takes for the date.
    public var clock = ChatTemplateClock.system
    /// Tokens that are not special, but stand in the template's own text.
    private let control: Set<Int>

    /// A template and the tokenizer that it was written for.
    public init(template: ChatTemplate, tokenizer: Tokenizer) {
        self.template = template
        self.tokenizer = tokenizer
        let literals = Array(template.literals.utf8)
        let tokens = tokenizer.pipeline.added.plainTokens
        let trie = ByteTrie(tokens.map(\.content))
        var control: Set<Int> = []
        var index = 0
        while let match = trie.nextMatch(in: literals, from: index) {
            control.insert(tokens[match.value].id)
            index = match.range.start + 1
        }
        self.control = control
    }

    /// The template of a model folder with its tokenizer; `nil` where the folder has no template.
    ///
    /// - Parameter hasTools: whether it is for conversations in which tools may be called.
    /// - Throws: as `ChatTemplateFolder`.
    public init?(folder: String, tokenizer: Tokenizer, hasTools: Bool = false) throws {
        guard let template = try ChatTemplateFolder(folder).template(hasTools: hasTools) else { return nil }
        self.init(template: template, tokenizer: tokenizer)
    }

    /// The tokens of a text that a template made.
    public func tokens(of chat: RenderedChat, isAssistant: (Int) -> Bool = { _ in false }) -> ChatTokens {
        var levels: [TrustedParts.Level] = []
        levels.reserveCapacity(chat.marked.count)
        for unit in chat.marked.units {
            let origin = MarkedText.origin(unit)
            let level: TrustedParts.Level =
                origin == .template ? .everything : origin.turn.map(isAssistant) == true ? .plainTokens : .text
            for _ in 0..<UTF8.width(MarkedText.scalar(unit)) { levels.append(level) }
        }
        var scratch = EncodingScratch()
        let tokens = tokenizer.pipeline.tokens(
            of: chat.text, trust: .parts(TrustedParts(levels: levels, control: control)), hasOffsets: true, &scratch)
        return ChatTokens(ids: tokens.ids, offsets: tokens.offsets)
    }

    /// The tokens of a conversation as it stands.
    ///
    /// - Throws: as `ChatTemplate.render`.
    public func tokens(
        _ conversation: ChatConversation, addsGenerationPrompt: Bool = false, continuesLast: Bool = false
    ) throws -> ChatTokens {
        let chat = try template.render(
            conversation, addsGenerationPrompt: addsGenerationPrompt, continuesLast: continuesLast, clock: clock)
        return tokens(of: chat) { conversation.isAssistant($0) }
    }

    /// The tokens from which the assistant answers a conversation.
    ///
    /// - Throws: as `ChatTemplate.render`.
    public func prompt(_ conversation: ChatConversation) throws -> [Int] {
        try tokens(conversation, addsGenerationPrompt: true).ids
    }

    /// The special token that ends a turn of the assistant, where the template writes one.
    ///
    /// It need not be the tokenizer's end token: that of Llama 3 ends a text, and another one a turn.
    public func turnEnd() -> Int? {
        let probe = ChatConversation([("user", "x"), ("assistant", "y")])
        guard let chat = try? template.render(probe, clock: clock),
            let words = chat.scalars(ofTurn: 1)?.upperBound
        else { return nil }
        let tokens = tokens(of: chat)
        return tokens.ids.indices.first { tokens.offsets[$0].start >= words && tokenizer.isSpecial(tokens.ids[$0]) }
            .map { tokens.ids[$0] }
    }
}

extension ChatConversation {
    /// Whether a turn is the assistant's.
    func isAssistant(_ turn: Int) -> Bool {
        messages.indices.contains(turn) && messages[turn]["role"]?.string == "assistant"
    }
}

extension Tokenizer {
    /// Whether an id is that of a special token.
    public func isSpecial(_ id: Int) -> Bool { pipeline.added.specialIds.contains(id) }
}
