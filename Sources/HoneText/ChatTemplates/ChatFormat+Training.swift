import HoneFormats

/// A conversation for training: its tokens, and which of them the assistant is to learn.
public struct ChatTrainingTokens: Sendable, Hashable {
    /// The token ids of the whole conversation.
    public var ids: [Int]
    /// What the assistant says, and what ends its turns, as ranges of `ids` in their order.
    public var targets: [Range<Int>]
}

extension ChatFormat {
    /// The tokens of a conversation and the mask of the assistant's turns.
    ///
    /// Where the template marks what the assistant says with `{% generation %}` blocks, these are the targets, as transformers
    /// has them. Elsewhere each turn is found by where its words stand in the text: it starts where the model would be asked
    /// for it (the text of the turns before it, with what opens a turn of the assistant), and ends with the first special
    /// token behind its words, or with what the template writes behind them.
    ///
    /// - Throws: as `ChatTemplate.render`; `HoneError` with `.unsupported` where a turn of the assistant cannot be found
    ///   without doubt, so that no token of others is learned and none of the assistant's is missed.
    public func trainingTokens(_ conversation: ChatConversation) throws -> ChatTrainingTokens {
        let chat = try template.render(conversation, clock: clock)
        let tokens = tokens(of: chat) { conversation.isAssistant($0) }
        let turns = conversation.messages.indices.filter(conversation.isAssistant)
        if template.marksGeneration {
            let targets = chat.scalarRanges { $0 & MarkedText.generationBit != 0 }.map(tokens.touching)
            guard !targets.isEmpty || turns.isEmpty else {
                throw problem("the template has `generation` blocks, but none of them holds a turn of the assistant")
            }
            return ChatTrainingTokens(ids: tokens.ids, targets: Self.merged(targets))
        }
        let targets = try turns.map { turn in
            let range = try range(of: turn, in: chat, conversation)
            // A turn that ends with another token when others follow would be learned without its end.
            let behind = chat.scalars(ofTurn: turn)?.upperBound ?? range.lowerBound
            if let next = tokens.offsets.firstIndex(where: { $0.start >= behind }),
                tokenizer.isSpecial(tokens.ids[next]), tokens.offsets[next].start < range.upperBound,
                tokens.offsets[next].end > range.upperBound
            {
                throw unlocated(turn, "the template ends it with another token when other turns follow")
            }
            let found = tokens.within(range.lowerBound..<end(of: range, words: chat.scalars(ofTurn: turn), tokens))
            guard !found.isEmpty else { throw unlocated(turn, "no token lies within it") }
            return found
        }
        return ChatTrainingTokens(ids: tokens.ids, targets: Self.merged(targets))
    }

    /// Ranges in their order, neighbours joined.
    private static func merged(_ ranges: [Range<Int>]) -> [Range<Int>] {
        ranges.reduce(into: []) { merged, range in
            if let last = merged.last, last.upperBound >= range.lowerBound {
                merged[merged.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else if !range.isEmpty {
                merged.append(range)
            }
        }
    }

    private func problem(_ message: String) -> HoneError {
        HoneError(.unsupported, message, file: template.file, item: "chat template")
    }

    private func unlocated(_ turn: Int, _ reason: String) -> HoneError {
        problem("turn \(turn + 1), by the assistant, cannot be located in the template's output: \(reason)")
    }

    /// Where a turn's words end for training: behind the first special token that follows them, where there is one.
    private func end(of range: Range<Int>, words: Range<Int>?, _ tokens: ChatTokens) -> Int {
        let start = words?.upperBound ?? range.lowerBound
        let end = tokens.ids.indices.first { index in
            tokens.offsets[index].start >= start && tokens.offsets[index].end <= range.upperBound
                && tokenizer.isSpecial(tokens.ids[index])
        }
        return end.map { tokens.offsets[$0].end } ?? range.upperBound
    }

    /// Where a turn of the assistant stands in the text, in scalars: from where the model would be asked for it.
    private func range(of turn: Int, in chat: RenderedChat, _ conversation: ChatConversation) throws -> Range<Int> {
        guard turn < TextOrigin.turnLimit else {
            throw unlocated(turn, "only \(TextOrigin.turnLimit) turns can be told apart")
        }
        let units = chat.marked.units
        let words = chat.scalars(ofTurn: turn)
        let asked = try prefix(conversation, turn, asksAssistant: true)
        let shared = Self.sharedPrefix(units[...], asked.marked.units[...])
        // The text that asks for the turn may end with something that the turn itself does not have, such as a `<think>`
        // that the template takes out again; but what was said before has to be there unchanged.
        let isChanged = asked.marked.units[shared...].contains { MarkedText.origin($0) != .template }
        guard !isChanged, words != nil || shared == asked.marked.count else {
            throw unlocated(turn, "the template writes what comes before it differently when it follows")
        }
        let start = min(words?.lowerBound ?? shared, shared)

        // What the template writes behind the words of this turn, whether or not another turn follows.
        let upTo = try prefix(conversation, turn + 1, asksAssistant: false)
        let behind = words?.upperBound ?? start
        let behindAlone = upTo.scalars(ofTurn: turn)?.upperBound ?? min(start, upTo.marked.count)
        let sharedBehind = Self.sharedPrefix(units[behind...], upTo.marked.units[behindAlone...])
        let end = behind + sharedBehind
        guard sharedBehind > 0 || behindAlone == upTo.marked.count else {
            throw unlocated(turn, "the template ends it differently when other turns follow")
        }
        func own(_ chat: RenderedChat) -> Int { chat.marked.units.count { MarkedText.origin($0).turn == turn } }
        guard own(chat) <= own(upTo) else {
            throw unlocated(turn, "the template writes parts of it again where other turns follow")
        }

        let hasStrangers = units[start..<end].contains { unit in
            let origin = MarkedText.origin(unit)
            return origin != .template && origin.turn != turn
        }
        if hasStrangers { throw unlocated(turn, "the template writes what others say inside of it") }
        return start..<end
    }

    private func prefix(_ conversation: ChatConversation, _ count: Int, asksAssistant: Bool) throws -> RenderedChat {
        guard count > 0 else { throw unlocated(0, "nothing stands before it") }
        var part = conversation
        part.messages = Array(conversation.messages.prefix(count))
        do {
            return try template.render(part, addsGenerationPrompt: asksAssistant, clock: clock)
        } catch let error as HoneError {
            throw unlocated(asksAssistant ? count : count - 1, "the turns up to there fail alone (\(error.message))")
        }
    }

    /// How many units at the start of two texts are the same, marks aside.
    private static func sharedPrefix(_ left: ArraySlice<UInt32>, _ right: ArraySlice<UInt32>) -> Int {
        var count = 0
        for (first, second) in zip(left, right) {
            guard (first ^ second) & MarkedText.scalarMask == 0 else { break }
            count += 1
        }
        return count
    }
}
