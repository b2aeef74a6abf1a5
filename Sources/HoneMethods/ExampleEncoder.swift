import HoneFormats
import HoneModels
import HoneTasks
import HoneText

/// An example as a model takes it: token numbers, or an image.
public struct EncodedExample: Sendable {
    /// The tokens: of the text or texts, or of prompt and completion joined; of an encoder-decoder, those of the prompt; none
    /// of an image.
    public var ids: [Int]
    /// The token types, where there are two texts.
    public var typeIds: [Int]?
    /// Which class it is of, in classification.
    public var label: Int?
    /// Which of `ids` the model is to say, in generation: the completion, or all turns of the assistant. In their order; none
    /// holds the first token, which nothing predicts.
    public var targets: [Range<Int>]
    /// Whether tokens were cut off.
    public var isTruncated: Bool
    /// The completion's tokens, which an encoder-decoder writes for `ids`; absent for other models.
    public var answer: [Int]?
    /// The image, where the example is one.
    public var image: EncodedImage?
    /// Which of the encoder's tasks it belongs to, where it has tasks.
    public var task: Int?

    /// Tokens as they are; targets are kept to what can be predicted.
    init(
        ids: [Int], typeIds: [Int]? = nil, label: Int? = nil, targets: [Range<Int>] = [], isTruncated: Bool = false
    ) {
        self.ids = ids
        self.typeIds = typeIds
        self.label = label
        self.targets = Self.kept(targets, in: ids.count)
        self.isTruncated = isTruncated
    }

    /// A context and what may come after it. Of an encoder-decoder the context is the encoder's.
    ///
    /// - Parameter separates: whether the model has a decoder beside its encoder.
    public static func completing(_ context: [Int], with continuation: [Int], separates: Bool = false) -> EncodedExample
    {
        guard separates else {
            let whole = context + continuation
            return EncodedExample(ids: whole, targets: [context.count..<whole.count])
        }
        var row = EncodedExample(ids: context)
        row.answer = continuation
        return row
    }

    private static func kept(_ targets: [Range<Int>], in count: Int) -> [Range<Int>] {
        targets.map { $0.clamped(to: min(1, count)..<count) }.filter { !$0.isEmpty }
    }

    /// Cut to a length, at the end.
    func truncated(to length: Int) -> EncodedExample {
        guard ids.count > length else { return self }
        var cut = EncodedExample(
            ids: Array(ids.prefix(length)), typeIds: typeIds, label: label, targets: targets, isTruncated: true)
        cut.task = task
        return cut
    }

    /// Cut to a length, at the beginning; targets that are cut off are lost.
    func keepingEnd(_ length: Int) -> EncodedExample {
        let lost = ids.count - length
        guard lost > 0 else { return self }
        let moved = targets.map { max(0, $0.lowerBound - lost)..<max(0, $0.upperBound - lost) }
        var cut = EncodedExample(ids: Array(ids.suffix(length)), label: label, targets: moved, isTruncated: true)
        cut.task = task
        return cut
    }

    /// How many tokens the loss counts.
    public var targetCount: Int { label != nil ? 1 : answer?.count ?? targets.reduce(0) { $0 + $1.count } }

    /// How many tokens go through the model.
    public var length: Int { image?.length ?? ids.count + (answer?.count ?? 0) }
}

/// Turns examples into what a model takes, always in the same way: in training, evaluation and prediction.
public struct ExampleEncoder: Sendable {
    /// What can be chosen.
    public struct Options: Hashable, Sendable {
        /// The most tokens a row may have. Worked examples before it come on top, as far as the model's positions go.
        public var maximumLength: Int
        /// Whether a prompt begins with the tokenizer's own start token and a completion ends with its end token; a row
        /// that is too long then loses the beginning of its prompt. Without, prompt and completion are taken exactly as
        /// they are, and a row that is too long loses its end. (Texts to classify always get the special tokens, and so
        /// do both texts of an encoder-decoder, whose completion also always ends with the end token.)
        public var marksCompletions: Bool
        /// Whether conversations are written with the chat template of the model's folder, which then also says where turns
        /// begin and end. Without, they are plain lines.
        public var usesChatTemplate: Bool
        /// The names of the tasks that rows belong to, in the order by which they are numbered; empty where rows have none.
        public var tasks: [String]

        /// Options with a length.
        public init(
            maximumLength: Int = 256, marksCompletions: Bool = false, usesChatTemplate: Bool = false,
            tasks: [String] = []
        ) {
            self.maximumLength = maximumLength
            self.marksCompletions = marksCompletions
            self.usesChatTemplate = usesChatTemplate
            self.tasks = tasks
        }
    }

