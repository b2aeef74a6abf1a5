import ArgumentParser
import CAllocationCount
import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining

/// Counts the tensors that a unit of each kind of work allocates, and compares the counts with those that are checked in:
/// unlike times they are the same on every machine, so that a change that allocates more shows itself.
struct Allocations: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Tensor allocations against thresholds.")

    @Option(help: "A JSON file of the most allocations and bytes of each work.") var thresholds: String
    @Flag(help: "Write what is found, with a tenth on top, as the new thresholds.") var write = false

    func run() throws {
        hone_count_allocations()
        // With one thread nothing depends on how work is shared out.
        try Engine.start(threads: 1)
        var found: [(name: String, count: hone_allocation_count)] = []
        for (name, work) in try works() {
            // The first rounds fill caches.
            for _ in 0..<3 { try work() }
            hone_reset_allocation_count()
            hone_begin_instructions()
            try work()
            hone_end_instructions(name)
            found.append((name, hone_allocations()))
        }
        if write {
            var all = JSONObject()
            for (name, count) in found { all[name] = json(count, factor: 1.1) }
            try AtomicFile.write(JSON.object(all).text(pretty: true) + "\n", to: thresholds)
        }
        let limits = try JSON.read(file: thresholds)
        var isAbove = false
        var all = JSONObject()
        for (name, count) in found {
            all[name] = json(count, factor: 1)
            for (field, value) in fields(count) {
                guard let limit = limits[name]?[field]?.integer else {
                    throw HoneError(.badFile, "has no limit", file: thresholds, item: "\(name).\(field)")
                }
                if value > limit {
                    isAbove = true
                    FileHandle.standardError.write(
                        Data("\(name): \(field) \(value) is above the limit of \(limit)\n".utf8))
                }
            }
        }
        print(JSON.object(all).text())
        if isAbove { throw ExitCode.failure }
    }

    private func fields(_ count: hone_allocation_count) -> [(String, Int)] {
        [
            ("allocations", Int(count.allocations)), ("bytes", Int(count.bytes)),
            ("peak_bytes", Int(count.peak_bytes)),
        ]
    }

    private func json(_ count: hone_allocation_count, factor: Double) -> JSON {
        var object = JSONObject()
        for (field, value) in fields(count) { object[field] = .integer(Int((Double(value) * factor).rounded(.up))) }
        return .object(object)
    }

    /// A training step of a decoder and of an encoder, scoring rows, and writing tokens.
    private func works() throws -> [(name: String, work: () throws -> Void)] {
        let scratch = try TemporaryFolder()
        let decoder = try TinyModel.llama.load(in: scratch)
        let encoder = try TinyModel.bert.load(in: scratch)
        func training(_ model: BaseModel, _ task: TinyTask, _ method: String) throws -> () throws -> Void {
            let encoding = ExampleEncoder.Options(maximumLength: 48)
            let adapter = try Adapter.initial(
                Methods.make(method), for: model, task: task.shape, labels: task.labels, encoding: encoding, seed: 0)
            let rows = try task.examples.map(ExampleEncoder(model, options: encoding).encode)
            var plan = TrainingPlan(steps: 1, learningRate: 1e-3)
            plan.batchSize = 16
            plan.order = .file
            let trainer = try Trainer(model: model, adapter: adapter, examples: rows, plan: plan)
            return { _ = try trainer.run() }
        }
        let generation = TinyTask.generation()
        let plain = try Specialist(
            base: decoder,
            adapter: Adapter.initial(
                Methods.make("icl"), for: decoder, task: generation.shape, labels: [],
                encoding: .init(maximumLength: 48), seed: 0))
        let rows = try generation.examples.prefix(16).map(plain.encoder.encode)
        let prompts = rows.map { Array($0.ids.prefix(6)) }
        var options = GenerationOptions()
        options.maximumNewTokens = 16
        return [
            ("decoder LoRA step", try training(decoder, generation, "lora")),
            ("encoder LoRA step", try training(encoder, .classification(), "lora")),
            ("encoder full step", try training(encoder, .classification(), "full")),
            ("scoring 16 rows", { _ = try plain.targetLosses(rows) }),
            (
                "writing 16 tokens",
                {
                    _ = try decoder.transformer.generate(
                        from: [prompts[0]], padId: decoder.padId, options: options)
                }
            ),
            (
                "writing 16 tokens, 16 rows",
                { _ = try decoder.transformer.generate(from: prompts, padId: decoder.padId, options: options) }
            ),
        ]
    }
}
