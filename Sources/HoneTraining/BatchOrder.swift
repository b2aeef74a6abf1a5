import HoneFormats

/// Which rows each step takes: a pure function of the step, so that resuming needs nothing but its number.
public struct BatchOrder: Sendable {
    /// How many rows there are.
    public let rowCount: Int
    /// How many rows a step takes.
    public let batchSize: Int
    private let order: TrainingPlan.Order
    private let seed: UInt64
    private let lengths: [Int]
    /// How many batches are sorted by length together: enough to save padding, few enough to stay random.
    private static let bucketBatches = 32

    /// The order for rows of given lengths.
    public init(lengths: [Int], plan: TrainingPlan) {
        self.lengths = lengths
        rowCount = lengths.count
        batchSize = min(plan.batchSize, max(1, plan.order == .file ? plan.batchSize : lengths.count))
        order = plan.order
        seed = plan.seed
    }

    /// How many steps an epoch has; in file order, how many it takes to see every row once.
    public var stepsPerEpoch: Int { (rowCount + batchSize - 1) / batchSize }

    /// The rows of a range of steps, counted from 0.
    func rows(epoch: Int) -> [[Int]] {
        var generator = SeededGenerator(seed: seed, stream: "data order \(epoch)")
        var rows = Array(0..<rowCount)
        generator.shuffle(&rows)
        let bucket = BatchOrder.bucketBatches * batchSize
        var batches: [[Int]] = []
        for start in stride(from: 0, to: rowCount, by: bucket) {
            let slice = rows[start..<min(start + bucket, rowCount)]
            let sorted = slice.enumerated().sorted {
                (lengths[$0.element], $0.offset) < (lengths[$1.element], $1.offset)
            }
            .map(\.element)
            for first in stride(from: 0, to: sorted.count, by: batchSize) {
                batches.append(Array(sorted[first..<min(first + batchSize, sorted.count)]))
            }
        }
        generator.shuffle(&batches)
        return batches
    }

    /// An iterator over the steps that remembers the epoch's order.
    struct Cursor {
        let order: BatchOrder
        private var epoch = -1
        private var batches: [[Int]] = []

        init(_ order: BatchOrder) { self.order = order }

        /// The rows of a step, counted from 0.
        mutating func rows(step: Int) -> [Int] {
            if order.order == .file {
                return (0..<order.batchSize).map { (step * order.batchSize + $0) % order.rowCount }
            }
            let wanted = step / order.stepsPerEpoch
            if wanted != epoch {
                epoch = wanted
                batches = order.rows(epoch: wanted)
            }
            return batches[step % order.stepsPerEpoch]
        }
    }
}
