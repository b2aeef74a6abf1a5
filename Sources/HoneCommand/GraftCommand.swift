import ArgumentParser
import Foundation
import Hone
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import HoneTraining

/// `hone graft`
struct GraftCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "graft",
        abstract: "Finds the few coordinates that hold a fine-tuned model's skill, and works with them.",
        discussion: """
            A graft is a sparse difference: a few coordinates of the layers with their fine-tuned values. `make` needs a \
            fine-tuned model (a run of any method that folds into weights, or a model folder beside its --base) and \
            rows of its task; `hone train --method graft` does both in one. In place of a file, a run made so may be named.

              hone graft make --finetuned runs/tickets-full-1 --data train.csv --keep 1e-4 --out tickets.graft
              hone graft apply tickets.graft --out models/tickets
              hone graft union a.graft b.graft --out both.graft
              hone graft overlap a.graft b.graft
              hone graft where tickets.graft
            """,
        subcommands: [
            GraftMakeCommand.self, GraftApplyCommand.self, GraftUnionCommand.self, GraftOverlapCommand.self,
            GraftWhereCommand.self, GraftEvalCommand.self,
        ])
}

/// `hone graft make`
struct GraftMakeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "make", abstract: "Chooses the coordinates and writes them with what they score.")

    @Option(help: "The base model, beside a fine-tuned model folder; a run knows its own.") var base: String?
    @Option(help: "The fine-tuned model: the folder of a run or of a model.") var finetuned: String
    @Option(help: "The training rows: a file, a folder, or a task.yaml.") var data: String
    @Option(help: "A file with validation rows.") var validation: String?
    @Option(help: "A file with test rows.") var test: String?
    @Option(help: "The share of the layers' coordinates to keep, above 0 and below 1.") var keep = "1e-4"
    @Option(help: "How coordinates are chosen: trained, movement, random, bias.") var mask: String?
    @Option(help: "How often the mask's scores are changed.") var rounds = 10
    @Option(name: .customLong("lr"), help: "The step length of the mask's scores.") var rate = "1e7"
    @Option(
        name: .customLong("mask-offset"), help: "How far scores are from turning a coordinate over; goes with --lr.")
    var offset = "10"
    @Option(help: "Label words of a generation task, separated by commas. Default: the completions there are.")
    var labels: String?
    @Option(name: .customLong("mask-rows"), help: "At most so many training rows are looked at in a round.")
    var rows = 1024
    @Option(name: .customLong("batch-size"), help: "How many rows are computed together.") var batchSize = 8
    @Option(name: .customLong("max-length"), help: "The most tokens of a row, where the run does not say.")
    var maximumLength = 256
    @Option(help: "The file to write.") var out: String
    @Option(help: "What everything random is drawn from.") var seed: UInt64 = 0
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(name: .customLong("no-train"), help: "Take the largest movement as it is.") var isUntrained = false
    @Flag(help: "Print one JSON object on standard output.") var json = false
    @Flag(help: "No progress.") var quiet = false

    func run() throws {
        guard !out.isEmpty else { throw HoneError(.usage, "must name a file", item: "--out") }
        guard !isUntrained || mask == nil else {
            throw HoneError(.usage, "says how coordinates are chosen, and so does --mask", item: "--no-train")
        }
        guard let share = Double(keep), share > 0, share < 1 else {
            throw HoneError(.usage, "must be a share above 0 and below 1, not \(keep)", item: "--keep")
        }
        guard (1...65536).contains(batchSize) else {
            throw HoneError(.usage, "must be from 1 to 65536, not \(batchSize)", item: "--batch-size")
        }
        guard mask != "whole" else {
            throw HoneError(.usage, "whole leaves nothing out, so there would be no graft", item: "--mask")
        }
        try Engine.start(threads: threads)
        var options = GraftRun.Options(finetuned: finetuned, data: data)
        options.base = base
        options.validation = validation
        options.test = test
        options.settings = [
            "keep": keep, "mask": isUntrained ? "movement" : mask ?? "trained", "rounds": "\(rounds)",
            "mask-rate": rate, "mask-offset": offset, "mask-rows": "\(rows)",
        ]
        options.labels = labels?.split(separator: ",").map(String.init) ?? []
        options.maximumLength = maximumLength
        options.batchSize = batchSize
        options.seed = seed
        options.hub = try DownloadVoice.client(quiet: quiet)
        let run = try GraftRun(options)
        Interruption.install()
        let result: GraftRun.Result
        do {
            result = try run.run(shouldStop: { Interruption.isWished }) { text in if !quiet { Console.error(text) } }
        } catch is CancellationError {
            throw ExitCode(130)
        }
        try result.file.write(to: out, for: run.source.base)
        if json {
            var object = result.json.object ?? JSONObject()
            object["graft"] = .string(out)
            Console.print(json: .object(object))
            return
        }
        Console.print("graft   \(out)")
        Console.print("kept    \(result.file.graft.count) of \(result.file.graft.selected) coordinates")
        GraftScores.print(result.json["scores"] ?? .null)
    }
}

