import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import Testing

/// The matrix: every method on an encoder and two decoders, for a classification and a generation; on models with the
/// switches that those lack, for one of the two.
@Suite struct ConformanceTests {
    /// The row of each method. A new method gets a row here.
    static func row(_ name: String) throws -> ConformanceRow {
        switch name {
        case "graft":
            return ConformanceRow(
                try Methods.make(name, typed: ["keep": "0.05", "rounds": "2", "mask-rows": "16"]), startsAtBase: true,
                learningRate: 5e-3
            ) { GraftSpace($0).count }
        case "probe", "icl": return ConformanceRow(try Methods.make(name), startsAtBase: true) { _ in 0 }
        case "prompt":
            var row = ConformanceRow(
                try Methods.make(name, typed: ["length": "5"]), startsAtBase: false, learningRate: 5e-2
            ) { 5 * $0.tokenWidth }
            row.largestShare = 0.9
            return row
        case "dept", "ept":
            let more = name == "ept" ? ["spaces": "2", "bottleneck": "4"] : [:]
            var row = ConformanceRow(
                try Methods.make(
                    name,
                    typed: ["length": "5", "rank": "3", "places": "40", "low-rank-rate": "0.5"].merging(more) { $1 }),
                startsAtBase: false, learningRate: 5e-2
            ) { model in
                let width = model.tokenWidth
                let modules = name == "ept" ? 4 * width * 4 + 2 * 2 * width * 4 + width * 2 + 2 : 0
                return 5 * width + 3 * (40 + width) + modules
            }
            row.largestShare = 0.9
            return row
        case "prefix":
            var row = ConformanceRow(
                try Methods.make(name, typed: ["length": "4"]), startsAtBase: false, learningRate: 5e-2
            ) { model in
                model.stacks.reduce(0) { count, stack in
                    let own = stack.keyValueHeadCount * stack.headWidth * (stack.hasCrossAttention ? 2 : 1)
                    return count + 4 * 2 * stack.layerCount * own
                }
            }
            row.largestShare = 0.9
            return row
        case "ia3":
            var row = ConformanceRow(try Methods.make(name), startsAtBase: true, learningRate: 5e-2) { model in
                model.stacks.reduce(0) { count, stack in
                    let keys = stack.keyValueHeadCount * stack.headWidth
                    let own =
                        stack.attentionInput == .separate ? 2 * keys : stack.headCount * stack.headWidth + 2 * keys
                    let cross = stack.hasCrossAttention ? 2 * stack.headCount * stack.headWidth : 0
                    return count + stack.layerCount * (own + cross + stack.innerWidth)
                }
            }
            row.largestShare = 0.9
            return row
        case "adapters":
            return ConformanceRow(
                try Methods.make(name, typed: ["width": "4"]), startsAtBase: true, learningRate: 1e-2
            ) { model in
                model.stacks.reduce(0) { count, stack in
                    count + stack.layerCount * (stack.hasCrossAttention ? 3 : 2)
                        * (2 * 4 * stack.width + stack.width + 4)
                }
            }
        case "bitfit":
            return ConformanceRow(try Methods.make(name), startsAtBase: true, learningRate: 2e-2) { model in
                model.weightShapes.reduce(0) { $0 + ($1.name.hasSuffix(".bias") ? $1.shape[0] : 0) }
            }
        case "layernorm":
            return ConformanceRow(try Methods.make(name), startsAtBase: true, learningRate: 2e-2) { model in
                model.weightShapes.reduce(0) { $0 + ($1.name.contains("norm.") ? $1.shape[0] : 0) }
            }
        case "lora":
            return ConformanceRow(
                try Methods.make(name, typed: ["rank": "3"]), startsAtBase: true, learningRate: 1e-2
            ) { lowRankCount($0) { 3 * ($0 + $1) } }
        case "adalora":
            return ConformanceRow(
                try Methods.make(name, typed: ["initial-rank": "3", "target-rank": "1"]), startsAtBase: true,
                learningRate: 3e-2
            ) { lowRankCount($0) { 3 * ($0 + $1 + 1) } }
        case "triadaptlora":
            // Grows at the second step and after: also in the runs of eight steps that are stopped and resumed.
            var row = ConformanceRow(
                try Methods.make(name, typed: ["reference-rank": "4", "increment": "1", "interval": "2"]),
                startsAtBase: true, learningRate: 1e-2
            ) { lowRankCount($0) { $0 + $1 + 2 } }
            row.accumulationTolerance = 1e-4
            return row
        case "poly", "mhr":
            let heads = name == "mhr" ? 4 : 1
            var settings = ["rank": "3", "skills": "3", "routing-rate": "10"]
            if heads > 1 { settings["splits"] = "\(heads)" }
            return ConformanceRow(try Methods.make(name, typed: settings), startsAtBase: true, learningRate: 1e-2) {
                model in
                model.stacks.reduce(0) { count, stack in
                    count + stack.layerCount
                        * stack.linearMaps.reduce(0) { $0 + 3 * 3 * ($1.outputs + $1.inputs) + heads * 3 }
                }
            }
        case "lofit":
            var row = ConformanceRow(
                try Methods.make(name, typed: ["top": "100%", "selection-steps": "4"]), startsAtBase: false,
                learningRate: 5e-2
            ) { model in
                model.sites.reduce(0) { sum, site in
                    if case .heads(let count, let width) = site.kind { sum + count * width } else { sum }
                }
            }
            row.largestShare = 0.97
            return row
        case "site":
            var row = ConformanceRow(
                try Methods.make(name, typed: ["shots": "2", "prompts": "5"]), startsAtBase: false, learningRate: 0.2
            ) { $0.layerCount * $0.headCount }
            // A number a head cannot teach a random model much.
            row.steps = 120
            row.largestShare = 0.995
            return row
        case "fv":
            return ConformanceRow(
                try Methods.make(name, typed: ["shots": "2", "prompts": "5", "trials": "3", "heads": "2"]),
                startsAtBase: true
            ) { _ in 0 }
        case "tv":
            return ConformanceRow(
                try Methods.make(name, typed: ["shots": "2", "prompts": "3"]), startsAtBase: false
            ) { _ in 0 }
        case "full":
            return ConformanceRow(try Methods.make(name), startsAtBase: true, learningRate: 5e-3) { $0.parameterCount }
        default: throw HoneError(.usage, "the method has no row in the conformance matrix", item: name)
        }
    }

