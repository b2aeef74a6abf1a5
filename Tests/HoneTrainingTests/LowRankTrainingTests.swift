import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// Trainings that PEFT has done: LoRA+ with its optimiser, AdaLoRA with its allocator. `Scripts/fixtures/low_rank_training.py` says
/// what the tensors are.
struct LowRankTrainingTests {
    /// One training: where it starts, and what PEFT has at every step.
    private struct Fixture {
        let folder: String
        let model: BaseModel
        let expected: [String: Tensor]
        let method: any Method
        let saved: ParameterSet

        init(_ name: String) throws {
            let fixtures =
                URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
                + "/HoneModelsTests/Fixtures/"
            folder = fixtures + "adapter-" + name
            let base = try #require(JSON.read(file: folder + "/reference.json")["base"]?.string)
            model = try BaseModel(folder: fixtures + base)
            expected = Dictionary(
                uniqueKeysWithValues: try TensorFiles.read(folder + "/reference.safetensors").map {
                    ($0.name, $0.tensor)
                })
            (method, saved) = try Adapter.readMethod(AdapterFolderReader(path: folder), for: model)
        }

        /// Tensors of the reference under Hone's names.
        func tensors(_ prefix: String) throws -> [String: Tensor] {
            let modules = Dictionary(
                uniqueKeysWithValues: model.family.modules(model.configuration).map { ($0.module, $0.site) })
            var found: [String: Tensor] = [:]
            for (name, tensor) in expected where name.hasPrefix(prefix + "base_model.model.") {
                var pieces = name.dropFirst(prefix.count + "base_model.model.".count).split(separator: ".")
                if pieces.last == "weight" { pieces.removeLast() }
                let part = String(pieces.removeLast()).replacing("_vector", with: "")
                let site = try #require(modules[pieces.joined(separator: ".")])
                found["\(site).\(part)"] = tensor
            }
            return found
        }

        /// The parameters that the training starts from, in Hone's order.
        func start() throws -> ParameterSet {
            let initial = try tensors("initial.")
            var parameters = ParameterSet()
            for site in model.configuration.linearSites {
                for part in [".lora_A", ".lora_B", ".lora_E", ".lora_magnitude"] {
                    if let tensor = initial[site.path + part] { parameters.set(site.path + part, tensor) }
                }
            }
            #expect(parameters.all.count == initial.count)
            return parameters
        }

        /// The fixture's batch, all of it in every step: the tokens after the third are learned.
        func rows() throws -> [EncodedExample] {
            let ids = try #require(expected["input_ids"])
            let mask = try #require(expected["attention_mask"])
            return try (0..<ids.size(0)).map { row in
                let length = try mask.at(row).elements(Int.self).reduce(0, +)
                let own = Array(try ids.at(row).elements(Int.self).prefix(length))
                return .completing(Array(own.prefix(3)), with: Array(own.dropFirst(3)))
            }
        }
    }

    private func difference(_ ours: Tensor, _ theirs: Tensor) throws -> Double {
        guard ours.shape == theirs.shape else { return .infinity }
        if ours.count == 0 { return 0 }
        return try (ours.detached().to(.float32) - theirs.to(.float32)).abs().max().item()
    }

    private func expectSame(
        _ parameters: ParameterSet, _ expected: [String: Tensor], _ what: String, tolerance: Double = 1e-5,
        _ tensor: (Parameter) -> Tensor? = { $0.tensor }
    ) throws {
        #expect(!expected.isEmpty)
        for parameter in parameters.trained {
            guard let theirs = expected[parameter.name] else { continue }
            let ours = try #require(tensor(parameter), "\(what) \(parameter.name)")
            let distance = try difference(ours, theirs)
            #expect(distance < tolerance, "\(what) \(parameter.name) differs by \(distance)")
        }
    }

    /// Trains as the fixture was, and compares losses, the first gradients, and the tensors after three steps and at the end.
    private func train(_ fixture: Fixture, _ method: any Method, steps: Int, each: (ParameterSet, Int) throws -> Void)
        throws
    {
        var plan = TrainingPlan(steps: steps, learningRate: 1e-3)
        plan.batchSize = 3
        plan.order = .file
        plan.schedule = .constant
        plan.weightDecay = 0.01
        plan.evaluateEvery = 1
        let adapter = Adapter(
            method: method, task: .generation, labels: [], parameters: try fixture.start(), encoding: .init())
        let gradients = try fixture.tensors("gradient.")
        let third = try fixture.tensors("after3.")
        try withoutActuallyEscaping(each) { each in
            let trainer = try Trainer(model: fixture.model, adapter: adapter, examples: fixture.rows(), plan: plan) {
                parameters, step in
                if step == 1 { try expectSame(parameters, gradients, "gradient of") { $0.tensor.gradient } }
                if step == 3 { try expectSame(parameters, third, "after three steps") }
                try each(parameters, step)
                // The last one is the best.
                return ValidationPoint(step: step, score: Double(step), loss: 0)
            }
            var losses: [Double] = []
            var penalties: [Double] = []
            let outcome = try trainer.run(report: { event in
                guard case .step(let step) = event else { return }
                losses.append(step.loss)
                if let penalty = step.penalty { penalties.append(penalty) }
            })
            let terms = try fixture.expected["penalties"]?.elements(Double.self) ?? []
            #expect(penalties.count == terms.count)
            for (ours, theirs) in zip(penalties, terms) { #expect(abs(ours - theirs) < 1e-5 * theirs) }
            let expected = try #require(fixture.expected["losses"]).elements(Double.self)
            #expect(losses.count == expected.count)
            for (step, (ours, theirs)) in zip(losses, expected).enumerated() {
                #expect(abs(ours - theirs) < 1e-5 * theirs, "step \(step + 1): \(ours), not \(theirs)")
            }
            let saved = Dictionary(uniqueKeysWithValues: fixture.saved.all.map { ($0.name, $0.tensor) })
            #expect(outcome.parameters.trained.map(\.name) == fixture.saved.trained.map(\.name))
            try expectSame(outcome.parameters, saved, "at the end")
        }
    }

    @Test("LoRA+ trains as PEFT's optimiser for it", arguments: ["llama-loraplus", "llama-doraplus"])
    func loraPlus(name: String) throws {
        let fixture = try Fixture(name)
        var settings = try #require(fixture.method.settings.json.object)
        settings["b-rate-factor"] = 16
        let method = LoRA(try MethodSettings(LoRA.card, json: .object(settings)))
        try train(fixture, method, steps: 3) { _, _ in }
    }

    @Test("AdaLoRA trains and allots ranks as PEFT", arguments: ["llama-adalora", "gpt2-adalora"])
    func adaLoRA(name: String) throws {
        let fixture = try Fixture(name)
        let steps = try #require(fixture.expected["losses"]).count
        var masks = 0
        try train(fixture, fixture.method, steps: steps) { parameters, step in
            try expectSame(parameters, fixture.tensors("values.\(step)."), "values after step \(step)")
            for (name, kept) in try fixture.tensors("kept.\(step).") {
                let site = name.dropLast(".lora_E".count)
                let ours = try #require(parameters["\(site).kept"], "\(site) after step \(step)")
                #expect(try ours.elements(Int.self) == kept.elements(Int.self), "\(site) after step \(step)")
                masks += 1
            }
        }
        #expect(masks > 0)
    }
}