/// Figures of grafts in lines.
enum GraftScores {
    static func print(_ scores: JSON) {
        for (split, own) in scores.object?.pairs ?? [] {
            for (name, key) in [("base", "base"), ("finetuned", "finetuned"), ("graft", "graft")] {
                guard let accuracy = own[key]?["accuracy"]?.number else { continue }
                let error = own[key]?["ece_percent"]?.number ?? .nan
                Console.print(
                    String(format: "%@  %@  accuracy %.4f  ECE %.2f %%", column(split), column(name), accuracy, error))
            }
            if let gain = own["relative_gain"]?.number, let agreement = own["agreement"]?.number {
                Console.print(
                    String(format: "%@  relative gain %.3f, agreement %.3f", column(split), gain, agreement))
            }
        }
    }

    static func column(_ text: String) -> String { text.padding(toLength: 10, withPad: " ", startingAt: 0) }
}

/// `hone graft eval`
struct GraftEvalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "eval", abstract: "Measures the base with one or more grafts on rows of a task.")

    @Argument(help: "The grafts; where two differ at a coordinate, the later one counts.") var grafts: [String]
    @Option(help: "The base model. Default: the folder that it had when the graft was made.") var model: String?
    @Option(help: "The graft whose head and labels answer. Default: the last one's.") var head: String?
    @Option(help: "The file with the rows.") var data: String
    @Option(name: .customLong("max-length"), help: "The most tokens of a row.") var maximumLength = 256
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: threads)
        let result = try GraftEvaluation.run(
            grafts, model: model, head: head, data: data, maximumLength: maximumLength)
        if json {
            Console.print(json: result)
        } else {
            GraftScores.print(["rows": result])
        }
    }
}

/// `hone graft apply`
struct GraftApplyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Writes the base model's folder with the graft in place.")

    @Argument(help: "The graft.") var graft: String
    @Option(help: "The base model. Default: the folder that it had when the graft was made.") var model: String?
    @Option(help: "The folder to make.") var out: String
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: threads)
        let base = try BaseModel(DefaultModel.location(model ?? GraftFile.read(graft).model))
        let file = try GraftFile.read(graft, for: base)
        do {
            try file.apply(to: base, at: out)
        } catch let error as HoneError {
            throw error.inFile(out)
        }
        if json {
            Console.print(json: ["model": .string(out), "k": .integer(file.graft.count)])
        } else {
            Console.print("model   \(out)")
        }
    }
}

