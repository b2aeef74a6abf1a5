import ArgumentParser
import Hone
import HoneFormats
import HoneTorch

/// `hone export`
struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Writes a specialist as a model folder of its own, or as a plain LoRA.",
        discussion: """
            The folder is the base model's, file for file, with what was learned folded into the weights; transformers and \
            everything else that reads the base reads it. A classifier's head lies beside as \
            classification_head.safetensors. Soft prompts and in-context examples cannot be folded in.

              hone export runs/tickets-1 --out models/tickets

            With `--as lora` the folder is an adapter that PEFT reads: what a method of low-rank changes has learned, with a rank of \
            its own for each map, also of methods that PEFT does not have.

              hone export runs/tickets-1 --as lora --out adapters/tickets
            """)

    /// What is written.
    enum Form: String, ExpressibleByArgument, CaseIterable {
        case model
        case lora
    }

    @Argument(help: ArgumentHelp("The folder of a run, or of an adapter that Hone or PEFT wrote.", valueName: "run"))
    var folder: String
    @Option(help: "The folder to make.") var out: String
    @Option(name: .customLong("as"), help: "What to write: a whole model, or a LoRA.") var form = Form.model
    @Option(help: "The base model's folder, where it has moved.") var model: String?
    @Option(help: "Which task of a run that tells several apart; each is another model.") var task: String?
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard !out.isEmpty else { throw HoneError(.usage, "must name a folder", item: "--out") }
        try Engine.start(threads: threads)
        let saved = try SavedRun(path: folder, model: model, task: task)
        do {
            switch form {
            case .model: try saved.specialist.export(to: out)
            case .lora:
                let plain = try saved.specialist.adapter.asLoRA()
                try AtomicFolder.create(at: out) { try plain.write(to: $0, for: saved.specialist.base) }
            }
        } catch let error as HoneError {
            throw error.inFile(out)
        }
        if json {
            let what = form == .model ? "model" : "adapter"
            Console.print(json: [what: .string(out), "method": .string(saved.specialist.adapter.method.name)])
        } else {
            Console.print("\(form == .model ? "model  " : "adapter") \(out)")
        }
    }
}
