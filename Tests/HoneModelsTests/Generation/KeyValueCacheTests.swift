import HoneTorch
import Testing

@testable import HoneModels

struct KeyValueCacheTests {
    /// Numbers that tell row, head, position and place apart.
    private func numbers(_ rows: [Int], from start: Int, count: Int) throws -> Tensor {
        var values: [Float] = []
        for row in rows {
            for head in 0..<2 {
                for position in start..<start + count {
                    for place in 0..<3 { values.append(Float(((row * 10 + head) * 1000 + position) * 10 + place)) }
                }
            }
        }
        return try Tensor(values, shape: [rows.count, 2, count, 3])
    }

    @Test(
        "gives back what was put in, however it grows and rows are dropped, repeated and moved", arguments: [0, 7, 500])
    func storage(expected: Int) throws {
        let storage = GrowingKeyValues(expectedLength: expected)
        var rows = [0, 1, 2]
        var length = 0
        let selections = [[0, 1, 2], [2, 0, 0, 1], [1, 2], [0, 0, 1], [2], [0, 0]]
        for step in 0..<260 {
            let new = step == 0 ? 5 : 1
            let keys = try numbers(rows, from: length, count: new)
            let (held, values) = try storage.append(keys: keys, values: keys * 2)
            length += new
            if step % 20 == 0 || step > 255 {
                let all = try numbers(rows, from: 0, count: length)
                #expect(held.shape == all.shape)
                #expect(try held.equal(all).all().item() == 1)
                #expect(try values.equal(all * 2).all().item() == 1)
            }
            if step % 45 == 7 {
                let chosen = selections[step / 45]
                try storage.select(RowSelection(chosen))
                rows = chosen.map { rows[$0] }
            }
        }
    }

    @Test func `a long text is copied a bounded number of times`() throws {
        let one = try Tensor.zeros([1, 1, 1, 1])
        var blocks = 0
        let counted = GrowingKeyValues()
        var last: Tensor?
        for step in 0..<4000 {
            let (keys, _) = try counted.append(keys: one + Double(step), values: one)
            if let last {
                // In the same block, what was given before sees what is written to its positions now.
                try keys.narrowed(2, from: 0, length: 1).fillInPlace(-Double(step))
                if try last.narrowed(2, from: 0, length: 1).item() != -Double(step) { blocks += 1 }
            }
            last = keys
        }
        #expect((2...16).contains(blocks))
    }

    @Test func `marks of padding follow the rows`() throws {
        let configuration = TransformerConfiguration(
            vocabularySize: 4, width: 4, layerCount: 1, headCount: 1, innerWidth: 4, maximumLength: 16)
        let cache = KeyValueCache(for: configuration)
        let valid = try Tensor([false, true, true, true], shape: [2, 2])
        try cache.advance(by: 2, rowCounts: [1, 2], valid: valid)
        for _ in 0..<100 { try cache.advance(by: 1, rowCounts: [1, 1], valid: nil) }
        #expect(cache.rowLengths == [101, 102] && cache.length == 102)
        try cache.select(rows: [1, 0, 0])
        #expect(cache.rowLengths == [102, 101, 101])
        let marks = try #require(try cache.valid(followedBy: nil, new: 1, rows: 3, on: .cpu))
        #expect(marks.shape == [3, 103])
        let counts = try marks.to(.int64).sum([1]).elements(Int.self)
        #expect(counts == [103, 102, 102])
        #expect(try marks.at(0, dimension: 1).elements(Bool.self) == [true, false, false])
    }
}
