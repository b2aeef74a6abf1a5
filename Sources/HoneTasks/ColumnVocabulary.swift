/// The names under which data sets in the wild keep their texts, labels, prompts and answers.
///
/// All names are compared in lower case with `_` for spaces and hyphens.
enum ColumnVocabulary {
    /// Names of label columns; those in one row are equally likely, earlier rows win.
    static let labels: [Set<String>] = [
        ["label"],
        [
            "labels", "class", "category", "intent", "sentiment", "topic", "emotion", "gold_label", "label_text",
            "label_name", "class_name", "classification", "polarity", "tag", "y", "stance",
        ],
        ["target"],
    ]

    /// Endings of names of label columns that have a word before: `fine_label`.
    static let labelEndings = ["_label", "_class", "_category", "_intent", "_sentiment", "_topic"]

    /// Names of text columns; those in one row are equally likely, earlier rows win.
    static let texts: [Set<String>] = [
        ["text"],
        [
            "sentence", "utterance", "content", "message", "tweet", "document", "review", "comment", "passage", "post",
            "ticket", "email",
        ],
        ["question", "query", "body", "input", "prompt", "abstract", "description", "story", "article", "context"],
        ["title", "subject", "headline", "summary"],
    ]

    /// Names of columns with the paths of images, the likeliest first.
    static let images = [
        "image", "image_path", "image_file", "img", "picture", "photo", "file_name", "filename", "path", "file",
    ]

    /// Endings of the names of files with images that can be read.
    static let imageEndings: Set<String> = ["png", "jpg", "jpeg", "jpe", "jfif"]

    /// Two texts that are classified together.
    static let pairs: [(first: String, second: String)] = [
        ("premise", "hypothesis"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"),
        ("sentence_a", "sentence_b"), ("text_a", "text_b"), ("text1", "text2"), ("text_1", "text_2"),
        ("question1", "question2"), ("question", "sentence"), ("question", "passage"), ("question", "context"),
        ("passage", "question"), ("query", "document"), ("query", "passage"), ("context", "hypothesis"),
        ("question", "answer"), ("claim", "evidence"), ("text", "text_pair"),
    ]

    /// A short text that introduces a long one: joined by a line break.
    static let headings: [(heading: String, body: [String])] = [
        ("title", ["body", "text", "content", "description", "abstract", "review", "message"]),
        ("subject", ["body", "text", "message", "content", "description"]),
        ("headline", ["body", "text", "article"]),
        ("summary", ["review", "description"]),
    ]

    /// Prompts and what answers them under names that leave no doubt.
    static let plainGeneration: [(prompt: String, completions: [String])] = [
        ("prompt", ["completion", "response", "answer", "output", "target", "chosen"]),
        ("instruction", ["output", "response", "completion", "answer"]),
    ]

    /// Prompts and what answers them under names that labels also have.
    static let likelyGeneration: [(prompt: String, completions: [String])] = [
        ("question", ["answer", "response", "solution", "output"]), ("problem", ["solution", "answer"]),
        ("input", ["output", "target"]), ("source", ["target"]), ("query", ["response", "answer"]),
        ("article", ["highlights", "summary"]), ("document", ["summary"]), ("dialogue", ["summary"]),
        ("text", ["summary"]), ("user", ["assistant"]),
    ]

    /// A second text that belongs to a prompt, whether it comes first, and what stands between the two.
    static let additions: [(prompt: String, addition: String, isFirst: Bool, joint: String)] = [
        ("instruction", "input", false, "\n\n"), ("instruction", "context", false, "\n\n"),
        ("question", "body", true, " "), ("question", "context", true, "\n\n"),
        ("question", "passage", true, "\n\n"), ("question", "story", true, "\n\n"),
    ]

    /// Names of lists of turns.
    static let conversations: Set<String> = ["messages", "conversations", "conversation", "dialog", "chat"]

    /// Names of lists of answers to choose from.
    static let choices: Set<String> = ["choices", "options", "endings", "candidates"]

    /// Names of columns with few values that are not what somebody wants to learn.
    static let bookkeeping: Set<String> = [
        "id", "idx", "index", "split", "set", "source", "fold", "lang", "language", "date", "time", "url", "author",
        "user", "user_id", "version", "dataset", "annotator", "domain", "confidence",
    ]

    /// Whether a name is one of a column that only keeps the books: numbers, dates, sources.
    static func isBookkeeping(_ name: String) -> Bool {
        let name = normal(name)
        return bookkeeping.contains(name) || name.hasSuffix("_id") || name.hasSuffix("_index")
    }

    /// A name in the form in which names are compared.
    static func normal(_ name: String) -> String {
        String(name.lowercased().map { $0 == " " || $0 == "-" ? "_" : $0 })
    }
}
