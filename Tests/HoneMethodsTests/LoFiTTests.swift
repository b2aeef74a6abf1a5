import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What the paper's method must hold, on small models.
@Suite struct LoFiTTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func adapter(
        _ settings: [String: String], on model: BaseModel, task: TinyTask = .generation(), seed: UInt64 = 5
    ) throws -> Adapter {
        try Adapter.initial(
            Methods.make("lofit", typed: settings), for: model, task: task.shape, labels: task.labels,
            encoding: .init(maximumLength: 40, marksCompletions: true), seed: seed)
    }

    private func plan(steps: Int, rate: Double = 2e-2, seed: UInt64 = 11) -> TrainingPlan {
        var plan = TrainingPlan(steps: steps, learningRate: rate)
        plan.batchSize = 8
        plan.seed = seed
        return plan
    }

    private func trained(
        _ initial: Adapter, on model: BaseModel, task: TinyTask = .generation(), steps: Int = 30, seed: UInt64 = 11
    ) throws -> Adapter {
        var adapter = initial
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        adapter.parameters = try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), source: task.examples,
            plan: plan(steps: steps, seed: seed)
        ).run().parameters
        return adapter
    }

    private func logits(_ transformer: Transformer) throws -> [Float] {
        try withoutGradients {
            let rows = try TokenBatch([[5, 9, 11, 7], [5, 9, 11], [12]])
            let logits = try transformer.logits(transformer.states(rows))
            // Padding is not looked at.
            return try rows.lengths.enumerated().flatMap { row, length in
                try logits.at(row).narrowed(0, from: 0, length: length).elements(Float.self)
            }
        }
    }

    private func attached(_ adapter: Adapter, to model: BaseModel) throws -> Transformer {
        try model.transformer.attaching(
            adapter.method.attachments(adapter.parameters, model: model.transformer, dropout: nil))
    }

    private func distance(_ left: [Float], _ right: [Float]) -> Float {
        left.count == right.count ? zip(left, right).map { abs($0 - $1) }.max() ?? 0 : .infinity
    }

    @Test(arguments: [TinyModel.llama, .gpt2])
    func `factors and vectors of zero give the base to the last bit, and a small spread moves it little`(
        kind: TinyModel
    ) throws {
        let model = try kind.load(in: scratch)
        let before = try logits(model.transformer)
        let still = try adapter(["top": "100%", "deviation": "0"], on: model)
        #expect(try logits(attached(still, to: model)) == before)
        let small = try adapter(["top": "100%"], on: model)
        let moved = try distance(logits(attached(small, to: model)), before)
        #expect(moved > 0 && moved < 0.05)
        for deviation in [0, 1e-3] {
            let scaling = HeadScaling(try MethodSettings(HeadScaling.card), penaltyFactor: 0, deviation: deviation)
            var random = RandomStream(seed: 1, name: "test")
            let factors = try scaling.initialParameters(for: model, random: &random)
            let scaled = try model.transformer.attaching(
                scaling.attachments(factors, model: model.transformer, dropout: nil))
            let moved = try distance(logits(scaled), before)
            #expect(deviation == 0 ? moved == 0 : moved > 0 && moved < 0.05)
        }
    }

    @Test(arguments: [TinyModel.llama, .gpt2, .qwen3, .bert])
    func `the selection trains a number for each element of each head, the vectors as many as their heads have`(
        kind: TinyModel
    ) throws {
        let model = try kind.load(in: scratch)
        let configuration = model.configuration
        let scaling = HeadScaling(try MethodSettings(HeadScaling.card), penaltyFactor: 0, deviation: 1e-3)
        var random = RandomStream(seed: 1, name: "test")
        let factors = try scaling.initialParameters(for: model, random: &random)
        #expect(factors.count == configuration.layerCount * configuration.headCount * configuration.headWidth)
        for (top, count) in [("3", 3), ("3%", 1), ("40%", 3), ("100%", 8)] {
            let task = kind == .bert ? TinyTask.classification() : .generation()
            let own = try adapter(["top": top], on: model, task: task).parameters.all.filter { $0.group == .adapter }
            #expect(own.count == count)
            #expect(own.allSatisfy { $0.tensor.shape == [configuration.headWidth] })
        }
    }

    @Test(arguments: [false, true])
    func `nothing but the vectors, or the factors of the selection, gets a gradient`(selects: Bool) throws {
        let model = try TinyModel.llama.load(in: scratch)
        var own = try adapter(["top": "2"], on: model)
        if selects {
            let scaling = HeadScaling(try MethodSettings(HeadScaling.card), penaltyFactor: 0, deviation: 1e-3)
            var random = RandomStream(seed: 1, name: "test")
            own = Adapter(
                method: scaling, task: own.task, labels: [],
                parameters: try scaling.initialParameters(for: model, random: &random), encoding: own.encoding)
        }
        try own.parameters.makeTrainable()
        let rows = try TinyTask.generation().examples.prefix(4).map(
            ExampleEncoder(model, options: own.encoding).encode)
        let loss = try withGradients {
            let (states, targets) = try attached(own, to: model).targetStates(rows, padId: model.padId)
            return try model.transformer.targetLoss(states, targets: targets.ids)
        }
        try loss.backward()
        for parameter in own.parameters.all {
            #expect(try #require(parameter.tensor.gradient).norm().item() > 0, "\(parameter.name)")
        }
        #expect(model.transformer.weights.values.allSatisfy { !$0.requiresGradient && $0.gradient == nil })
    }

    @Test(arguments: [TinyModel.llama, .bart])
    func `heads come by falling score, each once, and those that were not chosen stay at zero`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let done = try trained(adapter(["top": "3", "selection-steps": "10"], on: model), on: model)
        let folder = try scratch.folder("heads")
        try done.write(to: folder, for: model)
        let ranking = try HeadRanking(file: folder + "/heads.json", for: model.configuration)
        let sites = model.configuration.headSites
        #expect(ranking.entries.count == sites.reduce(0) { $0 + $1.count })
        #expect(Set(ranking.entries.map(\.head)).count == ranking.entries.count)
        let scores = try ranking.entries.map { try #require($0.score) }
        #expect(scores == scores.sorted(by: >) && scores.allSatisfy { $0 > 0 })
        let chosen = LoFiT.vectors(done.parameters).map(\.head)
        #expect(chosen == ranking.entries.prefix(3).map(\.head))
        let attachments = try done.method.attachments(done.parameters, model: model.transformer, dropout: nil)
        for site in sites {
            for number in 0..<site.count {
                let offset = try attachments.states[site.path]?.first?.offset?.at(number).norm().item() ?? 0
                #expect((offset != 0) == chosen.contains(Head(site: site.path, number: number)))
            }
        }
        // The map of the report is the file: a line a sublayer, a column a head, empty where a sublayer has fewer.
        guard
            case .map(let rows, let columns, let values) = try #require(
                done.method.figures(done.parameters, of: model).first
            ).content
        else {
            Issue.record("no map")
            return
        }
        let lines =
            kind == .bart
            ? ["layer 0", "layer 1", "layer decoder 0", "layer decoder 0 cross"] : ["layer 0", "layer 1"]
        #expect(rows == lines && columns == ["head 0", "head 1", "head 2", "head 3"])
        #expect(values.count == sites.count && values.allSatisfy { $0.count == 4 })
        for (site, line) in zip(sites, values) {
            for (number, value) in line.enumerated() {
                let score = ranking.entries.first { $0.head == Head(site: site.path, number: number) }?.score
                #expect(number < site.count ? value == score : value.isNaN && score == nil, "\(site.path) \(number)")
            }
        }
    }

    @Test func `a larger penalty leaves less change, in fewer heads`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let task = TinyTask.generation()
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40, marksCompletions: true))
        let rows = try task.examples.map(encoder.encode)
        var sums: [Double] = []
        var shares: [Double] = []
        for factor in [0, 3e-3, 3e-2] {
            let scaling = HeadScaling(try MethodSettings(HeadScaling.card), penaltyFactor: factor, deviation: 1e-3)
            var random = RandomStream(seed: 1, name: "test")
            let start = Adapter(
                method: scaling, task: .generation, labels: [],
                parameters: try scaling.initialParameters(for: model, random: &random),
                encoding: encoder.options)
            let factors = try Trainer(model: model, adapter: start, examples: rows, plan: plan(steps: 80)).run()
                .parameters
            sums.append(try factors.all.reduce(0) { try $0 + $1.tensor.abs().sum().item() })
            let scores = try HeadScaling.scores(factors).values.joined().sorted(by: >)
            shares.append(scores[0] / scores.reduce(0, +))
        }
        #expect(sums[0] > sums[1] && sums[1] > sums[2], "\(sums)")
        #expect(shares[0] < shares[2], "\(shares)")
    }

    @Test func `the penalty is the plain sum of sizes and no part of the task's loss`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let scaling = HeadScaling(try MethodSettings(HeadScaling.card), penaltyFactor: 0.5, deviation: 1e-3)
        var parameters = ParameterSet()
        parameters.set("layers.0.attention.heads.scale", try Tensor([1, -2, 3, Float(0)], shape: [2, 2]))
        parameters.set("layers.1.attention.heads.scale", try Tensor([Float(-4), 0, 0, 0], shape: [2, 2]))
        #expect(try scaling.penalty(parameters)?.item() == 5)
        #expect(model.configuration.headSites.count == 2)
        // What a step tells as its loss is the rows' alone, with the penalty beside it; its gradient has both.
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40, marksCompletions: true))
        let rows = try TinyTask.generation().examples.map(encoder.encode)
        var steps: [TrainingStep] = []
        var sizes = 0.0
        var mean = 0.0
        for factor in [0, 0.5] {
            let scaling = HeadScaling(
                try MethodSettings(HeadScaling.card), penaltyFactor: factor, deviation: 1e-3)
            var random = RandomStream(seed: 1, name: "test")
            let start = Adapter(
                method: scaling, task: .generation, labels: [],
                parameters: try scaling.initialParameters(for: model, random: &random), encoding: encoder.options)
            sizes = try start.parameters.all.reduce(0) { try $0 + $1.tensor.abs().sum().item() }
            let alone = try Specialist(base: model, adapter: start).targetLosses(rows)
            mean = alone.reduce(0) { $0 + $1.loss } / Double(alone.reduce(0) { $0 + $1.tokens })
            var plan = plan(steps: 1)
            plan.batchSize = rows.count
            _ = try Trainer(model: model, adapter: start, examples: rows, plan: plan)
                .run(report: { if case .step(let step) = $0 { steps.append(step) } })
        }
        try #require(steps.count == 2)
        #expect(steps[0].loss == steps[1].loss && steps[0].penalty == nil)
        #expect(abs(steps[0].loss - mean) < 1e-5 * max(1, mean))
        let penalty = try #require(steps[1].penalty)
        #expect(abs(penalty - 0.5 * sizes) < 1e-6 * max(1, sizes) && sizes > 0)
        #expect(steps[0].gradientNorm != steps[1].gradientNorm)
    }

    @Test(arguments: [TinyModel.llama, .untiedLlama, .gpt2, .qwen3, .neox, .opt])
    func `folded into a bias it gives the same logits, at once and token by token, and so does the exported folder`(
        kind: TinyModel
    ) throws {
        let model = try kind.load(in: scratch)
        let large = try adapter(["top": "60%"], on: model)
        for parameter in large.parameters.all where parameter.group == .adapter {
            try withoutGradients { try parameter.tensor.multiplyInPlace(300) }
        }
        let transformer = try attached(large, to: model)
        let merged = try #require(try large.method.mergedWeights(large.parameters, model: model.transformer))
        let folded = try Transformer(
            model.configuration.holding(merged.keys), weights: model.transformer.weights.merging(merged) { $1 })
        #expect(try distance(logits(folded), logits(transformer)) < 1e-5)
        #expect(try distance(logits(folded), logits(model.transformer)) > 1e-2)
        let prompts = [[5, 9, 11], [7, 12, 6, 10], [13]]
        var options = GenerationOptions()
        options.maximumNewTokens = 6
        options.wantsLogProbabilities = true
        /// By the fast form, which takes vectors as biases, and by the general one.
        func texts(_ transformer: Transformer) throws -> [[GeneratedText]] {
            try Generator(transformer, tokenizer: nil).generate(
                prompts.map { GenerationRequest(prompt: $0) }, options: options)
        }
        let expected = try texts(folded)
        let exact = try BaseModel(folder: model.folder, exact: true)
        for other in [transformer, try attached(large, to: exact)] {
            for (left, right) in zip(try texts(other), expected) {
                #expect(left[0].tokens == right[0].tokens)
                #expect(left[0].logProbabilities.count == right[0].logProbabilities.count)
                for (found, wanted) in zip(left[0].logProbabilities, right[0].logProbabilities) {
                    #expect(abs(found - wanted) < 1e-5 * max(1, abs(wanted)))
                }
            }
        }
        let folder = scratch.path + "/exported-\(kind.rawValue)"
        try Specialist(base: model, adapter: large).export(to: folder)
        #expect(try distance(logits(BaseModel(folder: folder).transformer), logits(transformer)) < 1e-5)
    }

    @Test func `heads of an earlier run are taken from their file without a search`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let first = try trained(adapter(["top": "3", "selection-steps": "10"], on: model), on: model)
        let folder = try scratch.folder("first")
        try first.write(to: folder, for: model)
        let second = try adapter(["top": "2", "heads": folder + "/heads.json"], on: model, seed: 9)
        #expect(!second.method.hasStages)
        let chosen = LoFiT.vectors(second.parameters).map(\.head)
        #expect(chosen == LoFiT.vectors(first.parameters).prefix(2).map(\.head))
        #expect(try second.method.figures(second.parameters, of: model).count == 2)
    }

    @Test func `misuse is refused in one sentence`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        func message(_ settings: [String: String]) throws -> String {
            do {
                _ = try adapter(settings, on: model)
                return "nothing"
            } catch let error as HoneError {
                return error.description
            }
        }
        #expect(try message(["top": "9"]).contains("9 heads are more than the model's 8"))
        #expect(try message(["top": "0"]).contains("no number of heads from 1 on"))
        #expect(try message(["top": "0%"]).contains("no share"))
        #expect(try message(["top": "1,2"]).contains("one number"))
        let file = scratch.path + "/other.json"
        let other: JSON = ["version": 1, "heads": [["site": "layers.7.attention.heads", "head": 1]]]
        try AtomicFile.write(other.text(), to: file)
        #expect(try message(["heads": file]).contains("the list is for another model"))
        let twice: JSON = [
            "version": 1,
            "heads": [
                ["site": "layers.0.attention.heads", "head": 1], ["site": "layers.0.attention.heads", "head": 1],
            ],
        ]
        try AtomicFile.write(twice.text(), to: file)
        #expect(try message(["heads": file]).contains("comes twice"))
        let short: JSON = ["version": 1, "heads": [["site": "layers.0.attention.heads", "head": 1]]]
        try AtomicFile.write(short.text(), to: file)
        #expect(try message(["heads": file, "top": "2"]).contains("has 1 heads, and 2 are to get a vector"))
        #expect(try message(["heads": scratch.path + "/none.json"]).contains("none.json"))
    }

    @Test func `a model without an output bias in its format is not exported`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        var configuration = model.configuration
        configuration.mayHaveAttentionBiases = false
        let bare = try Transformer(configuration, weights: model.transformer.weights)
        let own = try adapter(["top": "2"], on: model)
        #expect(try own.method.mergedWeights(own.parameters, model: bare) == nil)
    }
}
