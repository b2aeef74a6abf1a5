import HoneFormats

/// What kind of thing a task asks for.
public enum TaskKind: String, Sendable, Hashable, CaseIterable {
    /// One label out of several for a text, a pair of texts or an image.
    case classification
    /// A text that follows a prompt or a conversation.
    case generation
}

/// One turn of a conversation.
public struct Message: Sendable, Hashable {
    /// Who speaks.
    public enum Role: String, Sendable, Hashable, CaseIterable {
        /// Standing instructions.
        case system
        /// The person.
        case user
        /// The model.
        case assistant
        /// The result of a tool.
        case tool
    }

    /// Who speaks.
    public var role: Role
    /// What is said.
    public var content: String
    /// What else the turn has, such as `tool_calls` and `tool_call_id`; only chat templates look at it.
    public var members: JSONObject

    /// A turn by a role.
    public init(role: Role, content: String, members: JSONObject = JSONObject()) {
        self.role = role
        self.content = content
        self.members = members
    }
}

/// An image that stands in a file of its own.
public struct ImageReference: Sendable, Hashable {
    /// Where the file is, as it can be opened from the working folder.
    public var path: String
    /// The SHA-256 of the file, in hexadecimal digits, by which equal images are told; empty where it was not asked for.
    public var hash: String

    /// An image at a path.
    public init(path: String, hash: String = "") {
        self.path = path
        self.hash = hash
    }
}

/// One row of a task: what the model is given and what it should answer.
public struct Example: Sendable, Hashable {
    /// What the model is given.
    public enum Input: Sendable, Hashable {
        /// A text to classify.
        case text(String)
        /// Two texts to classify together, such as a premise and a hypothesis.
        case pair(String, String)
        /// An image to classify.
        case image(ImageReference)
        /// A prompt to go on from.
        case prompt(String)
        /// The turns of a conversation before the answer, and the tools that may be called in it, as JSON schemas; only chat
        /// templates look at tools.
        case messages([Message], tools: [JSON] = [])
    }

    /// What the model should answer.
    public enum Target: Sendable, Hashable {
        /// The index of the label in the task's list of labels.
        case label(Int)
        /// The text that follows the prompt, or the content of the last turn of a conversation.
        case completion(String)
        /// Not known: rows read for prediction.
        case unknown
    }

    /// Which row of its file this is, counted from 0: with the file, an identity that stays across runs.
    public var index: Int
    /// The file, as the user named it.
    public var file: String
    /// The line of the file on which the row starts, counted from 1.
    public var line: Int
    /// What the model is given.
    public var input: Input
    /// What the model should answer.
    public var target: Target
    /// The name of the task that the row belongs to, where the data are of several.
    public var task: String?

    /// An example from a row of a file.
    public init(index: Int, file: String, line: Int, input: Input, target: Target, task: String? = nil) {
        self.index = index
        self.file = file
        self.line = line
        self.input = input
        self.target = target
        self.task = task
    }

    /// The index of the label, where the target is one.
    public var label: Int? {
        if case .label(let index) = target { return index }
        return nil
    }

    /// The text to generate, where the target is one.
    public var completion: String? {
        if case .completion(let text) = target { return text }
        return nil
    }

    /// The text, the first of two texts, or the prompt; `nil` for conversations and images.
    public var text: String? {
        switch input {
        case .text(let text), .pair(let text, _), .prompt(let text): text
        case .messages, .image: nil
        }
    }

    /// The second of two texts.
    public var secondText: String? {
        if case .pair(_, let second) = input { return second }
        return nil
    }

    /// The image, where the input is one.
    public var image: ImageReference? {
        if case .image(let image) = input { return image }
        return nil
    }

    /// The turns before the answer, where the input is a conversation.
    public var messages: [Message]? {
        if case .messages(let messages, _) = input { return messages }
        return nil
    }

    /// The tools that may be called in the conversation.
    public var tools: [JSON] {
        if case .messages(_, let tools) = input { return tools }
        return []
    }
}
