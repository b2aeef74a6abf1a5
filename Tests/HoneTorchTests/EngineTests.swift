import HoneFormats
import HoneTorch
import Testing

@Suite struct TensorTests {
    @Test func `numbers go in and come out in row-major order`() throws {
        let tensor = try Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])
        #expect(tensor.shape == [2, 3])
        #expect(try tensor.transpose(0, 1).elements(Float.self) == [1, 4, 2, 5, 3, 6])
        #expect(try tensor.sum([1]).elements(Double.self) == [6, 15])
        #expect(try (tensor * 2 - 1).at(-1).elements(Float.self) == [7, 9, 11])
    }

    @Test(arguments: DType.allCases) func `every element type survives a round trip through float64`(dtype: DType)
        throws
    {
        let tensor = try Tensor([0, 1, 1, 0] as [Double]).to(dtype)
        #expect(tensor.dtype == dtype)
        #expect(try tensor.elements(Double.self) == [0, 1, 1, 0])
    }

    @Test func `an error of libtorch arrives with its own words`() throws {
        let left = try Tensor.zeros([2, 3])
        let right = try Tensor.zeros([4, 5])
        let error = #expect(throws: HoneError.self) { try left.matmul(right) }
        #expect(error?.code == .engine)
        #expect(error?.message.contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)") == true)
    }

    @Test func `an unknown operator is named when it is called`() {
        let error = #expect(throws: HoneError.self) { try Operator("aten::no_such_thing")() }
        #expect(error?.message.contains("aten::no_such_thing") == true)
    }

    @Test func `a wrong number of elements is refused`() {
        #expect(throws: HoneError.self) { try Tensor([1, 2, 3] as [Float], shape: [2, 2]) }
    }

    @Test func `shared memory is kept alive by the tensor and let go with it`() throws {
        final class Owner {
            let memory = UnsafeMutablePointer<Float>.allocate(capacity: 4)
            init() { memory.initialize(repeating: 3, count: 4) }
            deinit { memory.deallocate() }
        }
        weak var observed: Owner?
        do {
            var tensor: Tensor?
            do {
                let owner = Owner()
                observed = owner
                tensor = try Tensor(
                    sharing: UnsafeRawBufferPointer(start: owner.memory, count: 16), owner: owner, shape: [2, 2],
                    dtype: .float32)
            }
            #expect(observed != nil)
            #expect(try tensor?.sum().item() == 12)
            tensor = nil
        }
        #expect(observed == nil)
    }

    @Test func `ten thousand steps leave resident memory flat`() throws {
        func steps(_ count: Int) throws {
            let weight = try Tensor.full([64, 64], 0.01).setRequiresGradient()
            let input = try Tensor.full([32, 64], 0.5)
            for _ in 0..<count {
                try input.linear(weight).gelu().sum().backward()
                weight.clearGradient()
            }
        }
        try steps(500)
        // A single tensor of 16 KiB lost at each step would be 160 MiB, every time. Other tests of this process take memory as
        // well, sometimes much at once.
        var grown = Int.max
        for _ in 0..<5 where grown >= 48 << 20 {
            let before = Engine.residentBytes
            try steps(10_000)
            grown = min(grown, Engine.residentBytes - before)
        }
        #expect(grown < 48 << 20, "grew by \(grown) bytes")
    }
}

@Suite struct AutogradTests {
    @Test func `a gradient equals the finite difference`() throws {
        let values: [Double] = [0.3, -0.7, 1.1, 0.2]
        func objective(_ values: [Double]) throws -> Tensor {
            let input = try Tensor(values, shape: [2, 2])
            return try input.matmul(input.gelu()).softmax(-1).log().at(0, dimension: 1).sum()
        }
        let input = try Tensor(values, shape: [2, 2]).setRequiresGradient()
        try input.matmul(input.gelu()).softmax(-1).log().at(0, dimension: 1).sum().backward()
        let analytic = try #require(input.gradient).elements(Double.self)
        for index in values.indices {
            var up = values
            var down = values
            up[index] += 1e-5
            down[index] -= 1e-5
            let numeric = try (objective(up).item() - objective(down).item()) / 2e-5
            #expect(abs(numeric - analytic[index]) < 1e-7)
        }
    }

