import HoneFormats
import HoneTorch
import Testing

/// Products in bfloat16, which on processors without instructions for them are Hone's own.
@Suite struct NarrowProductTests {
    private static let accumulating = [
        ("aten::addmm", 2, false), ("aten::addmm_", 2, true), ("aten::baddbmm", 3, false), ("aten::baddbmm_", 3, true),
    ]

    private func random(_ shape: [Int], _ name: String) throws -> Tensor {
        var stream = RandomStream(seed: 5, name: name)
        return try stream.normal(shape).to(.bfloat16)
    }

    /// Holds a result against the same in float64: off by the rounding of the result, and of sums in float32.
    private func expectClose(
        _ found: Tensor, _ wanted: Tensor, terms: Double, _ what: String, location: SourceLocation = #_sourceLocation
    ) throws {
        #expect(found.dtype == .bfloat16, "\(what)", sourceLocation: location)
        #expect(found.shape == wanted.shape, "\(what)", sourceLocation: location)
        let (numbers, references) = try (found.elements(Double.self), wanted.elements(Double.self))
        let most = zip(numbers, references).map { abs($0 - $1) - abs($1) / 256 }.max() ?? 0
        #expect(most < 1e-6 * terms, "\(what)", sourceLocation: location)
    }

    @Test(arguments: [(1, 8, 3), (17, 65, 33), (40, 64, 128)])
    func `a product is that of its factors, rounded once, however they lie in memory`(
        rows: Int, inner: Int, columns: Int
    ) throws {
        let (left, weight) = try (random([rows, inner], "left"), random([columns, inner], "weight"))
        let bias = try random([columns], "bias")
        let turned = try random([inner, rows], "turned").transpose(0, 1)
        let terms = Double(inner)
        for x in [left, turned] {
            let (wide, wideWeight) = try (x.to(.float64), weight.to(.float64))
            let product = try wide.matmul(wideWeight.transpose(0, 1))
            try expectClose(x.linear(weight), product, terms: terms, "linear")
            try expectClose(x.linear(weight, bias: bias), product + bias.to(.float64), terms: terms, "with a bias")
            try expectClose(x.matmul(weight.transpose(0, 1)), product, terms: terms, "matmul")
            try expectClose(
                x.matmul(random([inner, columns], "right")),
                wide.matmul(random([inner, columns], "right").to(.float64)),
                terms: terms, "right factor row by row")
        }
        let (batch, other) = try (random([3, rows, inner], "batch"), random([3, columns, inner], "other"))
        try expectClose(
            batch.matmul(other.transpose(1, 2)), batch.to(.float64).matmul(other.to(.float64).transpose(1, 2)),
            terms: terms, "batched")
    }

    @Test(arguments: accumulating)
    func `a product is added to what is there, scaled, and what counts nothing is not read`(
        name: String, dimensions: Int, isInPlace: Bool
    ) throws {
        let batch = dimensions == 3 ? [2] : []
        let (left, right) = try (random(batch + [9, 20], "left"), random(batch + [20, 11], "right"))
        let sum = try random(batch + [9, 11], "sum")
        let product = try left.to(.float64).matmul(right.to(.float64))
        for (beta, alpha) in [(1.0, 1.0), (0.5, -2.0), (0, 1)] {
            let place = try beta == 0 ? Tensor.full(sum.shape, .infinity).to(.bfloat16) : sum.cloned()
            let found = try Operator(name)(.tensor(place), .tensor(left), .tensor(right), .real(beta), .real(alpha))
            let wanted = try beta == 0 ? product : sum.to(.float64) * beta + product * alpha
            try expectClose(found, wanted, terms: 40, "\(beta), \(alpha)")
            if isInPlace { try expectClose(place, wanted, terms: 40, "in place") }
        }
    }

    @Test func `factors that do not fit are refused in libtorch's words`() throws {
        let (left, right) = try (random([2, 3], "left"), random([4, 5], "right"))
        let error = #expect(throws: HoneError.self) { try left.matmul(right) }
        #expect(error?.message.contains("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)") == true)
    }
}
