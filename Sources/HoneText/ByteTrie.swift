import HoneFormats

/// A tree over byte strings: finds which of them stand at a place of a text.
///
/// The nodes lie in the order of their depth, the children of one side by side by their byte.
struct ByteTrie: Sendable {
    /// The byte that leads to each node; that of the root means nothing.
    private var labels: [UInt8] = [0]
    /// Where the children of each node start; those of one end where those of the next start.
    private var firstChild: [Int32] = []
    /// What each node ends: the index of a string, or -1.
    private var values: [Int32] = [-1]
    /// The children of the root by their byte, or -1.
    private var roots = [Int32](repeating: -1, count: 256)

    /// A tree of the strings; the value of each is its index. Empty strings are never found; of equals the last counts.
    init(_ strings: [[UInt8]]) {
        var bytes: [UInt8] = []
        var starts = [0]
        for string in strings {
            bytes += string
            starts.append(bytes.count)
        }
        self.init(bytes: bytes, starts: starts)
    }

    /// A tree of strings that lie one after the other in `bytes`; there are less than 2³¹ bytes.
    ///
    /// - Parameter starts: where each starts, with the end of the last.
    init(bytes: [UInt8], starts: [Int]) {
        var order = (0..<Int32(starts.count - 1)).filter { starts[Int($0)] < starts[Int($0) + 1] }
        Self.sort(&order, bytes, starts)
        // The strings that go through a node are a stretch of the sorted ones.
        var level: [(start: Int, end: Int, node: Int)] = [(0, order.count, 0)]
        var depth = 0
        var isFirst = true
        while !level.isEmpty {
            var next: [(start: Int, end: Int, node: Int)] = []
            for (start, end, _) in level {
                firstChild.append(Int32(labels.count))
                var index = start
                // Those that end here come first.
                while index < end, starts[Int(order[index]) + 1] - starts[Int(order[index])] == depth { index += 1 }
                while index < end {
                    let byte = bytes[starts[Int(order[index])] + depth]
                    var stop = index
                    var value: Int32 = -1
                    while stop < end, bytes[starts[Int(order[stop])] + depth] == byte {
                        let string = Int(order[stop])
                        if starts[string + 1] - starts[string] == depth + 1 { value = order[stop] }
                        stop += 1
                    }
                    if isFirst { roots[Int(byte)] = Int32(labels.count) }
                    next.append((index, stop, labels.count))
                    labels.append(byte)
                    values.append(value)
                    index = stop
                }
            }
            isFirst = false
            depth += 1
            level = next
        }
        firstChild.append(Int32(labels.count))
    }

    /// Sorts strings by their bytes, equals by their index.
    private static func sort(_ order: inout [Int32], _ bytes: [UInt8], _ starts: [Int]) {
        /// The first eight bytes as a number, by which most pairs are told apart.
        func head(_ string: Int32) -> UInt64 {
            let start = starts[Int(string)]
            var value: UInt64 = 0
            for offset in 0..<8 {
                let place = start + offset
                value = value << 8 | UInt64(place < starts[Int(string) + 1] ? bytes[place] : 0)
            }
            return value
        }
        var keyed = order.map { (head($0), $0) }
        keyed.sort { first, second in
            if first.0 != second.0 { return first.0 < second.0 }
            let left = bytes[starts[Int(first.1)]..<starts[Int(first.1) + 1]]
            let right = bytes[starts[Int(second.1)]..<starts[Int(second.1) + 1]]
            if left.lexicographicallyPrecedes(right) { return true }
            return right.lexicographicallyPrecedes(left) ? false : first.1 < second.1
        }
        order = keyed.map(\.1)
    }

    /// Whether there is nothing to find.
    var isEmpty: Bool { values.count == 1 }

    /// The child of a node under a byte, or -1. The root is node 0.
    @inline(__always)
    func child(_ node: Int, _ byte: UInt8) -> Int {
        if node == 0 { return Int(roots[Int(byte)]) }
        var low = Int(firstChild[node])
        var high = Int(firstChild[node &+ 1])
        while high &- low > 8 {
            let middle = (low &+ high) / 2
            if labels[middle] <= byte { low = middle } else { high = middle }
        }
        while low < high {
            if labels[low] == byte { return low }
            low &+= 1
        }
        return -1
    }

    /// The index of the string that ends at a node, or -1.
    @inline(__always)
    func value(_ node: Int) -> Int { Int(values[node]) }

    /// The first match from an index on, the longest where several start at the same place.
    func nextMatch(in text: [UInt8], from start: Int) -> (range: TextMatch, value: Int)? {
        if isEmpty { return nil }
        var start = start
        while start < text.count {
            if roots[Int(text[start])] >= 0, let match = longestMatch(in: text, at: start) { return match }
            start &+= 1
        }
        return nil
    }

    /// The first match that is accepted, from an index on, the longest where several start at the same place.
    func nextMatch(
        in text: [UInt8], from start: Int, where accepts: (TextMatch, Int) -> Bool
    ) -> (range: TextMatch, value: Int)? {
        if isEmpty { return nil }
        var start = start
        while start < text.count {
            if roots[Int(text[start])] >= 0, let match = longestMatch(in: text, at: start, where: accepts) {
                return match
            }
            start &+= 1
        }
        return nil
    }

    private func longestMatch(
        in text: [UInt8], at start: Int, where accepts: (TextMatch, Int) -> Bool = { _, _ in true }
    ) -> (range: TextMatch, value: Int)? {
        var node = 0
        var index = start
        var best: (range: TextMatch, value: Int)?
        while index < text.count {
            node = child(node, text[index])
            if node < 0 { break }
            index += 1
            let match = TextMatch(start: start, end: index)
            if value(node) >= 0, accepts(match, value(node)) { best = (match, value(node)) }
        }
        return best
    }
}
