import Foundation
import HoneTorch
import Testing

/// Every fused kernel against the plain operators that it stands for: values and gradients.
@Suite struct FusedKernelTests {
    /// How far results may be off, as a share of the largest: sums in another order, or rounding to eight bits.
    private static func bound(_ dtype: DType) -> Double { dtype == .float32 ? 2e-6 : 0.012 }
    static let types = [DType.float32, .bfloat16]

    private func random(_ shape: [Int], _ name: String, _ dtype: DType = .float32, scale: Double = 1) throws -> Tensor {
        var stream = RandomStream(seed: 3, name: name)
        return try stream.normal(shape, standardDeviation: scale).to(dtype)
    }

    /// Runs both forms on leaves of the same numbers, the plain one in float64, and compares results and gradients.
    private func compare(
        _ leaves: [Tensor], _ fused: ([Tensor]) throws -> [Tensor], _ plain: ([Tensor]) throws -> [Tensor],
        bound: Double
    ) throws {
        let own = try leaves.map { try $0.detached().cloned().setRequiresGradient() }
        let exact = try leaves.map { try $0.detached().to(.float64).cloned().setRequiresGradient() }
        let (results, references) = try (fused(own), plain(exact))
        #expect(results.count == references.count)
        for (place, (result, reference)) in zip(results, references).enumerated() {
            #expect(try difference(result, reference) < bound, "result \(place)")
            let direction = try random(reference.shape, "direction \(place)", .bfloat16)
            try result.backward(gradient: direction.to(result.dtype), keepGraph: true)
            try reference.backward(gradient: direction.to(.float64), keepGraph: true)
        }
        for (place, (leaf, reference)) in zip(own, exact).enumerated() {
            let (found, wanted) = try (#require(leaf.gradient), #require(reference.gradient))
            #expect(found.dtype == leaf.dtype)
            #expect(try difference(found, wanted) < bound, "gradient \(place)")
        }
    }

    private func difference(_ first: Tensor, _ second: Tensor) throws -> Double {
        #expect(first.shape == second.shape)
        let (a, b) = try (first.elements(Double.self), second.elements(Double.self))
        let most = b.reduce(1e-9) { max($0, abs($1)) }
        return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } / most
    }

    private func turned(_ vectors: Tensor, _ cosine: Tensor, _ sine: Tensor) throws -> Tensor {
        let half = vectors.size(-1) / 2
        let (first, second) = try (
            vectors.narrowed(-1, from: 0, length: half), vectors.narrowed(-1, from: half, length: half)
        )
        return try vectors * cosine + Tensor.concatenated([-second, first], dimension: -1) * sine
    }

    @Test("attention over packed rows is attention row by row", arguments: types, [true, false])
    func attention(dtype: DType, turns: Bool) throws {
        for (width, heads, shared, offsets, isCausal) in [
            (64, 3, 1, [0, 50, 51, 117], true), (16, 2, 2, [0, 7, 23], false), (4, 4, 2, [0, 5, 5, 18], true),
            (96, 2, 1, [0, 20], false), (32, 2, 1, [0, 5, 650], true),
        ] {
            let tokens = offsets[offsets.count - 1]
            let angles = try random([tokens, width / 2], "angles", .float64)
            let both = try Tensor.concatenated([angles, angles], dimension: 1)
            let (cosine, sine) = try (both.cos().to(dtype), both.sin().to(dtype))
            let scale = 1 / Double(width).squareRoot()
            let places = try Tensor(offsets)
            try compare(
                [
                    random([tokens, heads * width], "queries", dtype), random([tokens, shared * width], "keys", dtype),
                    random([tokens, shared * width], "values", dtype),
                ],
                {
                    [
                        try $0[0].segmentAttention(
                            keys: $0[1], values: $0[2], offsets: places, angles: turns ? (cosine, sine) : nil,
                            width: width, isCausal: isCausal, scale: scale)
                    ]
                },
                { leaves in
                    var rows: [Tensor] = []
                    for (start, end) in zip(offsets, offsets.dropFirst()) where end > start {
                        func part(_ all: Tensor) throws -> Tensor {
                            try all.narrowed(0, from: start, length: end - start)
                        }
                        func byHead(_ all: Tensor, turned isTurned: Bool) throws -> Tensor {
                            let split = try part(all).reshaped([end - start, all.size(1) / width, width]).transpose(
                                0, 1)
                            guard isTurned, turns else { return split }
                            return try turned(split, part(cosine).to(.float64), part(sine).to(.float64))
                        }
                        let group = heads == shared ? 1 : heads / shared
                        let keys = try byHead(leaves[1], turned: true).repeatedInterleaved(group, dimension: 0)
                        let values = try byHead(leaves[2], turned: false).repeatedInterleaved(group, dimension: 0)
                        let mixed = try byHead(leaves[0], turned: true).unsqueezed(0).attention(
                            keys: keys.unsqueezed(0), values: values.unsqueezed(0), isCausal: isCausal, scale: scale)
                        rows.append(try mixed.at(0).transpose(0, 1).reshaped([end - start, heads * width]))
                    }
                    return [try Tensor.concatenated(rows)]
                }, bound: FusedKernelTests.bound(dtype))
        }
    }