    /// A sum over all linear maps of a model, by how much comes out of them and goes in.
    private static func lowRankCount(_ model: TransformerConfiguration, _ count: (Int, Int) -> Int) -> Int {
        model.stacks.reduce(0) { sum, stack in
            sum + stack.layerCount * stack.linearMaps.reduce(0) { $0 + count($1.outputs, $1.inputs) }
        }
    }

    /// All methods, or those of `HONE_METHODS` (separated by commas), for work on one of them.
    static let names: [String] = {
        let wanted = ProcessInfo.processInfo.environment["HONE_METHODS"]?.split(separator: ",").map(String.init)
        return Methods.all.map { $0.card.name }.filter { wanted?.contains($0) ?? true }
    }()
    struct Place: Sendable, CustomTestStringConvertible {
        var model: TinyModel
        var task: TinyTask
        var testDescription: String { "\(model.rawValue) \(task.name)" }
    }
    static let places =
        [TinyModel.bert, .llama, .gpt2, .bart].flatMap { model in
            [TinyTask.classification(), .generation()].map { Place(model: model, task: $0) }
        } + [
            Place(model: .qwen3, task: .generation()), Place(model: .opt, task: .generation()),
            Place(model: .neox, task: .classification()), Place(model: .roberta, task: .classification()),
        ] + ((try? TinyTask.images()).map { [Place(model: .deit, task: $0)] } ?? [])

    @Test func `every method has a row`() throws {
        #expect(Self.places.contains { $0.model == .deit })
        for name in Self.names { #expect(try Self.row(name).method.name == name) }
    }

    @Test(arguments: names, places)
    func `a method holds what every method must hold, or says why it does not fit`(
        name: String, place: Place
    ) throws {
        let row = try Self.row(name)
        if Self.reason(name, place.model, place.task.shape) != nil { return }
        let findings = try Conformance.findings(row, on: place.model, task: place.task)
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }

    /// What a method must say where it does not fit.
    static func reason(_ name: String, _ model: TinyModel, _ task: TaskShape) -> String? {
        switch (name, model, task) {
        case ("probe", _, .generation): "can only classify"
        case ("icl", .bert, _), ("icl", .roberta, _), ("icl", .deit, _): "generates text"
        case ("site", .bert, _), ("fv", .bert, _), ("tv", .bert, _), ("site", .roberta, _), ("fv", .roberta, _),
            ("tv", .roberta, _), ("site", .deit, _), ("fv", .deit, _), ("tv", .deit, _):
            "does not write"
        case ("site", .bart, .generation), ("fv", .bart, _), ("tv", .bart, _): "reads it in an encoder"
        case ("site", .bart, _): "does not write"
        case ("site", _, .classification), ("fv", _, .classification), ("tv", _, .classification):
            "write the label's text"
        case (_, .bert, .generation): "generates text"
        case ("bitfit", .llama, _), ("bitfit", .qwen3, _): "no biases"
        default: nil
        }
    }

    @Test(arguments: names, places)
    func `a method that does not fit says why, and one that fits says nothing`(
        name: String, place: Place
    ) throws {
        let refusal = try Conformance.refusal(Self.row(name).method, on: place.model, task: place.task)
        if let reason = Self.reason(name, place.model, place.task.shape) {
            #expect(refusal?.contains(reason) == true, "said \(refusal ?? "nothing")")
        } else {
            #expect(refusal == nil)
        }
    }

    @Test func `full fine-tuning of a decoder whose head is not tied holds it too`() throws {
        let findings = try Conformance.findings(Self.row("full"), on: .untiedLlama, task: .generation())
        #expect(findings.isEmpty, "\(findings.map(\.description).joined(separator: "\n"))")
    }
}
