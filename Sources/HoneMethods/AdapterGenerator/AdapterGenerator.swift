import HoneFormats
import HoneTorch

/// One generator for the adapters of many tasks: a task's vector in, a low-rank adapter for it out (Jin et al. 2025, arXiv
/// 2501.17635).
public struct AdapterGenerator {
    /// Where mean and spread of each tensor come from when a vector is turned back into tensors.
    public enum Scaling: String, CaseIterable, Sendable {
        /// One table a task, stored with it.
        case task
        /// One table for all tasks.
        case shared
        /// They are part of the vector, and generated with it.
        case generated
    }

    /// What is kept of a task.
    public struct Task: Sendable {
        /// Its name.
        public var name: String
        /// Its task vector, `[condition]`.
        public var condition: [Float]
        /// The table of its tensors; that of all tasks where the scaling is shared or generated.
        public var statistics: AdapterStatistics
        /// How many adapters it was learned from.
        public var adapters: Int
        /// How far these are from their mean, over the mean's length: what a reconstruction cannot be asked to be better than.
        public var spread: Double
    }

    /// The tensors of an adapter.
    public let layout: AdapterLayout
    /// Where mean and spread come from.
    public let scaling: Scaling
    /// The network.
    public let network: GeneratorNetwork
    /// The tasks, in order of their names.
    public let tasks: [Task]
    /// The mean of the task vectors that the network was trained with, which it sees taken off.
    let conditionMean: [Float]
    /// The spread of the task vectors around that mean, which it sees divided out.
    let conditionScale: Double
    /// The table of the tables, by which generated ones are restored; one entry for each mean and logarithm of a deviation.
    let outer: AdapterStatistics?

    init(
        layout: AdapterLayout, scaling: Scaling, network: GeneratorNetwork, tasks: [Task], conditionMean: [Float],
        conditionScale: Double, outer: AdapterStatistics?
    ) {
        self.layout = layout
        self.scaling = scaling
        self.network = network
        self.tasks = tasks
        self.conditionMean = conditionMean
        self.conditionScale = conditionScale
        self.outer = outer
    }

    /// The task of a name.
    ///
    /// - Throws: `HoneError` with code `.usage` that lists the tasks there are.
    public func task(_ name: String) throws -> Task {
        guard let task = tasks.first(where: { $0.name == name }) else {
            let known = tasks.map(\.name).joined(separator: ", ")
            throw HoneError(.usage, "the generator knows no task `\(name)`; it knows \(known)", item: "task")
        }
        return task
    }

    /// The task whose vector is nearest to one by the angle between them, seen from the mean of all.
    public func nearest(_ condition: [Float]) throws -> Task {
        try check(condition)
        func seen(_ vector: [Float]) -> [Double] { zip(vector, conditionMean).map { Double($0) - Double($1) } }
        func cosine(_ left: [Double], _ right: [Double]) -> Double {
            let product = zip(left, right).reduce(0) { $0 + $1.0 * $1.1 }
            let lengths = [left, right].map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
            return product / max(1e-30, lengths[0] * lengths[1])
        }
        let own = seen(condition)
        return tasks.max { cosine(own, seen($0.condition)) < cosine(own, seen($1.condition)) } ?? tasks[0]
    }

    private func check(_ condition: [Float]) throws {
        guard condition.count == conditionMean.count else {
            throw HoneError(
                .mismatch, "the task vector has \(condition.count) numbers, the generator takes \(conditionMean.count)",
                item: "task vector")
        }
        guard condition.allSatisfy(\.isFinite) else {
            throw HoneError(.notFinite, "holds numbers that are not finite", item: "task vector")
        }
    }

    /// Task vectors as the network takes them, `[rows, condition]`.
    func conditions(_ vectors: [[Float]]) throws -> Tensor {
        for vector in vectors { try check(vector) }
        let rows = try Tensor(vectors.flatMap { $0 }, shape: [vectors.count, conditionMean.count])
        return try (rows - Tensor(conditionMean)) / conditionScale
    }

    /// New adapters for a task vector.
    ///
    /// - Parameters:
    ///   - statistics: the table to restore the tensors with; not looked at where it is generated.
    ///   - count: how many.
    /// - Returns: the tensors of each, under the names of the adapters that were learned from.
    public func sample(_ condition: [Float], statistics: AdapterStatistics, count: Int = 1, seed: UInt64 = 0) throws
        -> [[(name: String, tensor: Tensor)]]
    {
        var random = RandomStream(seed: seed, name: "latent")
        let latent = try random.normal([count, network.shape.latent])
        return try vectors(latent, Array(repeating: condition, count: count), statistics).map(layout.parts)
    }

    /// What the generator makes of a task, against what it learned from: relative to the length of the task's mean adapter.
    public struct Accuracy: Sendable {
        /// How far generated adapters are from the task's mean adapter.
        public var error: Double
        /// How far they are from the nearest adapter that was learned from.
        public var nearestError: Double
        /// The share of them whose nearest adapter, over all tasks, is of this task.
        public var ownNearest: Double
        /// How far the mean over all tasks' adapters is from the task's.
        public var meanOfAllError: Double
        /// How far encoding and decoding the task's adapters, without noise, takes them off.
        public var reconstructionError: Double
        /// The divergence of each latent dimension, a mean over the adapters.
        public var divergences: [Double]
    }