    @Test("attention over a tree of rows is attention along each path", arguments: types, [true, false])
    func treeAttention(dtype: DType, turns: Bool) throws {
        // Two trunks on top of one another with leaves at both, a row of its own, and siblings beyond one bundle.
        let trees: [(offsets: [Int], parents: [Int])] = [
            ([0, 37, 40, 90, 95, 101, 102, 119], [-1, 0, 0, 2, 2, 2, 4]), ([0, 20, 90, 150, 155], [-1, 0, 0, -1]),
        ]
        for (tree, (width, heads, shared)) in zip(trees + trees, [(64, 3, 1), (16, 4, 2), (12, 2, 2), (32, 2, 1)]) {
            let (offsets, parents) = tree
            let tokens = offsets[offsets.count - 1]
            let angles = try random([tokens, width / 2], "angles", .float64)
            let both = try Tensor.concatenated([angles, angles], dimension: 1)
            let (cosine, sine) = try (both.cos().to(dtype), both.sin().to(dtype))
            let scale = 1 / Double(width).squareRoot()
            func path(_ segment: Int) -> [Int] {
                (parents[segment] < 0 ? [] : path(parents[segment])) + Array(offsets[segment]..<offsets[segment + 1])
            }
            try compare(
                [
                    random([tokens, heads * width], "queries", dtype), random([tokens, shared * width], "keys", dtype),
                    random([tokens, shared * width], "values", dtype),
                ],
                {
                    [
                        try $0[0].segmentAttention(
                            keys: $0[1], values: $0[2], offsets: Tensor(offsets), parents: Tensor(parents),
                            angles: turns ? (cosine, sine) : nil, width: width, isCausal: true, scale: scale)
                    ]
                },
                { leaves in
                    var rows: [Tensor] = []
                    for segment in parents.indices {
                        let own = path(segment)
                        let places = try Tensor(own)
                        func byHead(_ all: Tensor, turned isTurned: Bool) throws -> Tensor {
                            let split = try all.selecting(places).reshaped([own.count, all.size(1) / width, width])
                                .transpose(0, 1)
                            guard isTurned, turns else { return split }
                            return try turned(
                                split, cosine.selecting(places).to(.float64), sine.selecting(places).to(.float64))
                        }
                        let group = heads / shared
                        let keys = try byHead(leaves[1], turned: true).repeatedInterleaved(group, dimension: 0)
                        let values = try byHead(leaves[2], turned: false).repeatedInterleaved(group, dimension: 0)
                        let mixed = try byHead(leaves[0], turned: true).unsqueezed(0).attention(
                            keys: keys.unsqueezed(0), values: values.unsqueezed(0), isCausal: true, scale: scale)
                        let count = offsets[segment + 1] - offsets[segment]
                        rows.append(
                            try mixed.at(0).transpose(0, 1).reshaped([own.count, heads * width])
                                .narrowed(0, from: own.count - count, length: count))
                    }
                    return [try Tensor.concatenated(rows)]
                }, bound: FusedKernelTests.bound(dtype))
        }
    }

