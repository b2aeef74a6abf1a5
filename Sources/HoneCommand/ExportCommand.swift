import ArgumentParser
import Hone
import HoneFormats
import HoneTorch

/// `hone export`
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes a specialist as a model folder of its own.",
        discussion: """
            The folder is the base model's, file for file, with what was learned folded into the weights; transformers and \
            everything else that reads the base reads it. A classifier's head lies beside as \
            classification_head.safetensors. Soft prompts and in-context examples cannot be folded in.

              hone export runs/tickets-1 --out models/tickets
            """)

    @Argument(help: ArgumentHelp("The folder of a run.", valueName: "run"))
    var folder: String
    @Option(help: "The folder to make.") var out: String
    @Option(help: "The base model's folder, where it has moved.") var model: String?
    @Option(help: "Which task of a run that tells several apart; each is another model.") var task: String?
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard !out.isEmpty else { throw HoneError(.usage, "must name a folder", item: "--out") }
        try Engine.start(threads: threads)
        let saved = try SavedRun(path: folder, model: model, task: task)
        do {
            try saved.specialist.export(to: out)
        } catch let error as HoneError {
            throw error.inFile(out)
        }
        if json {
            Console.print(json: ["model": .string(out), "method": .string(saved.specialist.adapter.method.name)])
        } else {
            Console.print("model   \(out)")
        }
    }
}
