import Glibc
import HoneFormats
import HoneTorch

enum GeneratorMath {
    static func logarithm(_ value: Double) -> Double { Glibc.log(value) }
    static func exponential(_ value: Double) -> Double { Glibc.exp(value) }
    static func cosine(_ value: Double) -> Double { Glibc.cos(value) }
}

/// How a generator is trained.
public struct GeneratorPlan: Hashable, Sendable {
    /// The length of the latent vectors.
    public var latent = 256
    /// The weight of the divergence, β.
    public var beta = 0.005
    /// How often every adapter is seen.
    public var epochs = 2000
    /// How many adapters a step has; the tasks are mixed.
    public var batchSize = 2
    /// The learning rate of Adam; along a cosine it falls to half.
    public var learningRate = 2e-4
    /// What initial weights, order and noise are drawn from.
    public var seed: UInt64 = 2024
    /// Where mean and spread of the tensors come from.
    public var scaling = AdapterGenerator.Scaling.task

    /// The defaults.
    public init() {}

    func check() throws {
        func require(_ holds: Bool, _ option: String, _ sentence: String) throws {
            if !holds { throw HoneError(.usage, sentence, item: option) }
        }
        try require((1...65536).contains(latent), "--latent", "must be from 1 to 65536, not \(latent)")
        try require(beta >= 0 && beta.isFinite, "--beta", "must not be below 0, not \(beta)")
        try require((1...1 << 24).contains(epochs), "--epochs", "must be at least 1, not \(epochs)")
        try require((2...65536).contains(batchSize), "--batch-size", "must be from 2 to 65536, not \(batchSize)")
        try require(
            learningRate > 0 && learningRate.isFinite, "--learning-rate",
            "must be a number above 0, not \(learningRate)")
    }

    /// The learning rate of an epoch, counted from 0: a cosine that would reach 0 after twice the epochs.
    func learningRate(at epoch: Int) -> Double {
        learningRate * 0.5 * (1 + GeneratorMath.cosine(Double.pi * Double(epoch) / (2 * Double(epochs))))
    }
}

/// What a generator learns a task from.
public struct GeneratorExamples {
    /// The task's name.
    public var name: String
    /// Its task vector.
    public var condition: [Float]
    /// Its adapters, each with the name of its file or folder for messages.
    public var adapters: [(file: String, tensors: [(name: String, tensor: Tensor)])]

    /// The adapters of a task.
    public init(
        name: String, condition: [Float], adapters: [(file: String, tensors: [(name: String, tensor: Tensor)])]
    ) {
        self.name = name
        self.condition = condition
        self.adapters = adapters
    }
}

extension AdapterGenerator {
    /// How an epoch went.
    public struct Epoch: Hashable, Sendable {
        /// Counted from 1.
        public var number: Int
        /// The mean squared error of the adapters' vectors.
        public var error: Double
        /// The mean divergence.
        public var divergence: Double
    }

    /// Learns a generator.
    ///
    /// - Parameter report: told about every epoch; gives whether to stop there.
    /// - Throws: `HoneError`: `.badData` where there is nothing to learn from, `.mismatch` that names the first tensor of
    ///   another shape, `.notFinite`.
    public static func train(
        _ examples: [GeneratorExamples], plan: GeneratorPlan, report: (Epoch) -> Bool = { _ in false }
    ) throws -> AdapterGenerator {
        try plan.check()
        var generator = try untrained(examples, plan: plan)
        let (vectors, conditions) = try generator.inputs(examples)
        try generator.fit(vectors, conditions, plan: plan, report: report)
        return generator
    }

    /// A generator with everything but a trained network.
    static func untrained(_ examples: [GeneratorExamples], plan: GeneratorPlan) throws -> AdapterGenerator {
        let examples = examples.sorted { $0.name < $1.name }
        guard let first = examples.first(where: { !$0.adapters.isEmpty })?.adapters.first else {
            throw HoneError(.badData, "there are no adapters to learn from")
        }
        for (task, next) in zip(examples, examples.dropFirst()) where task.name == next.name {
            throw HoneError(.badData, "there are two tasks of this name", item: task.name)
        }
        let layout = AdapterLayout(first.tensors)
        guard layout.count >= 2 else { throw HoneError(.badData, "the adapters hold fewer than two numbers") }
        var all: [[Tensor]] = []
        for task in examples {
            guard !task.adapters.isEmpty else {
                throw HoneError(.badData, "the task has no adapters", item: task.name)
            }
            guard task.condition.count == examples[0].condition.count, !task.condition.isEmpty else {
                throw HoneError(
                    .mismatch,
                    "the task vector has \(task.condition.count) numbers, the first one "
                        + "\(examples[0].condition.count)", item: task.name)
            }
            guard task.condition.allSatisfy(\.isFinite) else {
                throw HoneError(.notFinite, "the task vector holds numbers that are not finite", item: task.name)
            }
            all.append(try task.adapters.map { try layout.joined($0.tensors, file: $0.file) })
        }
        let shared = try AdapterStatistics(all.flatMap { $0 }, layout: layout)
        let tasks = try zip(examples, all).map { task, vectors in
            let mean = try Tensor.stacked(vectors).mean([0])
            let length = try max(1e-30, mean.norm().item())
            let distances = try vectors.map { try ($0 - mean).norm().item() }
            return Task(
                name: task.name, condition: task.condition,
                statistics: plan.scaling == .task ? try AdapterStatistics(vectors, layout: layout) : shared,
                adapters: vectors.count, spread: distances.reduce(0, +) / Double(distances.count) / length)
        }
        let width = examples[0].condition.count
        let count = Float(examples.count)
        let mean = (0..<width).map { place in examples.reduce(0) { $0 + $1.condition[place] } / count }
        let square = examples.reduce(0.0) { sum, task in
            zip(task.condition, mean).reduce(sum) { $0 + Double(($1.0 - $1.1) * ($1.0 - $1.1)) }
        }
        // One task alone has no spread: its vector is then zero as the network sees it.
        let spread = (square / Double(examples.count * width)).squareRoot()
        var outer: AdapterStatistics?
        var length = layout.count
        if plan.scaling == .generated {
            outer = AdapterStatistics(
                of: try all.flatMap { $0 }.map { try AdapterStatistics([$0], layout: layout) })
            length += 2 * layout.entries.count
        }
        var random = RandomStream(seed: plan.seed, name: "generator initialisation")
        let shape = GeneratorShape(length: length, condition: width, latent: plan.latent)
        return AdapterGenerator(
            layout: layout, scaling: plan.scaling, network: try GeneratorNetwork(shape, random: &random), tasks: tasks,
            conditionMean: mean, conditionScale: spread > 1e-12 ? spread : 1, outer: outer)
    }

