import ArgumentParser
import CHoneStart
import Foundation
import HoneFormats

/// The command: arguments in, calls to `Hone`, words out.
@main
struct HoneMain: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hone",
        abstract: "Makes a general language model good at one task, and proves it.",
        discussion: """
            Give a table of examples; Hone tries the ways of adapting a model that fit, measures each on rows it has not \
            seen, and leaves the best specialist in a folder with its report.

              hone fit tickets.csv                          try methods within 15 minutes, pick one honestly
              hone fit tickets.csv --methods probe,lora     only these
              hone train rows.jsonl --method lora --model DIR --set rank=16
              hone predict runs/tickets-1 "my card is stuck in the machine"
              hone eval runs/tickets-1 --data new.csv       the numbers again, on other rows
              hone generate DIR "Once upon a time"          what a model writes; hone chat DIR talks with it

            Data is CSV, TSV, JSONL or JSON: text and label columns for classification, {prompt, completion} or \
            {messages} for generation. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C.
            """,
        version: Version.text,
        subcommands: [
            FitCommand.self, TrainCommand.self, PredictCommand.self, EvalCommand.self, ExportCommand.self,
            CompareCommand.self,
            ScoreCommand.self, GenerateCommand.self, ChatCommand.self, EmbedCommand.self, TokenizeCommand.self,
            InspectCommand.self, MethodsCommand.self, GraftCommand.self, TaskVectorCommand.self, GeneratorCommand.self,
            PullCommand.self, DoctorCommand.self,
        ])

    static func main() {
        Console.fillClosedStreams()
        hone_start_settings()
        // A reader that goes away (`hone methods | head -1`) is no reason to be killed without a word.
        signal(SIGPIPE, SIG_IGN)
        var command: any ParsableCommand
        do {
            command = try parseAsRoot()
        } catch {
            finish(parsing: error)
        }
        do {
            try command.run()
        } catch let error as HoneError {
            Console.error(error.description)
            end(error.code.exitCode)
        } catch let code as ExitCode {
            end(code.rawValue)
        } catch {
            finish(parsing: error)
        }
        end(0)
    }

    /// Ends the process without what libraries have registered for its end. They only give memory back, which takes time, and oneDNN's
    /// cache of compiled products crashed in doing so after an hour of work, with everything written.
    private static func end(_ code: Int32) -> Never {
        fflush(nil)
        guard code == 0, let reason = Console.lostOutput else { _exit(code) }
        Console.error("standard output cannot be written: \(reason)")
        _exit(1)
    }

    /// Help and versions go to standard output, everything else is wrong usage.
    private static func finish(parsing error: any Error) -> Never {
        if exitCode(for: error) == .success {
            Console.print(fullMessage(for: error))
            end(0)
        }
        // One sentence like every other error; the usage line is in the help page.
        let sentence = message(for: error).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        Console.error(sentence + (sentence.hasSuffix(".") ? "" : ".") + " `hone help` shows the options.")
        end(2)
    }
}