    /// Of a model of text.
    private let ownTokenizer: Tokenizer?
    /// Of a model of images.
    private let images: ImageReader?
    /// The choices.
    public let options: Options
    /// Text before every prompt, such as in-context examples.
    public let preamble: String
    /// The most tokens of a row with its preamble: as many as the model has positions.
    private let limit: Int
    /// Whether prompts and completions go to different stacks.
    private let separatesTargets: Bool
    private let chat: ChatEncoding?

    private var tokenizer: Tokenizer {
        get throws {
            guard let ownTokenizer else { throw ExampleEncoder.misfit(readsImages: true) }
            return ownTokenizer
        }
    }

    /// The token that ends an answer in a conversation, besides the tokenizer's end token.
    public var turnEnd: Int? { chat?.turnEnd }

    /// An encoder for a model; the length is kept within the model's positions.
    ///
    /// - Throws: `HoneError` where the chat template is wanted and there is none, or none that can be read.
    public init(_ model: BaseModel, options: Options, preamble: String = "") throws {
        if options.usesChatTemplate {
            guard let format = try model.chatFormat(), let withTools = try model.chatFormat(hasTools: true) else {
                throw HoneError(
                    .mismatch,
                    "the conversations of this task are written with a chat template, and the model has none",
                    file: model.folder)
            }
            chat = ChatEncoding(format, withTools: withTools)
        } else {
            chat = nil
        }
        ownTokenizer = model.readsImages ? nil : try model.tokenizer
        images = model.imagePreparation.flatMap { preparation in
            model.configuration.patches.map { ImageReader(preparation, patches: $0) }
        }
        var options = options
        options.maximumLength = min(options.maximumLength, model.maximumLength)
        limit = preamble.isEmpty ? options.maximumLength : model.maximumLength
        separatesTargets = model.configuration.decoder != nil
        if separatesTargets { options.marksCompletions = true }
        self.options = options
        self.preamble = preamble
    }

    /// The tokens of an example, or its image. Of a text that is too long the end is cut off; of a prompt and completion, what
    /// `Options.marksCompletions` says. A preamble that does not fit loses its beginning: it never takes targets from a row.
    ///
    /// - Throws: `HoneError` where the model's chat template refuses a conversation, or where it cannot be found out which of
    ///   its tokens the assistant says; where an image cannot be read; and with code `.mismatch` where the model reads images
    ///   and the example is text, or the other way round. With code `.badData` where it belongs to none of the tasks.
    public func encode(_ example: Example) throws -> EncodedExample {
        var encoded = try encodeInput(example)
        encoded.task = try task(of: example)
        return encoded
    }

    /// The number of an example's task. A row without a name belongs to the only task.
    private func task(of example: Example) throws -> Int? {
        guard !options.tasks.isEmpty else { return nil }
        func refused(_ sentence: String) -> HoneError {
            let place = example.file.isEmpty ? nil : example.file
            let known = options.tasks.prefix(20).joined(separator: ", ")
            return HoneError(
                .badData, sentence + " " + known + (options.tasks.count > 20 ? ", ..." : ""), file: place,
                line: place == nil ? nil : example.line)
        }
        guard let name = example.task else {
            if options.tasks.count == 1 { return 0 }
            throw refused("the row does not say which task it belongs to; the tasks are")
        }
        guard let place = options.tasks.firstIndex(of: name) else {
            throw refused("there is no task `\(name.prefix(80))`; the tasks are")
        }
        return place
    }

    private func encodeInput(_ example: Example) throws -> EncodedExample {
        switch example.input {
        case .image(let reference):
            guard let images else { throw ExampleEncoder.misfit(readsImages: false) }
            var encoded = EncodedExample(ids: [], label: example.label)
            encoded.image = try images.image(reference)
            return encoded
        case .text(let text):
            let encoding = try tokenizer.encoding(text, maximumLength: options.maximumLength)
            return try classified(encoding, typeIds: nil, label: example.label)
        case .pair(let first, let second):
            let encoding = try tokenizer.encodePair(first, second, maximumLength: options.maximumLength)
            return try classified(encoding, typeIds: encoding.typeIds, label: example.label)
        case .prompt(let text):
            return try joined(prompt: text, completion: example.completion)
        case .messages(let messages, _):
            if let chat, !separatesTargets {
                let answer = example.completion.map { Message(role: .assistant, content: $0) }
                let row = try chat.encode(messages, answer: answer, of: example, preamble: preamble)
                guard answer != nil else { return row }
                guard !preamble.isEmpty else { return row.truncated(to: options.maximumLength) }
                let bare = try chat.encode(messages, answer: answer, of: example, preamble: "")
                let excess = max(0, bare.ids.count - options.maximumLength)
                return row.truncated(to: row.ids.count - excess).keepingEnd(limit)
            }
            return try joined(
                prompt: ExampleEncoder.plain(messages), completion: example.completion.map { " " + $0 })
        }
    }

