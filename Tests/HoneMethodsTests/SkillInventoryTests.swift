import HoneFormats
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// Going on from an inventory of skills: a new task's start, its routing alone, the mean of the skills.
extension SkillRoutingTests {
    @Test func `a fresh task mixes evenly, so that all ways of going on start from one function`() throws {
        let inventory = try shaken(adapter(method()))
        let trained = (inventory.method, inventory.parameters)
        let fresh = try adapter(method("mhr", ["tune": "z"]), tasks: ["new"], from: trained)
        for site in try SkillSite.all(fresh.parameters) {
            let weights = try RoutingWeights.weights(site.router, heads: 4)
            #expect(try (weights - 1.0 / 3).abs().max().item() < 3e-4)
        }
        let mean = try adapter(method("mhr", ["tune": "mu"]), tasks: ["new"], from: trained)
        let whole = try adapter(method(), tasks: ["new"], from: trained)
        var row = examples()[0]
        row.task = "new"
        func loss(_ adapter: Adapter, task: String) throws -> Double {
            row.task = task
            let specialist = try Specialist(base: model, adapter: adapter)
            return try specialist.targetLosses([specialist.encoder.encode(row)])[0].loss
        }
        // As they really start, fresh logits are spread over a thousandth.
        let real = try [fresh, mean, whole].map { try loss($0, task: "new") }
        #expect(abs(real[0] - real[1]) < 1e-3 && abs(real[1] - real[2]) < 1e-3, "\(real)")
        for adapter in [fresh, whole] {
            for site in try SkillSite.all(adapter.parameters) { try site.router.fillInPlace(0) }
        }
        let losses = try [fresh, mean, whole].map { try loss($0, task: "new") }
        #expect(abs(losses[0] - losses[1]) < 2e-5 && abs(losses[1] - losses[2]) < 2e-5, "\(losses)")
        #expect(try abs(loss(inventory, task: "one") - losses[0]) > 1e-3)
    }

    @Test func `from an inventory, z trains the routing alone and mu plain LoRA`() throws {
        let inventory = try shaken(adapter(method()))
        let trained = (inventory.method, inventory.parameters)
        let z = try adapter(method("mhr", ["tune": "z"]), tasks: ["new"], from: trained)
        let maps = LinearTargets.all(model.configuration).count
        #expect(z.parameters.count == maps * 4 * 3)
        let rows = try examples().map { example in
            var example = example
            example.task = "new"
            return try ExampleEncoder(model, options: z.encoding).encode(example)
        }
        var plan = TrainingPlan(steps: 6, learningRate: 1e-2)
        plan.batchSize = 8
        var losses: [Double] = []
        let outcome = try Trainer(model: model, adapter: z, examples: rows, plan: plan)
            .run(report: { if case .step(let step) = $0 { losses.append(step.loss) } })
        for parameter in z.parameters.all {
            let same =
                try outcome.parameters.tensor(parameter.name).elements(Float.self)
                == parameter.tensor.elements(Float.self)
            #expect(same == !parameter.name.hasSuffix(SkillTensor.router), "\(parameter.name)")
        }
        var adapted = z
        adapted.parameters = outcome.parameters
        let folder = try scratch.folder("z")
        try adapted.write(to: folder, for: model)
        let read = try Adapter.read(folder, for: model)
        #expect(read.parameters.count == maps * 4 * 3 && read.encoding.tasks == ["new"])
        let merged = try read.method.mergedWeights(read.parameters, model: model.transformer)
        #expect(merged?.count == maps)

        let mu = try adapter(method("mhr", ["tune": "mu"]), tasks: ["new"], from: trained)
        #expect(mu.method.name == "lora" && mu.encoding.tasks.isEmpty)
        #expect(
            mu.parameters.count == 2 * LinearTargets.all(model.configuration).reduce(0) { $0 + $1.inputs + $1.outputs })
        try mu.write(to: scratch.folder("mu"), for: model)
    }

    @Test func `a task that the inventory knows goes on with its routing`() throws {
        let inventory = try shaken(adapter(method()))
        let more = try adapter(
            method(), tasks: ["four", "two"], from: (inventory.method, inventory.parameters))
        for (before, after) in try zip(SkillSite.all(inventory.parameters), SkillSite.all(more.parameters)) {
            #expect(after.router.shape == [2, 12])
            #expect(try after.router.at(1).elements(Float.self) == before.router.at(1).elements(Float.self))
            #expect(try after.router.at(0).abs().max().item() <= 1e-3)
        }
    }

    @Test func `what cannot be gone on from is refused in a sentence`() throws {
        for tune in ["z", "mu"] {
            let bare = #expect(throws: HoneError.self) { try adapter(method("mhr", ["tune": tune])) }
            #expect(bare?.code == .usage && bare?.message.contains("--init-adapter") == true)
        }
        let lora = try adapter(Methods.make("lora"))
        let plain = #expect(throws: HoneError.self) {
            try adapter(method("mhr", ["tune": "z"]), from: (lora.method, lora.parameters))
        }
        #expect(plain?.message == "holds an adapter of `lora`, not of `mhr`: `tune=z` needs an inventory of skills")
        let whole = try adapter(method())
        #expect(throws: HoneError.self) { try adapter(method("poly"), from: (whole.method, whole.parameters)) }
        let divided = #expect(throws: HoneError.self) { try adapter(method("mhr", ["splits": "16"])) }
        #expect(divided?.code == .mismatch && divided?.item == "layers.0.attention.key")
        #expect(divided?.message == "16 splits do not divide the 8 x 16 matrix")
        let ranked = #expect(throws: HoneError.self) { try adapter(method("mhr", ["rank": "9"])) }
        #expect(ranked?.item == "layers.0.attention.key")
    }

    /// The rate by which skills move as their mean does: Adam's steps do not depend on the gradient's size, but for what keeps them
    /// from dividing by zero; of gradients themselves each of three skills gets a third.
    @Test(
        "under even weights, all skills move their mean as the mean alone moves",
        arguments: [(TrainingPlan.Rule.adamW, 1e-3, 1.0), (.gradientDescent, 1e-2, 3.0)])
    func mean(rule: TrainingPlan.Rule, rate: Double, factor: Double) throws {
        // Plainly apart skills, weights that stay even.
        let skills = try shaken(adapter(method("mhr", ["routing-rate": "0"]), tasks: ["only"]))
        for site in try SkillSite.all(skills.parameters) { try site.router.fillInPlace(0) }
        let mean = try adapter(
            method("mhr", ["tune": "mu"]), tasks: ["only"], from: (skills.method, skills.parameters))
        let rows = try TinyTask.generation(rows: 24).examples.map(
            ExampleEncoder(model, options: options(["only"])).encode)
        var plan = TrainingPlan(steps: 20, learningRate: rate * factor)
        plan.batchSize = 8
        plan.rule = rule
        let all = try Trainer(model: model, adapter: skills, examples: rows, plan: plan).run().parameters
        plan.learningRate = rate
        let alone = try Trainer(model: model, adapter: mean, examples: rows, plan: plan).run().parameters
        var largest = 0.0
        var moved = 0.0
        for site in try SkillSite.all(all) {
            let own = try site.inventory.mean()
            for (found, part) in [(own.down, ".lora_A"), (own.up, ".lora_B")] {
                let after = try alone.tensor(site.path + part)
                largest = max(largest, try (found - after).abs().max().item())
                moved = max(moved, try (after - mean.parameters.tensor(site.path + part)).abs().max().item())
            }
        }
        #expect(largest < 1e-3 * moved && moved > 2e-3, "\(largest) \(moved)")
    }
}