    @Test("a tree that is none is refused", arguments: [[0, -1], [-1, 1], [-2, 0], [-1]])
    func wrongTree(parents: [Int]) throws {
        let all = try random([4, 8], "all")
        #expect(throws: (any Error).self) {
            try all.segmentAttention(
                keys: all, values: all, offsets: Tensor([0, 2, 4]), parents: Tensor(parents), angles: nil, width: 8,
                isCausal: true, scale: 1)
        }
    }

    @Test("norms with a residual are the sum and its norm", arguments: types, [true, false])
    func norm(dtype: DType, centres: Bool) throws {
        for width in [48, 20] {
            let weight = try random([width], "weight", dtype)
            let bias = centres ? try random([width], "bias", dtype) : nil
            try compare(
                [random([3, 5, width], "input", dtype), random([3, 5, width], "residual", dtype)],
                {
                    let made = try $0[0].fusedNorm(
                        adding: $0[1], weight: weight, bias: bias, centres: centres, epsilon: 1e-5)
                    return [made.normed, made.sum]
                },
                {
                    let sum = try $0[0] + $0[1]
                    let wide = try (weight.to(.float64), bias?.to(.float64))
                    return try [
                        centres
                            ? sum.layerNorm(weight: wide.0, bias: wide.1, epsilon: 1e-5)
                            : sum.rmsNorm(weight: wide.0, epsilon: 1e-5), sum,
                    ]
                }, bound: FusedKernelTests.bound(dtype))
        }
    }

    @Test("a norm far from zero keeps its variance")
    func farNorm() throws {
        let input = try random([2, 64], "input") + 1000
        let (weight, bias) = try (Tensor.full([64], 1), Tensor.full([64], 0))
        let found = try input.fusedNorm(weight: weight, bias: bias, centres: true, epsilon: 1e-5).normed
        let wanted = try input.to(.float64).layerNorm(
            weight: weight.to(.float64), bias: bias.to(.float64), epsilon: 1e-5)
        #expect(try difference(found, wanted) < 1e-3)
    }

    @Test("gating is the activation times the other", arguments: types, [true, false])
    func gating(dtype: DType, tanh: Bool) throws {
        try compare(
            [random([3, 37], "gate", dtype, scale: 4), random([3, 37], "up", dtype)],
            { [try $0[0].gating($0[1], tanh: tanh)] },
            { [try (tanh ? $0[0].gelu(approximate: true) : $0[0].silu()) * $0[1]] },
            bound: FusedKernelTests.bound(dtype))
    }

    @Test("a group of linear maps is its maps with their updates", arguments: types)
    func linears(dtype: DType) throws {
        let bound = FusedKernelTests.bound(dtype)
        try compare(
            [
                random([2, 30, 64], "input", dtype), random([48, 64], "first", dtype, scale: 0.1),
                random([32, 64], "second", dtype, scale: 0.1), random([32], "bias", dtype), random([4, 64], "down"),
                random([48, 4], "up"),
            ],
            {
                try $0[0].linears([
                    FusedLinear(weight: $0[1], update: ($0[4], $0[5], 2)), FusedLinear(weight: $0[2], bias: $0[3]),
                ])
            },
            {
                try [
                    $0[0].linear($0[1]) + $0[0].linear($0[4]).linear($0[5]) * 2, $0[0].linear($0[2], bias: $0[3]),
                ]
            }, bound: bound)
    }

    @Test("segments of tokens have updates of their own", arguments: types)
    func segments(dtype: DType) throws {
        let bounds = [0, 20, 20, 45, 60]
        func updates(_ given: [Tensor]) -> [[FusedLinear.Update?]] {
            let (one, other) = ((given[4], given[5], 2.0), (given[6], given[7], 0.5))
            let narrow = (given[4], given[8], 1.0)
            return [[one, other, nil, other], [nil, narrow, narrow, nil]]
        }
        try compare(
            [
                random([2, 30, 64], "input", dtype), random([48, 64], "first", dtype, scale: 0.1),
                random([32, 64], "second", dtype, scale: 0.1), random([32], "bias", dtype), random([4, 64], "down"),
                random([48, 4], "up"), random([3, 64], "other down"), random([48, 3], "other up"),
                random([32, 4], "narrow up"),
            ],
            {
                try $0[0].linears(
                    [
                        FusedLinear(weight: $0[1], bias: nil, updates: updates($0)[0]),
                        FusedLinear(weight: $0[2], bias: $0[3], updates: updates($0)[1]),
                    ], bounds: bounds)
            },
            { given in
                let flat = try given[0].reshaped([60, 64])
                return try updates(given).enumerated().map { map, updates in
                    let parts = try zip(updates.indices, updates).map { segment, update in
                        let start = bounds[segment]
                        let own = try flat.narrowed(0, from: start, length: bounds[segment + 1] - start)
                        let plain = try own.linear(given[1 + map], bias: map == 1 ? given[3] : nil)
                        return try update.map { try plain + own.linear($0.down).linear($0.up) * $0.scale } ?? plain
                    }
                    return try Tensor.concatenated(parts).reshaped([2, 30, -1])
                }
            }, bound: FusedKernelTests.bound(dtype))
    }

    @Test("the loss in chunks is the loss over all logits", arguments: types)
    func loss(dtype: DType) throws {
        let targets = try Tensor((0..<29).map { $0 * 7 % 211 })
        try compare(
            [random([29, 48], "states", dtype, scale: 0.3), random([211, 48], "head", dtype, scale: 0.3)],
            { [try $0[0].targetLoss(head: $0[1], targets: targets, rowsAtOnce: 8)] },
            { [try $0[0].linear($0[1]).crossEntropySum(targets)] }, bound: 2 * FusedKernelTests.bound(dtype))
    }

    @Test("a second derivative is refused, not wrong")
    func secondDerivative() throws {
        let (gate, up) = try (random([8], "gate"), random([8], "up"))
        try gate.setRequiresGradient()
        let sum = try gate.gating(up).sum()
        #expect(throws: (any Error).self) { _ = try gradients(of: sum, for: [gate], createGraph: true) }
    }

    @Test("targets and rows that do not fit are refused")
    func refusals() throws {
        let states = try random([2, 4], "states")
        #expect(throws: (any Error).self) { try states.targetLoss(head: states, targets: Tensor([0, 2])) }
        for bounds in [[0, 1], [1, 2], [0, 2, 1, 2], [0, 3]] {
            let map = FusedLinear(weight: states, bias: nil, updates: Array(repeating: nil, count: bounds.count - 1))
            #expect(throws: (any Error).self) { try states.linears([map], bounds: bounds) }
        }
        #expect(throws: (any Error).self) {
            try states.segmentAttention(
                keys: states, values: states, offsets: Tensor([0, 1]), angles: nil, width: 4, isCausal: true, scale: 1)
        }
    }
}
