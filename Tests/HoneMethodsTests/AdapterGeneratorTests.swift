import Foundation
import HoneFormats
import HoneTesting
import HoneTorch
import Testing

@testable import HoneMethods

/// Vectors of adapters, the network that makes them, and what it learns.
@Suite struct AdapterGeneratorTests {
    typealias Tensors = [(name: String, tensor: Tensor)]

    private let fixture: [String: Tensor]

    init() throws {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/adapter-generator.safetensors").path
        fixture = try Dictionary(
            TensorFiles.read(file).map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
    }

    static func tensors(_ seed: UInt64, rank: Int = 2) throws -> Tensors {
        var random = RandomStream(seed: seed, name: "adapter")
        return [
            ("layers.1.value.lora_B", try random.normal([6, rank], mean: 3, standardDeviation: 0.1)),
            ("layers.0.query.lora_A", try random.normal([rank, 8], standardDeviation: 2)),
            ("layers.0.query.lora_B", try Tensor.zeros([5, rank])),
            ("layers.0.query.lora_magnitude_vector", try random.normal([5], mean: 1, standardDeviation: 0.2)),
        ]
    }

    func near(_ left: Tensor, _ right: Tensor, _ tolerance: Double) throws -> Bool {
        let distances = try zip(left.elements(Double.self), right.elements(Double.self)).map { abs($0 - $1) }
        return left.shape == right.shape && distances.allSatisfy { $0 <= tolerance }
    }

    // MARK: The network

    @Test func `the sizes are those of the paper's code`() {
        let shape = GeneratorShape(length: 1_929_928, condition: 768, latent: 256)
        #expect(shape.padded == 1_933_312 && shape.bottleneck == 472 && shape.stages == 12)
        #expect(shape.channels == [8, 16, 32, 64, 128, 256, 256, 128, 64, 32, 16, 8])
        #expect(shape.parameterCount == 7_508_369)
    }

    @Test(arguments: [2, 3, 40, 4095, 4096, 4097, 18432])
    func `lengths come out as they should, with fewer stages for short vectors`(length: Int) throws {
        let shape = GeneratorShape(length: length, condition: 3, latent: 4)
        #expect(shape.padded >= length && shape.padded - length < 1 << shape.stages)
        #expect(shape.stages == (length < 4096 ? Int(log2(Double(length))) : 12))
        var random = RandomStream(seed: 1, name: "network")
        let network = try GeneratorNetwork(shape, random: &random)
        #expect(
            network.tensors.reduce(0) { $0 + $1.tensor.count } - 2 * shape.norms.reduce(0) { $0 + $1.channels }
                == shape.parameterCount)
        let (mean, logVariance) = try network.encode(
            random.normal([2, length]), random.normal([2, 3]), isTraining: false)
        #expect(mean.shape == [2, 4] && logVariance.shape == [2, 4])
        let made = try network.decode(random.normal([2, 4]), random.normal([2, 3]), isTraining: false)
        #expect(made.shape == [2, shape.padded])
        #expect(try network.generate(random.normal([2, 4]), random.normal([2, 3])).shape == [2, length])
    }

    /// The network of the fixture with fresh running statistics.
    private func reference() throws -> GeneratorNetwork {
        let shape = GeneratorShape(length: 40, condition: 5, latent: 4)
        var tensors: [String: Tensor] = [:]
        for (name, tensor) in fixture where name.hasPrefix("before.") {
            tensors[String(name.dropFirst(7))] = try tensor.cloned()
        }
        for (name, channels) in shape.norms {
            tensors[name + ".mean"] = try Tensor.zeros([channels])
            tensors[name + ".variance"] = try Tensor.full([channels], 1)
        }
        return try GeneratorNetwork(shape, tensors: tensors)
    }

