import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// Several adapters over one base.
@Suite struct AdapterSetTests {
    private func adapter(_ name: String, _ model: BaseModel, _ task: TinyTask, seed: UInt64) throws -> Adapter {
        let adapter = try Adapter.initial(
            ConformanceTests.row(name).method, for: model, task: task.shape, labels: task.labels, encoding: .init(),
            seed: seed)
        var random = RandomStream(seed: seed, name: "noise")
        for parameter in adapter.parameters.trained {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.1))
        }
        return adapter
    }

    @Test
    func `rows of adapters, of methods that cannot share a batch and of the base alone each get their own answers`()
        throws
    {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.llama.load(in: scratch)
        let task = TinyTask.generation()
        var set = AdapterSet(base: model)
        let names = ["lora", "prompt", "full"]
        for (seed, name) in names.enumerated() {
            try set.add(adapter(name, model, task, seed: UInt64(seed)), named: name)
        }
        try set.add(adapter("lora", model, task, seed: 9), named: "other")
        #expect(set.names == ["full", "lora", "other", "prompt"])
        let owners: [String?] = ["lora", nil, "prompt", "other", "full", "lora", nil, "other"]
        let rows = task.examples.prefix(owners.count)
        let found = try set.targetLosses(zip(rows, owners).map { AdapterSet.Request($0, adapter: $1) })
        for ((row, owner), answer) in zip(zip(rows, owners), found) {
            let encoded = try ExampleEncoder(model, options: .init()).encode(row)
            let base = try model.transformer.targetScores([encoded], padId: model.padId)[0]
            let own = try owner.map { try set.specialist($0).targetLosses([encoded])[0] }
            let (loss, tokens) = own ?? (-base.logLikelihood, base.tokens)
            #expect(abs(answer.loss - loss) < 1e-5 && answer.tokens == tokens)
        }
        #expect(Set(found.map { ($0.loss * 1e4).rounded() }).count > 6)
    }

    private static let encoding = ExampleEncoder.Options(maximumLength: 40, marksCompletions: true)

    /// An adapter as a short run leaves it, so that what a method reads, finds or grows is in it.
    private func trained(_ name: String, _ model: BaseModel, _ task: TinyTask) throws -> Adapter {
        let row = try ConformanceTests.row(name)
        let card = type(of: row.method).card
        var adapter = try Adapter.initial(
            row.method, for: model, task: task.shape, labels: task.labels, encoding: Self.encoding, seed: 5)
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        let rows = try task.examples.map(encoder.encode)
        func trainer() throws -> Trainer {
            var plan = TrainingPlan(steps: 8, learningRate: row.learningRate ?? card.learningRates.first ?? 1e-3)
            plan.batchSize = 8
            plan.schedule = .constant
            return try Trainer(model: model, adapter: adapter, examples: rows, source: task.examples, plan: plan)
        }
        switch card.training {
        case .gradient: adapter.parameters = try trainer().run().parameters
        case .solver:
            let solver = try #require(row.method as? any SolverMethod)
            adapter.parameters = try solver.solve(rows, on: model, labels: task.labels, encoding: adapter.encoding)
        case .none:
            if let method = row.method as? InContextExamples {
                adapter.demonstrations = method.choose(from: task.examples, labels: task.labels)
            }
            if row.method.hasStages { adapter.parameters = try trainer().readParameters() }
        }
        return adapter
    }

    @Test(
        arguments: [
            (TinyModel.bert, TinyTask.classification()), (.llama, .generation()), (.gpt2, .generation()),
            (.bart, .generation()),
        ])
    func `rows of every method that fits, and of the base, asked together each get what they get alone`(
        kind: TinyModel, task: TinyTask
    ) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        let names = Methods.all.map { $0.card.name }.filter { ConformanceTests.reason($0, kind, task.shape) == nil }
        #expect(names.count > 14)
        var set = AdapterSet(base: model)
        for name in names { try set.add(trained(name, model, task), named: name) }
        // Each twice, never one after the other; a head is an adapter's, so that the base alone cannot classify.
        let generates = task.shape == .generation
        var round: [String?] = names
        if generates { round.append(nil) }
        let requests = (round + round).enumerated().map { place, name in
            AdapterSet.Request(task.examples[place % task.examples.count], adapter: name)
        }
        guard generates else {
            for (request, answer) in zip(requests, try set.probabilities(requests)) {
                let name = try #require(request.adapter)
                let alone = try set.specialist(name).probabilities([request.example])
                #expect(answer.count == alone.count && alone.count == 3, "\(name)")
                #expect(zip(answer, alone).allSatisfy { abs($0 - $1) < 1e-5 }, "\(name): \(answer) \(alone)")
            }
            return
        }
        let plain = try ExampleEncoder(model, options: Self.encoding)
        for (request, answer) in zip(requests, try set.targetLosses(requests)) {
            let bare = try model.transformer.targetScores([plain.encode(request.example)], padId: model.padId)[0]
            guard let name = request.adapter else {
                let most = 1e-5 * max(1, answer.loss)
                #expect(abs(answer.loss + bare.logLikelihood) < most && answer.tokens == bare.tokens)
                continue
            }
            let specialist = try set.specialist(name)
            let alone = try specialist.targetLosses([specialist.encoder.encode(request.example)])[0]
            #expect(
                abs(answer.loss - alone.loss) < 1e-5 * max(1, alone.loss) && answer.tokens == alone.tokens, "\(name)")
            #expect(abs(answer.loss + bare.logLikelihood) > 1e-6, "\(name) changes nothing")
        }
    }

    @Test func `adapters are put on, switched and taken off while the base's folder is gone`() throws {
        let scratch = try TemporaryFolder()
        let folder = try scratch.folder("base")
        try TinyModel.llama.write(to: folder)
        let model = try BaseModel(folder: folder)
        let task = TinyTask.generation(rows: 6)
        let names = ["lora", "ia3", "prompt", "prefix", "adapters", "layernorm", "full"]
        var set = AdapterSet(base: model)
        for (seed, name) in names.enumerated() {
            let own = try adapter(name, model, task, seed: UInt64(seed))
            try set.add(own, named: name)
            try own.write(to: scratch.folder(name), for: model)
        }
        func losses(_ owners: [String?]) throws -> [Double] {
            let requests = owners.flatMap { owner in task.examples.map { AdapterSet.Request($0, adapter: owner) } }
            return try set.targetLosses(requests).map(\.loss)
        }
        var owners: [String?] = names
        owners.append(nil)
        let before = try losses(owners)
        let base = try losses([nil])
        try FileManager.default.removeItem(atPath: folder)
        #expect(throws: HoneError.self) { try BaseModel(folder: folder) }

        // From memory, in another order.
        let kept = try names.map { (name: $0, adapter: try set.specialist($0).adapter) }
        for name in names { set.remove(name) }
        #expect(try set.names.isEmpty && losses([nil]) == base)
        for own in kept.reversed() { try set.add(own.adapter, named: own.name) }
        #expect(try losses(owners) == before)
        // Each under the next one's name, and back from their own folders.
        for (place, own) in kept.enumerated() { try set.add(own.adapter, named: names[(place + 1) % names.count]) }
        let count = task.examples.count
        let moved = try losses(owners)
        for place in names.indices {
            let (here, there) = (place * count, (place + 1) % names.count * count)
            let pairs = zip(moved[there..<there + count], before[here..<here + count])
            #expect(pairs.allSatisfy { abs($0 - $1) < 1e-5 * max(1, $1) }, "\(names[place])")
        }
        for name in names { try set.add(Adapter.read(scratch.path + "/" + name, for: model), named: name) }
        #expect(try losses(owners) == before)
        // Taken off the transformer itself, it is the base.
        let rows = try task.examples.map(ExampleEncoder(model, options: .init()).encode)
        for name in names {
            let bare = try set.specialist(name).transformer.attaching(Attachments())
            let scores = try bare.targetScores(rows, padId: model.padId).map { -$0.logLikelihood }
            #expect(zip(scores, base).allSatisfy { abs($0 - $1) < 1e-5 * max(1, $1) }, "\(name)")
        }
    }

    @Test func `what is not there or cannot answer is said in a sentence`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.llama.load(in: scratch)
        var set = AdapterSet(base: model)
        try set.add(adapter("lora", model, TinyTask.generation(), seed: 1), named: "writer")
        let example = TinyTask.classification().examples[0]
        for (name, word) in [
            ("nobody", "there are writer"), ("writer", "generates text"), (nil, "base has no classes"),
        ] {
            let refusal = #expect(throws: HoneError.self) {
                try set.probabilities([AdapterSet.Request(example, adapter: name)])
            }
            #expect(refusal?.message.contains(word) == true && refusal?.code == .usage)
        }
    }
}