    /// The tokens of a prompt alone, to generate from; the beginning is cut off where it is too long, except for a start
    /// token.
    ///
    /// - Parameter room: how many tokens the prompt may have at most, where that is less than the encoder's own limit.
    /// - Throws: as `encode`.
    public func prompt(_ example: Example, room: Int = .max) throws -> [Int] {
        try promptRow(example, room: room).ids
    }

    /// The same with the example's task.
    func promptRow(_ example: Example, room: Int) throws -> EncodedExample {
        var bare = example
        bare.target = .unknown
        var row = try encode(bare)
        row.ids = try keepingEnd(of: row.ids, room: max(1, min(room, limit)))
        return row
    }

    private func keepingEnd(of prompt: [Int], room: Int) throws -> [Int] {
        guard prompt.count > room else { return prompt }
        let start = try room > 1 && prompt.first == tokenizer.bosId ? 1 : 0
        return prompt.prefix(start) + prompt.suffix(room - start)
    }

    /// A conversation as plain lines, for models without a chat template: `role: content`, and whose turn it is.
    static func plain(_ messages: [Message]) -> String {
        messages.map { "\($0.role.rawValue): \($0.content)\n" }.joined() + "assistant:"
    }

    /// Images for a model of text, or text for one of images.
    public static func misfit(readsImages: Bool) -> HoneError {
        HoneError(
            .mismatch,
            readsImages
                ? "the rows are texts, and this model reads images; name a model of text with --model"
                : "the rows are images, and this model reads text; name a model of images (ViT, DeiT) with --model")
    }

    private func classified(_ encoding: Encoding, typeIds: [Int]?, label: Int?) throws -> EncodedExample {
        let tokenizer = try tokenizer
        // An empty text of a tokenizer without special tokens still needs a position.
        let ids = encoding.ids.isEmpty ? [tokenizer.bosId ?? tokenizer.eosId ?? tokenizer.padId ?? 0] : encoding.ids
        return EncodedExample(
            ids: ids, typeIds: encoding.ids.isEmpty ? nil : typeIds, label: label, isTruncated: encoding.isTruncated)
    }

    private func joined(prompt: String, completion: String?) throws -> EncodedExample {
        if separatesTargets { return try separated(prompt: prompt, completion: completion) }
        let tokenizer = try tokenizer
        let asked = try promptTokens(preamble + prompt)
        guard let completion else { return EncodedExample(ids: asked) }
        var said = tokenizer.encode(completion, addSpecialTokens: false)
        if options.marksCompletions, let end = tokenizer.eosId { said.append(end) }
        let bareLength = try preamble.isEmpty ? asked.count : promptTokens(prompt).count
        let excess = max(0, bareLength + said.count - options.maximumLength)
        guard options.marksCompletions else {
            let row = EncodedExample(ids: asked + said, targets: [asked.count..<asked.count + said.count])
            return row.truncated(to: row.ids.count - excess).keepingEnd(limit)
        }
        // One token is kept for what predicts the first target.
        let kept = said.prefix(options.maximumLength - 1)
        let rest = try keepingEnd(of: asked, room: limit - kept.count)
        return EncodedExample(
            ids: rest + kept, targets: [rest.count..<rest.count + kept.count],
            isTruncated: excess > 0 || rest.count < asked.count)
    }

    /// A prompt with its start token; at least one token.
    private func promptTokens(_ text: String) throws -> [Int] {
        let tokenizer = try tokenizer
        let start = options.marksCompletions ? [tokenizer.bosId].compactMap { $0 } : []
        let ids = start + tokenizer.encode(text, addSpecialTokens: false)
        return ids.isEmpty ? [tokenizer.bosId ?? tokenizer.eosId ?? 0] : ids
    }

    /// Prompt and completion as two texts, each with the special tokens that the tokenizer gives a text.
    private func separated(prompt: String, completion: String?) throws -> EncodedExample {
        let tokenizer = try tokenizer
        let input = tokenizer.encoding(preamble + prompt, maximumLength: limit)
        var example = try classified(input, typeIds: nil, label: nil)
        guard let completion else { return example }
        var targets = tokenizer.encoding(completion).ids
        if let end = tokenizer.eosId, targets.last != end { targets.append(end) }
        example.isTruncated = example.isTruncated || targets.count > options.maximumLength
        example.answer = Array(targets.prefix(options.maximumLength))
        return example
    }
}
