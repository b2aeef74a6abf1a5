import HoneTorch
import Testing

/// The products of decoding against libtorch's.
@Suite struct FewRowsTests {
    static let types = [DType.float32, .bfloat16]
    /// Rows, inputs, outputs: with and without rests of every tile.
    static let shapes = [
        (1, 576, 192), (1, 1, 1), (1, 33, 15), (2, 64, 16), (2, 31, 17), (3, 100, 50), (4, 65, 8), (5, 7, 3),
        (9, 130, 33), (70, 48, 20),
    ]

    private func random(_ shape: [Int], _ name: String, _ dtype: DType = .float32) throws -> Tensor {
        var stream = RandomStream(seed: 5, name: name)
        return try stream.normal(shape).to(dtype)
    }

    private func difference(_ first: Tensor, _ second: Tensor) throws -> Double {
        #expect(first.shape == second.shape)
        let (a, b) = try (first.elements(Double.self), second.elements(Double.self))
        let most = b.reduce(1e-9) { max($0, abs($1)) }
        return zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) } / most
    }

    @Test("a product of a few rows is the linear map, on every processor", arguments: types, [false, true])
    func product(dtype: DType, isPortable: Bool) throws {
        for (rows, inputs, outputs) in FewRowsTests.shapes {
            // The input is rounded to the weight's type before, so that only the sums' order is left.
            let input = try random([rows, inputs], "input", dtype)
            let weight = try random([outputs, inputs], "weight", dtype)
            let made = try input.to(.float32).fewRowsProduct(weight, isPortable: isPortable)
            let exact = try input.to(.float64).linear(weight.to(.float64))
            #expect(try difference(made, exact) < 2e-6, "\(rows) x \(inputs) x \(outputs)")
        }
    }

    /// Numbers as blocks of 64 that share a scale make them, by libtorch's operators.
    private func rounded(_ numbers: Tensor) throws -> Tensor {
        let (rows, count) = (numbers.size(0), numbers.size(1))
        let blocks = (count + 63) / 64
        let padded = try Tensor.concatenated(
            [numbers.to(.float32), Tensor.zeros([rows, blocks * 64 - count])], dimension: 1
        ).reshaped([rows, blocks, 64])
        let most = try padded.abs().max(-1, keepDimensions: true)
        let factor = try Tensor.full(most.shape, 127) / most.clamped(min: 1e-30)
        // To the nearest, ties to even: 1.5 · 2^23 rounds so.
        let whole = try (padded * factor + 12_582_912) - 12_582_912
        let scale = try most / Tensor.full(most.shape, 127)
        return try (whole.to(.float64) * scale.to(.float64)).reshaped([rows, blocks * 64])
            .narrowed(1, from: 0, length: count)
    }

    @Test("an int8 product is the product of numbers rounded by blocks", arguments: types, [false, true])
    func int8(dtype: DType, isPortable: Bool) throws {
        for (rows, inputs, outputs) in FewRowsTests.shapes {
            let input = try random([rows, inputs], "input")
            let weight = try random([outputs, inputs], "weight", dtype)
            let made = try input.fewRowsProduct(weight, quantises: true, isPortable: isPortable)
            let exact = try rounded(input).linear(rounded(weight))
            #expect(try difference(made, exact) < 2e-6, "\(rows) x \(inputs) x \(outputs)")
            // Each of the two is off by at most half a step of its block, 1/254 of the largest number there.
            let plain = try input.to(.float64).linear(weight.to(.float64))
            #expect(try difference(made, plain) < 0.03)
        }
    }

    @Test("a row's product is the same to the last bit in any company", arguments: types, [false, true])
    func company(dtype: DType, quantises: Bool) throws {
        let weight = try random([50, 200], "weight", dtype)
        let input = try random([21, 200], "input")
        let together = try input.fewRowsProduct(weight, quantises: quantises).elements(Float.self)
        for (start, count) in [(0, 1), (20, 1), (3, 2), (7, 3), (1, 4), (2, 8), (4, 13)] {
            let some = try input.narrowed(0, from: start, length: count).fewRowsProduct(weight, quantises: quantises)
            #expect(try some.elements(Float.self) == Array(together[start * 50..<(start + count) * 50]))
        }
    }

    @Test func `what is not finite stays so in an int8 product`() throws {
        let weight = try random([3, 64], "weight")
        for bad in [Float.nan, .infinity] {
            var numbers = [Float](repeating: 1, count: 64)
            numbers[5] = bad
            let made = try Tensor(numbers, shape: [1, 64]).fewRowsProduct(weight, quantises: true)
            #expect(try made.elements(Float.self).allSatisfy { !$0.isFinite })
        }
    }
}
