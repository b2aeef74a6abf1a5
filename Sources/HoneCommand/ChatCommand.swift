import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneTorch
import HoneTraining

/// `hone chat`
struct ChatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talks with a model, or with a run's specialist, line by line.",
        discussion: """
            Each line is a message; the answer is written as it comes, and both stay in the history. /reset forgets the \
            history, /quit or the end of the input ends. Ctrl-C stops an answer; a second one, or one while nothing is being \
            written, ends. Lines may also come from a pipe.

              hone chat DIR --system "You answer in one sentence." --temperature 0.7 --top-p 0.9
              printf 'Hello!\\nWho are you?\\n' | hone chat DIR
            """)

    @Argument(
        help: ArgumentHelp("The folder of a model in Hugging Face layout, or of a run.", valueName: "model-or-run"))
    var folder: String
    @Option(help: "What the model is told before the first message.") var system: String?
    @OptionGroup var writing: WritingOptions
    @Option(help: "The base model's folder of a run, where it has moved.") var model: String?
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?

    func run() throws {
        try writing.options.check()
        try Engine.start(threads: threads)
        var chat = try Chat(
            NamedModel(
                folder, base: model, dtype: writing.dtype.dtype, exact: writing.exact, task: writing.task),
            system: system,
            options: writing.options, quantises: writing.dtype == .int8)
        if !chat.usesTemplate {
            Console.error("turns are written as plain lines, `user: …`, because there is no chat template")
        }
        let isTerminal = isatty(STDIN_FILENO) == 1
        if isTerminal { Console.error("/reset forgets the history, /quit ends") }
        Interruption.install([SIGINT])
        Interruption.rest()
        while true {
            if isTerminal { Console.note("> ") }
            guard let line = readLine() else { break }
            switch line.trimmingCharacters(in: .whitespaces) {
            case "": continue
            case "/quit": return
            case "/reset":
                chat.reset()
                Console.error("the history is forgotten")
            case let command where command.hasPrefix("/"):
                Console.error("`\(command.prefix(40))` is no command; there are /reset and /quit")
            case let message: try answer(message, &chat)
            }
        }
        if isTerminal { Console.note("\n") }
    }

    private func answer(_ message: String, _ chat: inout Chat) throws {
        let before = chat.omitted
        do {
            _ = try Interruption.during {
                try chat.answer(
                    message, onPiece: { Console.write($0) },
                    shouldStop: { Interruption.isWished })
            }
            Console.print("")
        } catch let error as HoneError where error.code == .badData {
            // Too long a message is no reason to lose the conversation.
            Console.error(error.description)
        }
        if chat.omitted > before {
            Console.error("the history is long: \(chat.omitted) of its oldest turns are left out")
        }
    }
}