/// `hone graft union`
struct GraftUnionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "union", abstract: "Joins grafts of one base; where two differ, the later one counts.")

    @Argument(help: "The grafts.") var grafts: [String]
    @Option(help: "The base model. Default: the folder that it had when the first graft was made.") var model: String?
    @Option(help: "The file to write.") var out: String
    @Option(help: "How many threads. Default: as many as are fastest here.") var threads: Int?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard grafts.count >= 2 else { throw HoneError(.usage, "needs at least two grafts", item: "union") }
        try Engine.start(threads: threads)
        let base = try BaseModel(DefaultModel.location(model ?? GraftFile.read(grafts[0]).model))
        var (graft, conflicts) = try Graft.union(grafts.map { try GraftFile.read($0, for: base).graft })
        graft.base = try Graft.Base(of: graft, model: base.transformer)
        try GraftFile(graft).write(to: out, for: base)
        if json {
            Console.print(
                json: [
                    "graft": .string(out), "k": .integer(graft.count), "n": .integer(graft.selected),
                    "conflicts": .integer(conflicts),
                ])
        } else {
            Console.print("graft   \(out)")
            Console.print("kept    \(graft.count) of \(graft.selected) coordinates, \(conflicts) with different values")
        }
    }
}

/// `hone graft overlap`
struct GraftOverlapCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "overlap", abstract: "Says how much of each graft is also in each other one.",
        discussion: """
            A row is the graft that is looked for, a column the graft that it is looked for in: the share of the row's \
            coordinates that the column has too. Chance is the share that a random graft of the column's size would have.
            """)

    @Argument(help: "The grafts.") var grafts: [String]
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        guard grafts.count >= 2 else { throw HoneError(.usage, "needs at least two grafts", item: "overlap") }
        try Engine.start(threads: 1)
        let files = try grafts.map { try GraftFile.read($0).graft }
        var pairs: [JSON] = []
        for (row, own) in files.enumerated() {
            for (column, other) in files.enumerated() where row != column {
                let common = try own.common(with: other)
                let union = own.count + other.count - common
                pairs.append([
                    "graft": .string(grafts[row]), "in": .string(grafts[column]), "common": .integer(common),
                    "share": .number(Double(common) / Double(max(1, own.count))),
                    "chance": .number(Double(other.count) / Double(max(1, other.selected))),
                    "jaccard": .number(Double(common) / Double(max(1, union))),
                ])
            }
        }
        if json {
            Console.print(json: ["pairs": .array(pairs)])
            return
        }
        for pair in pairs {
            Console.print(
                String(
                    format: "%@ in %@: %d coordinates, %.4f of it (chance %.6f), Jaccard %.4f",
                    pair["graft"]?.string ?? "", pair["in"]?.string ?? "", pair["common"]?.integer ?? 0,
                    pair["share"]?.number ?? 0, pair["chance"]?.number ?? 0, pair["jaccard"]?.number ?? 0))
        }
    }
}

/// `hone graft where`
struct GraftWhereCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "where", abstract: "Says in which kinds of weights and in which layers a graft lies.")

    @Argument(help: "The graft.") var graft: String
    @Option(help: "The base model. Default: the folder that it had when the graft was made.") var model: String?
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: 1)
        let base = try BaseModel(DefaultModel.location(model ?? GraftFile.read(graft).model))
        let file = try GraftFile.read(graft, for: base)
        let (kinds, layers) = file.graft.places(in: base.configuration)
        func list(_ places: [Graft.Place]) -> JSON {
            .array(
                places.map { place in
                    [
                        "name": .string(place.name), "count": .integer(place.count),
                        "share": .number(Double(place.count) / Double(max(1, file.graft.count))),
                        "share_of_layers": .number(Double(place.available) / Double(max(1, file.graft.selected))),
                    ]
                })
        }
        if json {
            Console.print(
                json: [
                    "k": .integer(file.graft.count), "n": .integer(file.graft.selected), "kinds": list(kinds),
                    "layers": list(layers),
                ])
            return
        }
        for (title, places) in [("weights", kinds), ("layer", layers)] {
            Console.print(GraftScores.column(title) + "  coordinates  of the graft  of the layers")
            for place in places {
                Console.print(
                    String(
                        format: "%@  %11d  %12.4f  %13.4f", GraftScores.column(place.name), place.count,
                        Double(place.count) / Double(max(1, file.graft.count)),
                        Double(place.available) / Double(max(1, file.graft.selected))))
            }
        }
    }
}