    /// The vectors of all adapters as the network takes them, and their task vectors.
    func inputs(_ examples: [GeneratorExamples]) throws -> (vectors: Tensor, conditions: Tensor) {
        var rows: [Tensor] = []
        var vectors: [[Float]] = []
        for example in examples {
            let statistics = try task(example.name).statistics
            for (file, tensors) in example.adapters {
                let vector = try layout.joined(tensors, file: file)
                if let outer {
                    let own = try AdapterStatistics([vector], layout: layout)
                    let numbers = own.numbers.enumerated().map { place, number in
                        (number - outer.means[place]) / outer.deviations[place]
                    }
                    rows.append(
                        try Tensor.concatenated([
                            own.normalised(vector, layout: layout), Tensor(numbers).to(.float32),
                        ]))
                } else {
                    rows.append(try statistics.normalised(vector, layout: layout))
                }
                vectors.append(example.condition)
            }
        }
        return (try Tensor.stacked(rows), try conditions(vectors))
    }

    /// Trains the network in place.
    private mutating func fit(
        _ vectors: Tensor, _ conditions: Tensor, plan: GeneratorPlan, report: (Epoch) -> Bool
    ) throws {
        let names = network.shape.parameters.map(\.name)
        let weights = names.compactMap { network.parameters[$0] }
        for weight in weights { try weight.setRequiresGradient() }
        defer { for weight in weights { _ = try? weight.setRequiresGradient(false) } }
        let means = try weights.map { try Tensor.zeros($0.shape) }
        let squares = try weights.map { try Tensor.zeros($0.shape) }
        let count = vectors.size(0)
        var step = 0
        for epoch in 0..<plan.epochs {
            var order = RandomStream(seed: plan.seed, name: "generator order", counter: UInt64(epoch) << 32)
            let places = (0..<count).map { (order.next(), $0) }.sorted { $0 < $1 }.map(\.1)
            var noise = RandomStream(seed: plan.seed, name: "generator noise", counter: UInt64(epoch) << 32)
            var sums = (error: 0.0, divergence: 0.0)
            for batch in GeneratorPlan.batches(places, size: plan.batchSize) {
                step += 1
                let chosen = try Tensor(batch)
                let loss = try withGradients {
                    try network.loss(
                        vectors.selecting(chosen), conditions.selecting(chosen),
                        noise: noise.normal([batch.count, network.shape.latent]))
                }
                let total = try withGradients { try loss.total(plan.beta) }
                guard try total.item().isFinite else {
                    throw HoneError(
                        .notFinite, "the generator's loss is not finite in step \(step); lower the learning rate")
                }
                for weight in weights { weight.clearGradient() }
                try total.backward()
                let found = weights.indices.filter { weights[$0].gradient != nil }
                try adamWStep(
                    parameters: found.map { weights[$0] }, gradients: found.compactMap { weights[$0].gradient },
                    means: found.map { means[$0] }, squares: found.map { squares[$0] },
                    steps: found.map { _ in try Tensor([Float(step)], shape: []) },
                    learningRate: plan.learningRate(at: epoch), beta1: 0.9, beta2: 0.999, weightDecay: 0, epsilon: 1e-8)
                sums.error += try loss.error.item() * Double(batch.count)
                sums.divergence += try loss.divergence.item() * Double(batch.count)
            }
            let stops = report(
                Epoch(number: epoch + 1, error: sums.error / Double(count), divergence: sums.divergence / Double(count))
            )
            if stops { break }
        }
        for weight in weights { weight.clearGradient() }
    }
}

extension GeneratorPlan {
    /// Places cut into batches; a last one of a single row, which batch norms cannot work on, joins the one before it.
    static func batches(_ places: [Int], size: Int) -> [[Int]] {
        var batches = stride(from: 0, to: places.count, by: size).map {
            Array(places[$0..<min($0 + size, places.count)])
        }
        if batches.count > 1, let last = batches.last, last.count == 1 {
            batches.removeLast()
            batches[batches.count - 1] += last
        }
        // An only adapter stands twice: its statistics are then its own.
        if batches.count == 1, batches[0].count == 1 { batches[0] += batches[0] }
        return batches
    }
}