    private func wanted(_ name: String) throws -> Tensor { try #require(fixture[name], "\(name)") }

    @Test func `outputs, loss, gradients and running statistics are PyTorch's`() throws {
        let network = try reference()
        let conditions = try wanted("conditions").cloned().setRequiresGradient()
        for (name, _) in network.shape.parameters { try network.parameters[name]?.setRequiresGradient() }
        let loss = try withGradients {
            try network.loss(wanted("vectors"), conditions, noise: wanted("noise"))
        }
        #expect(try near(loss.error, wanted("error"), 1e-5) && near(loss.divergence, wanted("divergence"), 1e-5))
        try withGradients { try loss.total(0.005) }.backward()
        for (name, _) in network.shape.parameters {
            let gradient = try #require(network.parameters[name]?.gradient, "\(name)")
            #expect(try near(gradient, wanted("gradient." + name), 1e-5), "\(name)")
        }
        #expect(try near(#require(conditions.gradient), wanted("gradient.conditions"), 1e-5))
        for (name, tensor) in network.statistics { #expect(try near(tensor, wanted("after." + name), 1e-5), "\(name)") }
        let made = try network.generate(wanted("noise"), wanted("conditions"))
        #expect(try near(made, wanted("generated"), 1e-5))
    }

    @Test func `outputs in training are PyTorch's`() throws {
        let network = try reference()
        let (mean, logVariance) = try network.encode(wanted("vectors"), wanted("conditions"), isTraining: true)
        #expect(try near(mean, wanted("mean"), 1e-5) && near(logVariance, wanted("logVariance"), 1e-5))
        let latent = try mean + (logVariance * 0.5).exp() * wanted("noise")
        #expect(try near(network.decode(latent, wanted("conditions"), isTraining: true), wanted("made"), 1e-5))
    }

    @Test func `posterior and decoder both depend on the task vector`() throws {
        let network = try reference()
        for part in ["posterior", "decoder"] {
            let conditions = try wanted("conditions").cloned().setRequiresGradient()
            let output = try withGradients {
                part == "posterior"
                    ? try network.encode(wanted("vectors"), conditions, isTraining: true).mean.power(2).sum()
                    : try network.decode(wanted("noise"), conditions, isTraining: true).power(2).sum()
            }
            try output.backward()
            #expect(try #require(conditions.gradient).elements(Float.self).contains { abs($0) > 1e-4 }, "\(part)")
        }
    }

    @Test func `in evaluation mode a row does not depend on the rows beside it`() throws {
        let network = try reference()
        let (noise, conditions) = try (wanted("noise"), wanted("conditions"))
        let together = try network.generate(noise, conditions)
        for row in 0..<3 {
            let alone = try network.generate(
                noise.narrowed(0, from: row, length: 1), conditions.narrowed(0, from: row, length: 1))
            #expect(try near(alone.at(0), together.at(row), 1e-6))
        }
    }

    @Test func `the divergence of every dimension is at least 0`() throws {
        let network = try reference()
        let (mean, logVariance) = try network.encode(wanted("vectors"), wanted("conditions"), isTraining: true)
        let terms: [Double] = try (((logVariance + 1) - mean.power(2) - logVariance.exp()) * -0.5).elements()
        #expect(terms.allSatisfy { $0 >= -1e-7 } && terms.contains { $0 > 1e-3 })
    }

    // MARK: Learning

    /// Adapters of a task: its own centre and a little spread.
    private static func examples(_ tasks: [UInt64], adapters: Int, spread: Double) throws -> [GeneratorExamples] {
        try tasks.map { task in
            let centre = try tensors(task)
            var random = RandomStream(seed: task, name: "spread")
            var vectors = RandomStream(seed: task, name: "condition")
            return GeneratorExamples(
                name: "task-\(task)", condition: try vectors.normal([6]).elements(),
                adapters: try (0..<adapters).map { number in
                    (
                        "\(task)/\(number)",
                        try centre.map { name, tensor in
                            (name, try tensor + random.normal(tensor.shape, standardDeviation: spread))
                        }
                    )
                })
        }
    }

    private func plan(_ epochs: Int, _ change: (inout GeneratorPlan) -> Void = { _ in }) -> GeneratorPlan {
        var plan = GeneratorPlan()
        plan.epochs = epochs
        plan.latent = 8
        plan.batchSize = 6
        plan.learningRate = 5e-3
        change(&plan)
        return plan
    }

    @Test
    func `of one task with one adapter, without divergence, the error goes to nothing and the mean gives it back`()
        throws
    {
        let examples = try Self.examples([1], adapters: 1, spread: 0)
        var last = Double.infinity
        let generator = try AdapterGenerator.train(examples, plan: plan(400) { $0.beta = 0 }) {
            last = $0.error
            return false
        }
        #expect(last < 0.02)
        let found = try generator.accuracy(of: "task-1", given: "task-1", examples, count: 4, seed: 1)
        #expect(found.reconstructionError < 0.05, "\(found.reconstructionError)")
    }

    @Test func `of one task with several adapters, without divergence, the mean gives theirs back up to their spread`()
        throws
    {
        let examples = try Self.examples([1], adapters: 4, spread: 0.1)
        let generator = try AdapterGenerator.train(examples, plan: plan(200) { $0.beta = 0 })
        let found = try generator.accuracy(of: "task-1", given: "task-1", examples, count: 4, seed: 1)
        let spread = generator.tasks[0].spread
        #expect(found.reconstructionError <= 1.1 * spread, "\(found.reconstructionError) \(spread)")
    }

    @Test(arguments: AdapterGenerator.Scaling.allCases)
    func `each task's vector gives adapters of that task`(scaling: AdapterGenerator.Scaling) throws {
        let examples = try Self.examples([1, 2, 3], adapters: 6, spread: 0.02)
        let generator = try AdapterGenerator.train(examples, plan: plan(120) { $0.scaling = scaling })
        for (place, task) in examples.enumerated() {
            let own = try generator.accuracy(of: task.name, given: task.name, examples, count: 20, seed: 1)
            #expect(own.ownNearest >= 0.9, "\(task.name): \(own.ownNearest)")
            #expect(own.error < own.meanOfAllError, "\(own.error) \(own.meanOfAllError)")
            #expect(own.divergences.allSatisfy { $0 >= -1e-6 })
            // The other task's vector gives the other task's adapters.
            let other = examples[(place + 1) % 3]
            let swapped = try generator.accuracy(of: task.name, given: other.name, examples, count: 20, seed: 1)
            #expect(swapped.error > own.error)
            if scaling != .task { #expect(swapped.ownNearest <= 0.1, "\(task.name): \(swapped.ownNearest)") }
            // With the tables that belong to it, which the scaling by tasks keeps beside the vector.
            let given = try generator.task(other.name)
            let means = try Dictionary(
                uniqueKeysWithValues: examples.map { task in
                    let vectors = try task.adapters.map { try generator.layout.joined($0.tensors) }
                    return (task.name, try Tensor.stacked(vectors).mean([0]))
                })
            let made = try generator.sample(given.condition, statistics: given.statistics, count: 20, seed: 2)
            let right = try made.count { tensors in
                let vector = try generator.layout.joined(tensors)
                let distances = try means.mapValues { try (vector - $0).norm().item() }
                return distances.min { $0.value < $1.value }?.key == other.name
            }
            #expect(right >= 18, "\(other.name): \(right) of 20")
        }
    }

    @Test func `the same seed gives the same generator and the same adapters, another seed others`() throws {
        let examples = try Self.examples([1, 2], adapters: 3, spread: 0.1)
        let (one, two) = try (
            AdapterGenerator.train(examples, plan: plan(5)), AdapterGenerator.train(examples, plan: plan(5))
        )
        func sample(_ generator: AdapterGenerator, _ seed: UInt64) throws -> [Float] {
            try generator.sample(examples[0].condition, statistics: generator.tasks[0].statistics, seed: seed)[0]
                .flatMap { try $0.tensor.elements() }
        }
        #expect(try sample(one, 1) == sample(two, 1))
        #expect(try sample(one, 1) != sample(one, 2))
    }

    @Test(arguments: AdapterGenerator.Scaling.allCases)
    func `a folder holds the whole generator`(scaling: AdapterGenerator.Scaling) throws {
        let scratch = try TemporaryFolder()
        let examples = try Self.examples([1, 2], adapters: 2, spread: 0.1)
        let generator = try AdapterGenerator.train(examples, plan: plan(3) { $0.scaling = scaling })
        let folder = try scratch.folder("generator")
        try generator.write(to: folder, companions: [:])
        let read = try AdapterGenerator.read(folder)
        let task = try generator.task("task-2")
        let other = try read.task("task-2")
        #expect(other.adapters == 2 && other.condition == task.condition && other.spread == task.spread)
        let made = try generator.sample(task.condition, statistics: task.statistics, count: 2, seed: 9)
        let again = try read.sample(other.condition, statistics: other.statistics, count: 2, seed: 9)
        for (one, two) in zip(made.flatMap { $0 }, again.flatMap { $0 }) {
            #expect(one.name == two.name)
            #expect(try near(one.tensor, two.tensor, 1e-6))
        }
        try FileManager.default.removeItem(atPath: folder + "/generator.safetensors")
        #expect(throws: HoneError.self) { try AdapterGenerator.read(folder) }
    }

    @Test func `a folder with a field or a tensor that is missing or wrong is refused by its file`() throws {
        let scratch = try TemporaryFolder()
        let examples = try Self.examples([1, 2], adapters: 2, spread: 0.1)
        let generator = try AdapterGenerator.train(examples, plan: plan(1) { $0.scaling = .generated })
        let folder = try scratch.folder("generator")
        try generator.write(to: folder, companions: [:])
        func refusal(_ what: String) -> HoneError? {
            return #expect(throws: HoneError.self, "\(what)") { try AdapterGenerator.read(folder) }
        }
        let file = folder + "/generator.json"
        let whole = try #require(JSON.read(file: file).object)
        let wrong: [String: [JSON]] = [
            "version": [0, "1", 1.5, .null], "scaling": ["other", 1, .null],
            "condition_scale": [0, -1, "1", .null], "tasks": [[], .null, "task-1", [7], [["name": 1]]],
            "tensors": [[], .null, [["name": "a", "shape": [4, 0]]], [["name": "a", "shape": [4, 4]]]],
            "condition": [0, -6, 7, "6", 4_294_967_297, .integer(.max), .null],
            "latent": [0, -8, 9, "8", 4_294_967_297, .integer(.max), .null],
        ]
        for (field, values) in wrong {
            var changes = [whole]
            changes[0][field] = nil
            for value in values {
                changes.append(whole)
                changes[changes.count - 1][field] = value
            }
            for changed in changes {
                let what = "\(field): \(changed[field]?.text() ?? "missing")"
                try AtomicFile.write(JSON.object(changed).text(), to: file)
                let error = refusal(what)
                // A size that is wrong by itself shows in the tensors that should have it.
                #expect(error?.code == .badFile && error?.file?.hasPrefix(folder + "/generator.") == true, "\(what)")
            }
        }
        var newer = whole
        newer["version"] = 2
        try AtomicFile.write(JSON.object(newer).text(), to: file)
        #expect(refusal("version 2")?.code == .unsupported)
        try AtomicFile.write("{", to: file)
        #expect(refusal("half a file")?.file == file)
        try AtomicFile.write(JSON.object(whole).text(), to: file)

        let path = folder + "/generator.safetensors"
        let tensors = try TensorFiles.read(path)
        for name in [
            "network.encoder.0.weight", "network.mean.bias", "network.encoder.0.norm.variance", "network.output.bias",
            "condition.mean", "outer.means", "outer.deviations", "task.task-1.vector", "task.task-2.vector",
            "task.task-1.means", "task.task-1.deviations",
        ] {
            let place = try #require(tensors.firstIndex { $0.name == name }, "\(name)")
            var (without, other) = (tensors, tensors)
            without.remove(at: place)
            other[place].tensor = try Tensor.zeros(tensors[place].tensor.shape + [2])
            for changed in [without, other] {
                try TensorFiles.write(changed, to: path)
                let error = refusal(name)
                #expect(error?.code == .badFile && error?.file == path, "\(name)")
                #expect(error?.item.map { name.hasSuffix($0) } == true, "\(name)")
            }
        }
        let place = try #require(tensors.firstIndex { $0.name == "network.start.weight" })
        var infinite = tensors
        infinite[place].tensor = try Tensor.full(tensors[place].tensor.shape, .infinity)
        try TensorFiles.write(infinite, to: path)
        #expect(refusal("infinite")?.code == .notFinite)
        try TensorFiles.write(tensors, to: path)
        #expect(try AdapterGenerator.read(scratch.path + "/generator").tasks.map(\.name) == ["task-1", "task-2"])
    }

    @Test func `a task vector of another width is refused, and so is a task that is not known`() throws {
        let examples = try Self.examples([1, 2], adapters: 2, spread: 0.1)
        let generator = try AdapterGenerator.train(examples, plan: plan(1))
        let width = #expect(throws: HoneError.self) {
            try generator.sample([1, 2], statistics: generator.tasks[0].statistics)
        }
        #expect(width?.code == .mismatch && width?.item == "task vector")
        let name = #expect(throws: HoneError.self) { try generator.task("no such") }
        #expect(name?.code == .usage && name?.message.contains("task-1, task-2") == true)
        #expect(try generator.nearest(examples[1].condition).name == "task-2")
        var wrong = examples
        wrong[1].condition = [1]
        let two = #expect(throws: HoneError.self) { try AdapterGenerator.train(wrong, plan: plan(1)) }
        #expect(two?.code == .mismatch && two?.item == "task-2")
    }

    @Test func `plans out of bounds are refused by name`() throws {
        let examples = try Self.examples([1, 2], adapters: 2, spread: 0.1)
        let changes: [(inout GeneratorPlan) -> Void] = [
            { $0.latent = 0 }, { $0.beta = -1 }, { $0.batchSize = 1 }, { $0.learningRate = 0 }, { $0.epochs = 0 },
        ]
        for (place, change) in changes.enumerated() {
            let error = #expect(throws: HoneError.self, "\(place)") {
                try AdapterGenerator.train(examples, plan: plan(1, change))
            }
            #expect(error?.code == .usage && error?.item != nil, "\(place)")
        }
    }

    @Test func `batches never have a single row`() {
        #expect(GeneratorPlan.batches([1, 2, 3, 4, 5], size: 2) == [[1, 2], [3, 4, 5]])
        #expect(GeneratorPlan.batches([1], size: 2) == [[1, 1]])
        #expect(GeneratorPlan.batches([1, 2, 3], size: 8) == [[1, 2, 3]])
    }
}
