import HoneFormats
import Testing

@testable import HoneTraining

@Suite struct BatchOrderTests {
    private func plan(_ order: TrainingPlan.Order, batch: Int, seed: UInt64 = 1) -> TrainingPlan {
        var plan = TrainingPlan(steps: 1, learningRate: 1)
        plan.order = order
        plan.batchSize = batch
        plan.seed = seed
        return plan
    }

    private func steps(_ order: BatchOrder, _ range: Range<Int>) -> [[Int]] {
        var cursor = BatchOrder.Cursor(order)
        return range.map { cursor.rows(step: $0) }
    }

    private let lengths = (0..<1003).map { 3 + ($0 * 37) % 50 }

    @Test func `an epoch takes every row exactly once`() {
        let order = BatchOrder(lengths: lengths, plan: plan(.shuffled, batch: 8))
        #expect(order.stepsPerEpoch == 126)
        for epoch in 0..<3 {
            let batches = steps(order, epoch * 126..<(epoch + 1) * 126)
            #expect(batches.flatMap { $0 }.sorted() == Array(0..<1003))
            #expect(batches.map(\.count).max() == 8)
        }
    }

    @Test func `the order is one of the seed and the step alone`() {
        let order = BatchOrder(lengths: lengths, plan: plan(.shuffled, batch: 8))
        let all = steps(order, 0..<300)
        #expect(steps(BatchOrder(lengths: lengths, plan: plan(.shuffled, batch: 8)), 0..<300) == all)
        #expect(steps(order, 200..<300) == Array(all[200...]))
        #expect(steps(BatchOrder(lengths: lengths, plan: plan(.shuffled, batch: 8, seed: 2)), 0..<300) != all)
        #expect(Array(all[0..<126]) != Array(all[126..<252]))
    }

    @Test func `rows of similar length come together, and long batches anywhere in the epoch`() {
        let order = BatchOrder(lengths: lengths, plan: plan(.shuffled, batch: 8))
        let batches = steps(order, 0..<126)
        func padded(_ batches: [[Int]]) -> Int {
            batches.reduce(0) { $0 + $1.count * ($1.map { lengths[$0] }.max() ?? 0) }
        }
        // Rows as they stand waste much more than rows sorted in buckets.
        let plain = stride(from: 0, to: 1003, by: 8).map { Array($0..<min($0 + 8, 1003)) }
        let tokens = lengths.reduce(0, +)
        #expect(padded(batches) - tokens < (padded(plain) - tokens) / 4)
        let longest = batches.indices.filter { batches[$0].contains { lengths[$0] > 48 } }
        #expect((longest.first ?? 0) < 40 && (longest.last ?? 0) > 80)
    }

    @Test func `file order takes rows as they stand and begins again in the middle of a step`() {
        let order = BatchOrder(lengths: [1, 1, 1, 1, 1], plan: plan(.file, batch: 3))
        #expect(steps(order, 0..<4) == [[0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]])
        #expect(order.stepsPerEpoch == 2)
    }

    @Test func `a batch larger than the data is the data, or wraps in file order`() {
        let shuffled = BatchOrder(lengths: [1, 2, 3], plan: plan(.shuffled, batch: 8))
        #expect(steps(shuffled, 0..<2).allSatisfy { $0.sorted() == [0, 1, 2] })
        #expect(
            steps(BatchOrder(lengths: [1, 2, 3], plan: plan(.file, batch: 4)), 0..<2) == [[0, 1, 2, 0], [1, 2, 0, 1]])
    }
}
