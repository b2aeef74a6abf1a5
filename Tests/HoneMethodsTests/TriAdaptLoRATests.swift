import Glibc
import HoneFormats
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What holds of TriAdaptLoRA beyond what every method must hold.
@Suite struct TriAdaptLoRATests {
    private func method(_ typed: [String: String]) throws -> TriAdaptLoRA {
        TriAdaptLoRA(try MethodSettings(TriAdaptLoRA.card, typed: typed))
    }

    private static let growing = [
        "reference-rank": "4", "increment": "1", "interval": "2", "orthogonality": "0", "targets": "query,value,mlp.up",
    ]

    private func ranks(_ parameters: ParameterSet) throws -> [Int] { try TriAdaptLoRA.maps(parameters).map(\.rank) }

    @Test func `gradients reach B alone at first, and everything after one step`() throws {
        let run = try ShortRun()
        _ = try run.train(run.adapter(method(["reference-rank": "1", "orthogonality": "0"])), steps: 2) {
            parameters, step in
            for parameter in parameters.trained {
                let largest = try #require(parameter.tensor.gradient).abs().max().item()
                #expect((largest > 0) == (step == 2 || parameter.name.contains(".lora_B.")), "\(parameter.name)")
            }
        }
    }

    @Test(
        "there are as many numbers as the formula says, before and after growth",
        arguments: ["1", "2"])
    func counts(increment: String) throws {
        let run = try ShortRun()
        let settings = Self.growing.merging(["increment": increment, "initial-rank": "1"]) { $1 }
        let trained = try run.train(run.adapter(method(settings)), steps: 10)
        let maps = try TriAdaptLoRA.maps(trained.parameters)
        #expect(maps.contains { $0.blockCount > 2 })
        var expected = 0
        for map in maps {
            let (inputs, outputs) = (map.downs[0].size(1), map.ups[0].size(0))
            var rank = 0
            for block in map.downs {
                rank += block.size(0)
                expected += block.size(0) * (inputs + outputs) + 2 * block.size(0) * rank
            }
            if increment == "1" {
                let whole = [map.downs, map.ups, map.lowers, map.uppers].flatMap { $0 }.reduce(0) { $0 + $1.count }
                #expect(whole == rank * (inputs + outputs) + rank * (rank + 1))
            }
        }
        #expect(trained.parameters.count == expected)
    }

    /// A map whose update shows its triangles: `A` and `B` are beginnings of the identity.
    private func transparent(_ blocks: [(size: Int, lower: Double, upper: Double)]) throws -> ParameterSet {
        let width = 8
        let identity = try Tensor.identity(width)
        var parameters = ParameterSet()
        var rank = 0
        for (block, own) in blocks.enumerated() {
            let rows = try identity.narrowed(0, from: rank, length: own.size).contiguous()
            rank += own.size
            parameters.set("map.lora_A.\(block)", rows)
            parameters.set("map.lora_B.\(block)", try rows.transpose(0, 1).contiguous())
            parameters.set("map.lora_L.\(block)", try Tensor.full([own.size, rank], own.lower))
            parameters.set("map.lora_U.\(block)", try Tensor.full([rank, own.size], own.upper))
        }
        return parameters
    }

    @Test func `the younger of two ranks alone says how they mix`() throws {
        let parameters = try transparent([(1, 1, 10), (2, 2, 20), (1, 3, 30)])
        let factors = try #require(try method(["alpha": "1"]).lowRankFactors(parameters))[0]
        let change = try factors.up.matmul(factors.down).narrowed(0, from: 0, length: 4).narrowed(1, from: 0, length: 4)
        let expected: [Float] = [
            11, 20, 20, 30,
            2, 22, 22, 30,
            2, 22, 22, 30,
            3, 3, 3, 33,
        ]
        #expect(try change.elements(Float.self) == expected)
        #expect(abs(factors.scale - 1 / (4 + 1e-5)) < 1e-12)
        // Nothing beyond the ranks is touched.
        #expect(try factors.up.matmul(factors.down).abs().sum().item() == Double(expected.reduce(0, +)))
    }

    @Test func `growth scales what is there by the share of its rank, and adds nothing where the new is zero`() throws {
        let before = try transparent([(1, 1, 10), (1, 2, 20)])
        var after = before
        let zero = { (shape: [Int]) in try Tensor.zeros(shape) }
        after.set("map.lora_A.2", try Tensor.full([2, 8], 5))
        after.set("map.lora_B.2", try zero([8, 2]))
        after.set("map.lora_L.2", try zero([2, 4]))
        after.set("map.lora_U.2", try zero([4, 2]))
        func change(_ parameters: ParameterSet) throws -> Tensor {
            let factors = try #require(try method(["alpha": "6"]).lowRankFactors(parameters))[0]
            return try factors.up.matmul(factors.down) * factors.scale
        }
        let difference = try change(after) - change(before) * ((2 + 1e-5) / (4 + 1e-5))
        #expect(try difference.abs().max().item() < 1e-6 * change(before).abs().max().item())
    }

