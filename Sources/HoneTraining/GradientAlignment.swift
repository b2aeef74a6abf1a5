import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch

/// How far tasks pull shared parameters in one direction: the cosines between the gradients of their losses.
///
/// Of each task, the gradient is that of the mean loss over some of its rows, with respect to all parameters that tasks share: without
/// the routing of single tasks, and without a classification head. The mean over the pairs of tasks is the figure that
/// Caccia et al. 2023 (arXiv 2211.03831) compare methods by; how they measure it is reconstructed.
public struct GradientAlignment: Sendable {
    /// The tasks that have rows, by their numbers.
    public let tasks: [Int]
    /// The cosines, one row and one column a task; not a number where a gradient is zero.
    public let cosines: [[Double]]

    /// The mean over the pairs of different tasks; `nil` where there is no pair, or a gradient is zero.
    public var mean: Double? {
        let pairs = cosines.indices.flatMap { first in
            (first + 1..<max(first + 1, cosines.count)).map { cosines[first][$0] }
        }
        guard !pairs.isEmpty, pairs.allSatisfy(\.isFinite) else { return nil }
        return pairs.reduce(0, +) / Double(pairs.count)
    }

    /// Measures an adapter on rows of several tasks.
    ///
    /// - Parameters:
    ///   - examples: rows with tasks.
    ///   - rowsPerTask: how many rows of each task are looked at, the first ones.
    public init(
        model: BaseModel, adapter: Adapter, examples: [EncodedExample], rowsPerTask: Int = 64
    ) throws {
        let parameters = try adapter.parameters.copied()
        try parameters.makeTrainable()
        let routing = adapter.method as? any TaskRoutingMethod
        let shared = parameters.trained.filter { $0.group == .adapter && routing?.isShared($0) ?? true }
        let objective = Objective(model: model, task: adapter.task, method: adapter.method)
        guard !shared.isEmpty else {
            (tasks, cosines) = ([], [])
            return
        }
        var rows: [Int: [EncodedExample]] = [:]
        for row in examples where row.targetCount > 0 {
            guard let task = row.task, rows[task, default: []].count < rowsPerTask else { continue }
            rows[task, default: []].append(row)
        }
        tasks = rows.keys.sorted()
        let directions = try tasks.map { task in
            for parameter in parameters.trained { parameter.tensor.clearGradient() }
            try withGradients { try objective.loss(rows[task] ?? [], parameters: parameters, dropout: nil) }.backward()
            return try withoutGradients {
                let flat = try Tensor.concatenated(
                    shared.map { try ($0.tensor.gradient ?? Tensor.zeros($0.tensor.shape)).reshaped([-1]).cloned() })
                return try flat / flat.norm()
            }
        }
        cosines = try withoutGradients {
            try directions.map { first in try directions.map { try (first * $0).sum().item() } }
        }
    }
}
