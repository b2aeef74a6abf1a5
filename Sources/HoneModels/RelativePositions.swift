import Glibc
import HoneTorch

extension TransformerConfiguration.RelativeBias {
    /// The bucket of each distance from query to key (`int64`, key minus query).
    ///
    /// Half of the buckets hold one distance each; the others grow logarithmically up to the largest. Where a position sees
    /// both sides, each side has half of all buckets.
    ///
    /// The logarithm is taken in `float32` and in this order of operations, because trained models were: a distance on the
    /// border of two buckets falls where it fell then.
    public func bucket(_ distances: Tensor, isCausal: Bool) throws -> Tensor {
        let side = isCausal ? buckets : buckets / 2
        let exact = Double(side / 2)
        let numbers = try distances.to(.float32)
        let away = try isCausal ? (-numbers).clamped(min: 0) : numbers.abs()
        let logarithms = try (away / exact).log() / Glibc.log(Double(maximumDistance) / exact) * (Double(side) - exact)
        // A distance of 0 has no logarithm; like all small ones it is its own bucket.
        let grown = try logarithms.clamped(min: 0).to(.int64).to(.float32) + exact
        var found = try away.less(exact).select(away, grown.clamped(max: Double(side - 1)))
        if !isCausal { found = try found + numbers.greater(0).to(.float32) * Double(side) }
        return try found.to(.int64)
    }

    /// What is added to the scores of queries that come after `past` positions, `[1, heads, queries, past + queries]`.
    ///
    /// - Parameter table: `[buckets, heads]`.
    func scores(_ table: Tensor, queries: Int, past: Int, isCausal: Bool) throws -> Tensor {
        let keys = past + queries
        // Only so many distances occur; they are looked up once and spread.
        let distances = try Tensor.range(1 - keys, queries, on: table.device)
        let biases = try table.embedding(bucket(distances, isCausal: isCausal))
        let back = try Tensor.range(0, queries, on: table.device).flipped(0).unsqueezed(1)
        let places = try Tensor.range(0, keys, on: table.device) + back
        return try biases.embedding(places).permuted([2, 0, 1]).unsqueezed(0)
    }
}