    @Test func `what fresh blocks add is small beside what is there`() throws {
        let run = try ShortRun()
        let method = try method(Self.growing)
        var parameters = try run.adapter(method).parameters
        for map in try TriAdaptLoRA.maps(parameters) {
            for block in [map.downs[0], map.ups[0], map.lowers[0]] { try block.fillInPlace(1) }
        }
        func changes() throws -> [(rank: Int, change: Tensor)] {
            try #require(try method.lowRankFactors(parameters)).map {
                ($0.rank, try $0.up.matmul($0.down) * $0.scale)
            }
        }
        let before = try changes()
        #expect(try method.afterStep(StepReport(step: 2, totalSteps: 8), &parameters))
        var grown = 0
        for (old, new) in zip(before, try changes()) where new.rank > old.rank {
            grown += 1
            let share = (Double(old.rank) + 1e-5) / (Double(new.rank) + 1e-5)
            let added = try (new.change - old.change * share).abs().max().item()
            #expect(try added > 0 && added < 0.1 * old.change.abs().max().item())
        }
        #expect(grown > 0)
    }

    @Test func `triangles that are trained serve the loss at least as well as fixed ones`() throws {
        let run = try ShortRun()
        func loss(trains: Bool) throws -> Double {
            var adapter = try run.adapter(
                method(["reference-rank": "4", "initial-rank": "4", "orthogonality": "0", "targets": "query,value"]))
            for map in try TriAdaptLoRA.maps(adapter.parameters) {
                let start = try [(".lora_L.0", Tensor.identity(4)), (".lora_U.0", Tensor.zeros([4, 4]))]
                for (part, tensor) in start {
                    adapter.parameters.set(map.path + part, tensor, group: trains ? .adapter : .state)
                }
            }
            return try run.losses(run.train(adapter, steps: 40)).reduce(0, +)
        }
        let (trained, fixed) = try (loss(trains: true), loss(trains: false))
        #expect(trained < fixed, "\(trained) trained, \(fixed) fixed")
    }

    @Test func `growth leaves what is trained the same tensors, in the order of the forward pass`() throws {
        let run = try ShortRun()
        let method = try method(Self.growing)
        var parameters = try run.adapter(method).parameters
        let before = parameters
        #expect(try !method.afterStep(StepReport(step: 1, totalSteps: 8), &parameters))
        #expect(try method.afterStep(StepReport(step: 2, totalSteps: 8), &parameters))
        #expect(parameters.trained.count > before.trained.count)
        for parameter in before.trained {
            #expect(try parameters.tensor(parameter.name).isIdentical(to: parameter.tensor), "\(parameter.name)")
        }
        let sites = run.model.configuration.linearSites.map(\.path)
        let places = try TriAdaptLoRA.maps(parameters).map { try #require(sites.firstIndex(of: $0.path)) }
        #expect(places == places.sorted())
    }

    @Test func `what grows starts its own moments under the current learning rate; the others keep theirs`() throws {
        let run = try ShortRun()
        let adapter = try run.adapter(method(Self.growing.merging(["interval": "4"]) { $1 }))
        var plan = TrainingPlan(steps: 8, learningRate: 1e-2)
        plan.batchSize = 8
        plan.schedule = .cosine
        plan.checkpointEvery = 1
        let store = try CheckpointStore(folder: run.scratch.folder("checkpoints"), identity: ["run": 1])
        var step = 0
        func train(until last: Int, resume: Bool) throws -> ParameterSet {
            try Trainer(model: run.model, adapter: adapter, examples: run.rows, plan: plan).run(
                checkpoints: store, resume: resume, shouldStop: { step == last },
                report: { if case .step(let done) = $0 { step = done.step } }
            ).parameters
        }
        let grown = try train(until: 4, resume: false)
        let name = try #require(grown.trained.first { $0.name.hasSuffix(".lora_B.1") }?.name)
        let tensors = Dictionary(
            uniqueKeysWithValues: try TensorFiles.read(store.folder + "/step-00000004/state.safetensors")
                .map { ($0.name, $0.tensor) })
        #expect(try #require(tensors["mean.adapter.\(name)"]).abs().max().item() == 0)
        let old = name.dropLast() + "0"
        #expect(try #require(tensors["mean.adapter.\(old)"]).abs().max().item() > 0)
        let next = try train(until: 5, resume: true)
        // The first step of Adam goes as far as the learning rate says, whatever the gradient.
        let moved = try (next.tensor(name) - grown.tensor(name)).abs().max().item()
        let rate = plan.learningRate(at: 5)
        #expect(rate < 0.7 * plan.learningRate)
        #expect(abs(moved - rate) < 0.01 * rate, "moved \(moved), the rate is \(rate)")
    }

    @Test func `what has grown decays as its own setting says, what was there as the plan says`() throws {
        let ruled = try method(["growth-weight-decay": "0.5"])
        for part in TriAdaptLoRA.parts {
            for block in [0, 1, 12] {
                let parameter = Parameter(
                    name: "layers.0.mlp.up\(part.name).\(block)", tensor: try Tensor.zeros([1]), group: .adapter)
                let expected = block == 0 ? TrainingRule() : TrainingRule(weightDecay: 0.5)
                #expect(ruled.rule(for: parameter) == expected, "\(parameter.name)")
            }
        }
        let head = Parameter(name: "head.weight", tensor: try Tensor.zeros([1]), group: .head)
        #expect(ruled.rule(for: head) == TrainingRule())

        let run = try ShortRun()
        /// The parameters after the step in which maps have grown, and after the next.
        func steps(_ decay: String) throws -> [[String: [Float]]] {
            var seen: [[String: [Float]]] = []
            let adapter = try run.adapter(method(Self.growing.merging(["growth-weight-decay": decay]) { $1 }))
            _ = try run.train(adapter, steps: 4) { parameters, step in
                guard step == 2 || step == 3 else { return }
                var own: [String: [Float]] = [:]
                for parameter in parameters.trained { own[parameter.name] = try parameter.tensor.elements() }
                seen.append(own)
            }
            return seen
        }
        // Gradients do not depend on the decay, and so the next step differs by the decay alone.
        let (still, decaying) = try (steps("0"), steps("0.5"))
        #expect(still.count == 2 && still[0] == decaying[0])
        let share = Float(0.5 * TrainingPlan(steps: 4, learningRate: 1e-2).learningRate(at: 3))
        var largest: Float = 0
        for (name, start) in still[0] {
            let (kept, fallen) = (try #require(still[1][name]), try #require(decaying[1][name]))
            guard name.hasSuffix(".1") else {
                #expect(kept == fallen, "\(name)")
                continue
            }
            for (place, number) in start.enumerated() {
                let fall = share * number
                #expect(abs(kept[place] - fallen[place] - fall) < 1e-7, "\(name)")
                largest = max(largest, abs(fall))
            }
        }
        #expect(largest > 1e-5)
    }

    @Test func `a map that grew and did not change since is not next; with equal importance, all grow`() throws {
        let run = try ShortRun()
        let method = try method(Self.growing.merging(["growth": "fixed", "top": "1"]) { $1 })
        var parameters = try run.adapter(method).parameters
        let path = try TriAdaptLoRA.maps(parameters)[2].path
        try parameters.tensor(path + ".lora_L.0").fillInPlace(3)
        #expect(try method.afterStep(StepReport(step: 2, totalSteps: 100), &parameters))
        #expect(try ranks(parameters).enumerated().allSatisfy { $0.element == ($0.offset == 2 ? 2 : 1) })
        let maps = try TriAdaptLoRA.maps(parameters)
        let importance = try zip(
            method.norms(of: maps), TriAdaptLoRA.History(parameters, maps: maps).norms
        ).map { $0 - $1 }
        for (place, value) in importance.enumerated() {
            // The new block adds little to a large norm, which is divided by two blocks instead of one.
            let norm = try TriAdaptLoRA.History(parameters, maps: maps).norms[place]
            #expect(place == 2 ? abs(value - norm * (1.0 / 2 - 1)) < 1e-3 : value == 0)
        }
        #expect(try method.afterStep(StepReport(step: 4, totalSteps: 100), &parameters))
        #expect(try ranks(parameters) == maps.map { _ in 2 })
    }

    @Test(
        "the total rank rises until it is spent, and not further than one growth beyond",
        arguments: ["linear", "nonlinear", "fixed"], [1, 2])
    func budget(growth: String, increment: Int) throws {
        let run = try ShortRun()
        let settings = Self.growing.merging(
            ["growth": growth, "top": "3", "interval": "1", "increment": "\(increment)", "initial-rank": "1"]
        ) { $1 }
        var totals: [Int] = []
        let trained = try run.train(run.adapter(method(settings)), steps: 30) { parameters, _ in
            totals.append(try ranks(parameters).reduce(0, +))
        }
        let maps = try TriAdaptLoRA.maps(trained.parameters)
        let budget = 4 * maps.count
        #expect(totals == totals.sorted())
        #expect(totals.last == totals.max())
        let events = try TriAdaptLoRA.History(trained.parameters, maps: maps).events
        let last = try #require(events.last)
        #expect(totals.last == last.ranks.reduce(0, +))
        #expect(last.ranks.reduce(0, +) >= budget)
        let before = events.dropLast().last?.ranks.reduce(0, +) ?? maps.count
        #expect(before < budget)
        // Distinct importance: no more grow than were to.
        #expect(last.ranks.reduce(0, +) - budget < last.count * increment)
        #expect(events.map(\.step) == events.map(\.step).sorted())
    }

    @Test func `how many maps grow follows the schedule`() throws {
        let (linear, power, fixed) = try (
            method([:]), method(["growth": "nonlinear"]), method(["growth": "fixed", "top": "7"])
        )
        #expect(linear.growing(rest: 504, share: 0.1, maps: 72) == 50)
        #expect(power.growing(rest: 504, share: 0.1, maps: 72) == 1)
        #expect(fixed.growing(rest: 504, share: 0.1, maps: 72) == 7)
        #expect(linear.growing(rest: 504, share: 0.001, maps: 72) == 1)
        #expect(fixed.growing(rest: 3, share: 0.1, maps: 72) == 3)
        for method in [linear, power] { #expect(method.growing(rest: 60, share: 1, maps: 72) == 60) }
        for method in [linear, power] { #expect(method.growing(rest: 504, share: 1, maps: 72) == 72) }
    }

    @Test func `a rank does not grow beyond its map's own`() throws {
        let run = try ShortRun()
        let method = try method(["reference-rank": "8", "increment": "8", "interval": "1", "targets": "query,key"])
        var parameters = try run.adapter(method).parameters
        for step in 1...6 { _ = try method.afterStep(StepReport(step: step, totalSteps: 6), &parameters) }
        for map in try TriAdaptLoRA.maps(parameters) {
            #expect(map.rank <= min(try map.down.size(1), try map.up.size(0)))
        }
    }

    @Test func `a budget that is met at the start is said, and nothing grows`() throws {
        let run = try ShortRun()
        let adapter = try run.adapter(method(["reference-rank": "2", "initial-rank": "2", "interval": "1"]))
        var notes: [String] = []
        let trained = try run.train(
            adapter, steps: 4, report: { if case .note(let text) = $0 { notes.append(text) } })
        #expect(notes.contains { $0.contains("nothing will grow") })
        #expect(Set(try ranks(trained.parameters)) == [2])
    }

    @Test func `ranks come out uneven, and figures tell where they went`() throws {
        let run = try ShortRun()
        let trained = try run.train(run.adapter(method(Self.growing)), steps: 30)
        let found = try ranks(trained.parameters)
        #expect(Set(found).count > 1)
        let figures = try trained.method.figures(trained.parameters, of: run.model)
        #expect(figures.map(\.title) == ["Rank of every map", "Mean rank of every layer", "Growth"])
        guard case .map(_, _, let values) = figures[0].content,
            case .map(let rows, let times, let means) = figures[1].content,
            case .table(_, let log) = figures[2].content
        else {
            Issue.record("other kinds of figures")
            return
        }
        #expect(values.flatMap { $0 }.reduce(0, +) == Double(found.reduce(0, +)))
        #expect(rows == ["layers.0", "layers.1"])
        #expect(times.first == "0" && times.count == log.count + 1)
        #expect(means.allSatisfy { $0.first == 1 })
        #expect(log.last?.last == String(found.reduce(0, +)))
    }

    @Test func `the orthogonality term brings rows closer to orthonormal`() throws {
        let run = try ShortRun()
        func distance(_ weight: String) throws -> Double {
            let settings = Self.growing.merging(["orthogonality": weight]) { $1 }
            let trained = try run.train(run.adapter(method(settings)), steps: 30)
            return try TriAdaptLoRA.maps(trained.parameters).reduce(0) { sum, map in
                let down = try map.down
                return try sum + (down.matmul(down.transpose(0, 1)) - Tensor.identity(map.rank)).norm().item()
            }
        }
        let (without, with) = try (distance("0"), distance("0.1"))
        #expect(with < 0.99 * without, "\(with) with the term, \(without) without")
    }
}