    @Test func `nothing is recorded in a scope without gradients, which nests and ends`() throws {
        let weight = try Tensor.full([2], 1).setRequiresGradient()
        let inside = try withoutGradients { try (weight * 2, withGradients { try weight * 2 }) }
        #expect(!inside.0.requiresGradient)
        #expect(inside.1.requiresGradient)
        #expect(try (weight * 2).requiresGradient)
    }

    @Test func `gradients for inputs leave the leaves untouched and give nil for unused ones`() throws {
        let used = try Tensor.full([2], 3).setRequiresGradient()
        let unused = try Tensor.full([2], 3).setRequiresGradient()
        let found = try gradients(of: (used * used).sum(), for: [used, unused])
        #expect(try found[0]?.elements(Double.self) == [6, 6])
        #expect(found[1] == nil)
        #expect(used.gradient == nil)
    }

    @Test func `a root with its own gradient passes it on`() throws {
        let weight = try Tensor([1, 2] as [Float]).setRequiresGradient()
        try (weight * 3).backward(gradient: Tensor([10, 100] as [Float]))
        #expect(try weight.gradient?.elements(Double.self) == [30, 300])
    }
}

@Suite struct RandomStreamTests {
    @Test func `a draw depends on seed, name and counter only`() throws {
        var first = RandomStream(seed: 1, name: "dropout")
        _ = try first.normal([3])
        let second = try first.normal([3]).elements(Float.self)
        var restored = RandomStream(seed: 1, name: "dropout", counter: 1)
        #expect(try restored.normal([3]).elements(Float.self) == second)
        var other = RandomStream(seed: 1, name: "data", counter: 1)
        #expect(try other.normal([3]).elements(Float.self) != second)
        var seeded = RandomStream(seed: 2, name: "dropout", counter: 1)
        #expect(try seeded.normal([3]).elements(Float.self) != second)
    }

    @Test func `numbers have the distribution asked for`() throws {
        var stream = RandomStream(seed: 3, name: "test")
        let uniform = try stream.uniform([20_000], low: -1, high: 3)
        #expect(try abs(uniform.mean().item() - 1) < 0.05)
        #expect(try uniform.min().item() >= -1)
        let normal = try stream.normal([20_000], mean: 2, standardDeviation: 0.5)
        #expect(try abs(normal.mean().item() - 2) < 0.02)
        let mask = try stream.dropoutMask([20_000], keeping: 0.8)
        #expect(try abs(mask.mean().item() - 1) < 0.02)
    }
}

@Suite struct OptimiserStepTests {
    @Test func `an AdamW step follows the algorithm`() throws {
        let parameter = try Tensor([1.0, -2.0] as [Float])
        let mean = try Tensor.zeros([2])
        let square = try Tensor.zeros([2])
        let step = try Tensor([0] as [Float], shape: [])
        var expected = [1.0, -2.0]
        var means = [0.0, 0.0]
        var squares = [0.0, 0.0]
        for number in 1...5 {
            let gradient = [0.5 * Double(number), -0.1]
            try step.fillInPlace(Double(number))
            try adamWStep(
                parameters: [parameter], gradients: [Tensor(gradient.map { Float($0) })], means: [mean],
                squares: [square], steps: [step], learningRate: 0.1, beta1: 0.9, beta2: 0.999, weightDecay: 0.01,
                epsilon: 1e-8)
            for index in 0..<2 {
                expected[index] *= 1 - 0.1 * 0.01
                means[index] = 0.9 * means[index] + 0.1 * gradient[index]
                squares[index] = 0.999 * squares[index] + 0.001 * gradient[index] * gradient[index]
                let correctedMean = means[index] / (1 - pow(0.9, number))
                let correctedSquare = squares[index] / (1 - pow(0.999, number))
                expected[index] -= 0.1 * correctedMean / (correctedSquare.squareRoot() + 1e-8)
            }
        }
        let found = try parameter.elements(Double.self)
        for index in 0..<2 { #expect(abs(found[index] - expected[index]) < 1e-5) }
    }

    private func pow(_ base: Double, _ exponent: Int) -> Double {
        (0..<exponent).reduce(1) { product, _ in product * base }
    }
}