    /// Compares generated adapters with those that were learned from.
    ///
    /// - Parameters:
    ///   - name: the task whose adapters are wanted.
    ///   - condition: the task whose vector is given, `name` itself or another for the control.
    public func accuracy(
        of name: String, given condition: String, _ examples: [GeneratorExamples], count: Int, seed: UInt64
    ) throws -> Accuracy {
        let (own, other) = try (task(name), task(condition))
        let vectors = try Dictionary(
            uniqueKeysWithValues: examples.map { task in
                (task.name, try task.adapters.map { try layout.joined($0.tensors, file: $0.file) })
            })
        guard let mine = vectors[name], !mine.isEmpty else {
            throw HoneError(.usage, "none of the adapters is of this task", item: name)
        }
        return try withoutGradients {
            let mean = try Tensor.stacked(mine).mean([0])
            let length = try max(1e-30, mean.norm().item())
            var random = RandomStream(seed: seed, name: "latent")
            let made = try self.vectors(
                random.normal([count, network.shape.latent]), Array(repeating: other.condition, count: count),
                own.statistics)
            var (error, nearest, ownNearest) = (0.0, 0.0, 0)
            for vector in made {
                error += try (vector - mean).norm().item()
                var best = (distance: Double.infinity, task: "")
                var mineBest = Double.infinity
                for (task, all) in vectors.sorted(by: { $0.key < $1.key }) {
                    for adapter in all {
                        let distance = try (vector - adapter).norm().item()
                        if distance < best.distance { best = (distance, task) }
                        if task == name { mineBest = min(mineBest, distance) }
                    }
                }
                nearest += mineBest
                if best.task == name { ownNearest += 1 }
            }
            // A mean over the tasks' means, so that a task with more adapters weighs no more.
            let means = try vectors.values.map { try Tensor.stacked($0).mean([0]) }
            let all = try Tensor.stacked(means).mean([0])
            let only = examples.filter { $0.name == name }
            let (inputs, conditions) = try self.inputs(only)
            let (latent, logVariance) = try network.encode(inputs, conditions, isTraining: false)
            let back = try self.vectors(
                latent, Array(repeating: own.condition, count: mine.count), own.statistics)
            let distances = try zip(back, mine).map { try ($0 - $1).norm().item() }
            let terms = try ((logVariance + 1) - latent.power(2) - logVariance.exp()).mean([0]) * -0.5
            return Accuracy(
                error: error / Double(count) / length, nearestError: nearest / Double(count) / length,
                ownNearest: Double(ownNearest) / Double(count),
                meanOfAllError: try (all - mean).norm().item() / length,
                reconstructionError: distances.reduce(0, +) / Double(distances.count) / length,
                divergences: try terms.elements())
        }
    }

    /// The mean of all tasks' mean adapters: what could be had without a generator.
    public func meanOfAll(_ examples: [GeneratorExamples]) throws -> [(name: String, tensor: Tensor)] {
        try withoutGradients {
            let means = try examples.map { task in
                try Tensor.stacked(task.adapters.map { try layout.joined($0.tensors, file: $0.file) }).mean([0])
            }
            return try layout.parts(Tensor.stacked(means).mean([0]))
        }
    }

    /// The adapters of latent vectors, as vectors of the layout in the adapters' own size.
    func vectors(_ latent: Tensor, _ conditions: [[Float]], _ statistics: AdapterStatistics) throws -> [Tensor] {
        let made = try network.generate(latent, self.conditions(conditions))
        return try (0..<made.size(0)).map { try restored(made.at($0), statistics) }
    }

    private func restored(_ vector: Tensor, _ statistics: AdapterStatistics) throws -> Tensor {
        guard let outer else { return try statistics.restored(vector, layout: layout) }
        let numbers = try vector.narrowed(0, from: layout.count, length: 2 * layout.entries.count).elements(Double.self)
        let own = AdapterStatistics(appended: numbers, outer: outer)
        return try own.restored(vector.narrowed(0, from: 0, length: layout.count), layout: layout)
    }
}

extension AdapterStatistics {
    /// Means, and logarithms of deviations: what is appended to a vector where the scaling is generated.
    var numbers: [Double] { means + deviations.map(GeneratorMath.logarithm) }

    /// The reverse of `numbers` brought to mean 0 and spread 1 by an outer table.
    init(appended numbers: [Double], outer: AdapterStatistics) {
        let own = numbers.indices.map { numbers[$0] * outer.deviations[$0] + outer.means[$0] }
        means = Array(own.prefix(own.count / 2))
        deviations = own.suffix(own.count / 2).map(GeneratorMath.exponential)
    }

    /// The statistics of some tables: one mean and deviation for each number of a table.
    init(of tables: [AdapterStatistics]) {
        let rows = tables.map(\.numbers)
        let count = Double(max(1, rows.count))
        let columns = rows.first?.indices ?? 0..<0
        let centres = columns.map { column in rows.reduce(0) { $0 + $1[column] } / count }
        means = centres
        deviations = columns.map { column in
            let sum = rows.reduce(0) { $0 + ($1[column] - centres[column]) * ($1[column] - centres[column]) }
            let deviation = (sum / max(1, count - 1)).squareRoot()
            return deviation > 1e-12 ? deviation : 1
        }
    }
}
