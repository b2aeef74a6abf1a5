import HoneFormats
import HoneModels
import HoneTasks
import HoneText

/// A conversation with a model, turn by turn.
///
/// The turns are written by the chat template of the model's folder. Where there is none, they are plain lines, `user: …` and
/// `assistant: …`, and an answer ends where the model begins the user's next line. Of a run, they are written as it was trained. Where the
/// history grows too long for the model, the oldest turns are left out.
public struct Chat {
    /// The turns so far, the system's first where there is one.
    public private(set) var messages: [Message]
    /// How many of the oldest turns the last answer was made without.
    public private(set) var omitted = 0
    private let model: NamedModel
    private let generator: Generator
    private let options: GenerationOptions
    private let format: ChatFormat?

    /// Whether turns are written by the model's own chat template.
    public var usesTemplate: Bool {
        format != nil || model.run?.specialist.encoder.options.usesChatTemplate == true
    }

    /// A conversation that has not begun.
    ///
    /// - Parameters:
    ///   - system: what the model is told before the first turn.
    ///   - quantises: whether int8 weights are read, see `Generator.quantised`.
    /// - Throws: `HoneError` for options out of bounds, a model that does not write, or a chat template that cannot be read.
    public init(_ model: NamedModel, system: String? = nil, options: GenerationOptions, quantises: Bool = false) throws
    {
        try options.check()
        self.model = model
        generator = try model.generator(quantises: quantises)
        format = model.run == nil ? try model.base.chatFormat() : nil
        var options = options
        if let format {
            options.stopIds = generator.endIds
            if let end = format.turnEnd() { options.stopIds.insert(end) }
        } else if model.run?.specialist.encoder.options.usesChatTemplate != true {
            options.stopStrings += ["\nuser:", "\nsystem:"]
        }
        self.options = options
        messages = system.map { [Message(role: .system, content: $0)] } ?? []
    }

    /// Forgets all turns but the system's.
    public mutating func reset() { messages = messages.filter { $0.role == .system } }

    /// The model's answer to a message; both become part of the history.
    ///
    /// - Parameters:
    ///   - onPiece: is given the answer in pieces.
    ///   - shouldStop: ends the answer early; what there is of it is kept.
    /// - Throws: `HoneError` with code `.badData` for a message that is too long for the model.
    public mutating func answer(
        _ text: String, onPiece: (String) throws -> Void = { _ in }, shouldStop: @escaping () -> Bool = { false }
    ) throws -> GeneratedText {
        let asked = messages + [Message(role: .user, content: text)]
        let (prompt, omitted) = try prompt(asked)
        self.omitted = omitted
        // On plain lines, answers begin behind the space that follows `assistant:`.
        var hasBegun = usesTemplate
        let made = try withoutActuallyEscaping(onPiece) { onPiece in
            try generator.generate(
                [GenerationRequest(prompt: prompt)], options: options,
                onPiece: { piece in
                    let text = hasBegun ? Substring(piece.text) : piece.text.drop { $0.isWhitespace }
                    guard !text.isEmpty else { return }
                    hasBegun = true
                    try onPiece(String(text))
                }, shouldStop: shouldStop)
        }
        var answer = made[0][0]
        if !usesTemplate { answer.text = String(answer.text.drop { $0.isWhitespace }) }
        messages = asked + [Message(role: .assistant, content: answer.text)]
        return answer
    }

    /// The tokens of a conversation, without the oldest turns where it is too long, and how many those are.
    private func prompt(_ messages: [Message]) throws -> ([Int], omitted: Int) {
        let limit = model.base.maximumLength - model.transformer.attachments.addedPositions
        let room = limit - min(options.maximumNewTokens, limit / 2)
        let system = messages.filter { $0.role == .system }
        let turns = messages.filter { $0.role != .system }
        var omitted = 0
        while true {
            let ids = try tokens(system + turns.dropFirst(omitted))
            if ids.count <= room { return (ids, omitted) }
            // A question goes with its answer.
            guard omitted + 2 < turns.count else {
                throw HoneError(
                    .badData,
                    "the message makes a prompt of \(ids.count) tokens, the model has room for \(room); write a shorter one"
                )
            }
            omitted += 2
        }
    }

    private func tokens(_ messages: [Message]) throws -> [Int] {
        if let format {
            return try format.prompt(ChatConversation(messages.map { ($0.role.rawValue, $0.content) }))
        }
        if let run = model.run {
            let example = Example(index: 0, file: "", line: 1, input: .messages(messages), target: .unknown)
            return try run.specialist.encoder.prompt(example)
        }
        return try model.prompt(
            messages.map { "\($0.role.rawValue): \($0.content)\n" }.joined() + "assistant:")
    }
}
