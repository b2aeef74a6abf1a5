import HoneFormats
import HoneMethods
import HoneTorch
import Testing

/// The mathematics of masks, on vectors.
@Suite struct GraftMaskTests {
    private func bools(_ mask: Tensor) throws -> [Bool] { try mask.elements(Bool.self) }

    @Test func `the largest movement takes exactly as many as asked for, of equal ones the first`() throws {
        let difference = try Tensor([0.5, -2, 0, 2, 1, -2, 0.5] as [Float])
        #expect(
            try bools(GraftMask.largestMovement(difference, keeping: 2)) == [
                false, true, false, true, false, false, false,
            ])
        #expect(
            try bools(GraftMask.largestMovement(difference, keeping: 5)) == [
                true, true, false, true, true, true, false,
            ])
    }

    @Test func `what did not move is never taken, however many may be`() throws {
        let difference = try Tensor([0, 3, 0, -1] as [Float])
        #expect(try bools(GraftMask.largestMovement(difference, keeping: 4)) == [false, true, false, true])
    }

    @Test(arguments: [1, 10, 100, 999])
    func `every coordinate that is taken moved at least as far as every one that is not`(count: Int) throws {
        var random = RandomStream(seed: 3, name: "movement")
        // Few different values, so that there are ties at every threshold.
        let difference = try (random.normal([1000]) * 4).to(.int32).to(.float32)
        let mask = try bools(GraftMask.largestMovement(difference, keeping: count))
        let distances = try difference.abs().elements(Float.self)
        let moved = distances.count { $0 > 0 }
        #expect(mask.count { $0 } == min(count, moved))
        let least = zip(mask, distances).filter(\.0).map(\.1).min() ?? 0
        let most = zip(mask, distances).filter { !$0.0 }.map(\.1).max() ?? 0
        #expect(least >= most)
        // Stable: those of the least movement are the first of theirs.
        let ties = distances.indices.filter { distances[$0] == least }
        let taken = ties.map { mask[$0] }
        #expect(taken == taken.sorted { $0 && !$1 })
    }

    @Test func `a random mask has exactly as many ones, and another seed has others`() throws {
        var first = RandomStream(seed: 1, name: "mask")
        var second = RandomStream(seed: 2, name: "mask")
        let one = try GraftMask.random(37, of: 500, random: &first, on: .cpu)
        let other = try GraftMask.random(37, of: 500, random: &second, on: .cpu)
        #expect(try GraftMask.count(one) == 37 && GraftMask.count(other) == 37)
        #expect(try bools(one) != bools(other))
    }

    @Test(arguments: [0.0, -0.1, 1, 1.5, .nan])
    func `a share to keep outside 0 to 1 is refused`(share: Double) {
        let error = #expect(throws: HoneError.self) { try GraftMask.count(share, of: 100) }
        #expect(error?.code == .usage)
    }

    @Test func `a share stands for its whole part, and for one at least`() throws {
        #expect(try GraftMask.count(0.019, of: 100) == 1)
        #expect(try GraftMask.count(1e-6, of: 100) == 1)
        #expect(try GraftMask.count(1e-4, of: 85_054_464) == 8505)
    }

    /// A small network in `float64` whose weights are one vector: tanh(x · W1ᵀ) · W2ᵀ, squared distance to targets.
    private struct Network {
        let inputs: Tensor
        let targets: Tensor

        init() throws {
            var random = RandomStream(seed: 8, name: "network")
            inputs = try random.normal([7, 5], .float64)
            targets = try random.normal([7, 2], .float64)
        }

        static let count = 6 * 5 + 2 * 6

        func loss(_ weights: Tensor) throws -> Tensor {
            let first = try weights.narrowed(0, from: 0, length: 30).reshaped([6, 5])
            let second = try weights.narrowed(0, from: 30, length: 12).reshaped([2, 6])
            return try (inputs.linear(first).tanh().linear(second) - targets).power(2).mean()
        }
    }

    private struct Case {
        let network: Network
        let before: Tensor
        let difference: Tensor
        let start: Tensor
        let scores: Tensor
        let offset = 1.5

        init() throws {
            network = try Network()
            var random = RandomStream(seed: 4, name: "case")
            before = try random.normal([Network.count], .float64)
            let moved = try random.normal([Network.count], .float64)
            // Every fifth coordinate did not move.
            let still = try Tensor((0..<Network.count).map { $0 % 5 == 0 ? 0.0 : 1.0 })
            difference = try moved * still
            start = try GraftMask.largestMovement(difference, keeping: 9).to(.float64)
            scores = try random.uniform([Network.count], low: 0, high: 3, .float64)
        }

        func weights(_ scores: Tensor) throws -> Tensor {
            try before + GraftMask.soft(scores, start: start, offset: offset) * difference
        }

        func byHand() throws -> [Double] {
            let leaf = try withoutGradients { try weights(scores) }.detached().cloned().setRequiresGradient()
            try withGradients { try network.loss(leaf) }.backward()
            let gradient = try #require(leaf.gradient)
            return try withoutGradients {
                try GraftMask.gradient(
                    scores, start: start, offset: offset, difference: difference, gradient: gradient
                ).elements(Double.self)
            }
        }
    }

    @Test func `the gradient by hand is that of automatic differentiation through the soft mask`() throws {
        let some = try Case()
        let leaf = try some.scores.cloned().setRequiresGradient()
        try withGradients { try some.network.loss(some.weights(leaf)) }.backward()
        let wanted = try #require(leaf.gradient).elements(Double.self)
        let found = try some.byHand()
        #expect(zip(found, wanted).allSatisfy { abs($0 - $1) < 1e-14 })
        #expect(wanted.contains { abs($0) > 1e-3 })
    }

    @Test func `the gradient by hand is that of finite differences`() throws {
        let some = try Case()
        let found = try some.byHand()
        let scores = try some.scores.elements(Double.self)
        for place in [1, 4, 17, 33, 41] {
            func loss(_ step: Double) throws -> Double {
                var moved = scores
                moved[place] += step
                return try some.network.loss(some.weights(Tensor(moved))).item()
            }
            let slope = try (loss(1e-5) - loss(-1e-5)) / 2e-5
            #expect(abs(slope - found[place]) < 1e-8)
        }
    }

    @Test func `the score of what did not move never moves`() throws {
        let found = try Case().byHand()
        for place in stride(from: 0, to: found.count, by: 5) { #expect(found[place] == 0) }
    }

    @Test func `at the start the soft mask is the starting mask up to the probability of a flip`() throws {
        let scores = try Tensor([0, 1, 0, 1] as [Double])
        let start = try Tensor([1, 1, 0, 0] as [Double])
        let soft = try GraftMask.soft(scores, start: start, offset: 10).elements(Double.self)
        let distances = zip(soft, [1, 1, 0, 0]).map { abs($0 - $1) }
        #expect(distances.allSatisfy { (4.5e-5...1.25e-4).contains($0) })
    }

    @Test func `rounding turns over what rose above the offset, and keeps the number of ones`() throws {
        let start = try Tensor([1, 1, 0, 0, 0] as [Float])
        let scores = try Tensor([11, 0, 12, 10.5, 9] as [Float])
        let hard = try GraftMask.rounded(scores, start: start, offset: 10, atMost: 3)
        #expect(try bools(hard) == [false, true, true, true, false])
        // Three ones, two allowed: those that the soft mask holds most of stay.
        let fewer = try GraftMask.rounded(scores, start: start, offset: 10, atMost: 2)
        #expect(try bools(fewer) == [false, true, true, false, false])
    }

    @Test func `no mask is the base and a whole mask the fine-tuned model, bit for bit`() throws {
        var random = RandomStream(seed: 5, name: "weights")
        let (before, after) = try (random.normal([50]), random.normal([50]))
        let none = try Tensor.full([50], 0, .bool)
        let all = try Tensor.full([50], 1, .bool)
        let base: [Float] = try GraftMask.grafted(none, before: before, after: after).elements()
        let tuned: [Float] = try GraftMask.grafted(all, before: before, after: after).elements()
        #expect(try base == before.elements() && tuned == after.elements())
    }

    @Test func `two models that are the same leave nothing to graft`() throws {
        let weights = try Tensor([1, 2, 3] as [Float])
        let error = #expect(throws: HoneError.self) {
            try GraftLocalisation(before: weights, after: weights.cloned(), keeping: 1)
        }
        #expect(error?.code == .mismatch)
    }

    @Test func `the search keeps a mask that scores better and never one that scores worse`() throws {
        // The loss falls only with the second coordinate, which moved less than the first.
        let before = try Tensor([0, 0, 0] as [Float])
        let after = try Tensor([2, 1, 0] as [Float])
        var search = try GraftLocalisation(before: before, after: after, keeping: 1)
        search.offset = 2
        search.rate = 20
        search.rounds = 30
        let result = try search.run(
            gradient: { _ in try Tensor([1, -1, 5] as [Float]) },
            score: { Double(try $0.elements(Float.self)[1]) })
        #expect(try bools(result.mask) == [false, true, false])
        #expect(result.flips == 2 && result.chosen > 0 && result.scores[result.chosen] == 1)
        let worse = try search.run(
            gradient: { _ in try Tensor([1, -1, 5] as [Float]) },
            score: { Double(try $0.elements(Float.self)[0]) })
        #expect(try bools(worse.mask) == [true, false, false])
        #expect(worse.flips == 0 && worse.chosen == 0)
    }
}
