import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneTorch

/// `hone embed`
struct EmbedCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "embed",
        abstract: "Turns texts into vectors whose cosine tells how close their meanings are.",
        discussion: """
            Texts come as arguments behind the model, from a file (a text a line in a .txt, or the column `text` of a table), \
            or line by line from standard input. How a text becomes a vector (pooling, linear maps, scaling) is read from the \
            model's folder, in the layout of sentence-transformers; a plain encoder takes the mean over its tokens. Without a \
            model, the built-in all-MiniLM-L6-v2 is used.

              hone embed all-MiniLM-L6-v2 "a cat sat" "the kitten rested" --json
              hone embed DIR --file texts.txt --out vectors.safetensors
              cat lines.txt | hone embed --out vectors.jsonl
            """)

    @Argument(
        help: ArgumentHelp(
            "The folder of a model or of a run, or all-MiniLM-L6-v2. Default: all-MiniLM-L6-v2.", valueName: "model"))
    var folder: String?
    @Argument(help: "Texts to embed.") var texts: [String] = []
    @Option(help: "A .txt with a text a line, or a table with a column `text`.") var file: String?
    @Option(help: "Where the vectors go: a .safetensors with the tensor `embeddings`, or a .jsonl with a line a text.")
    var out: String?
    @Option(name: .customLong("prompt-name"), help: "The name of a prompt of the model that is put before every text.")
    var promptName: String?
    @Option(help: "The base model's folder of a run, where it has moved.") var model: String?
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard texts.isEmpty || file == nil else {
            throw HoneError(.usage, "give texts or --file, not both", item: "--file")
        }
        if let out, !out.hasSuffix(".safetensors"), !out.hasSuffix(".jsonl") {
            throw HoneError(.usage, "must end in .safetensors or .jsonl", file: out, item: "--out")
        }
        try Engine.start(threads: threads)
        let given = try file.map { try TextFile.texts($0, columns: ["text"]) } ?? texts
        let wanted = try given.isEmpty && file == nil ? Console.standardInputLines() : given
        guard !wanted.isEmpty else {
            throw HoneError(.usage, "there is nothing to embed: give a model and texts, --file, or lines")
        }
        let named = try NamedModel(folder, base: model)
        let embeddings = try Embeddings(of: wanted, by: named, promptName: promptName)
        if let out { try embeddings.write(to: out) }
        if json {
            Console.print(json: try embeddings.json(withVectors: out == nil, file: out))
        } else if let out {
            Console.print("\(wanted.count) texts, \(embeddings.width) numbers each, in \(out)")
        } else {
            for row in try embeddings.rows {
                Console.print(row.map { String(format: "%.6f", $0) }.joined(separator: " "))
            }
        }
    }
}
