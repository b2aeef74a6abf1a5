/// The working memory of byte-pair encoding, kept between words so that nothing is allocated for each.
struct BytePairScratch {
    /// The symbols of the word, before and after merging.
    var symbols: [Int32] = []
    /// How many bytes of the text each symbol covers; only where `tracksLengths`.
    private(set) var lengths: [Int] = []
    /// Whether `lengths` is kept up.
    var tracksLengths = false
    /// What joining each symbol with the next one would give, as `BytePairModel.merges` has it.
    private var candidates: [UInt64] = []
    private var previous: [Int] = []
    private var next: [Int] = []
    /// Rank in the upper half, position in the lower.
    private var heap = MinimumHeap<UInt64>()

    /// Up to this many symbols, looking through all candidates is quicker than a heap.
    static let scanLimit = 32

    /// Starts over.
    mutating func removeAll() {
        symbols.removeAll(keepingCapacity: true)
        lengths.removeAll(keepingCapacity: true)
    }

    /// Appends a symbol that covers so many bytes.
    @inline(__always)
    mutating func append(_ symbol: Int32, length: Int) {
        symbols.append(symbol)
        if tracksLengths { lengths.append(length) }
    }

    /// Joins pairs of symbols, the lowest rank first and the leftmost of equals, until no merge applies.
    mutating func merge(_ merges: PairTable, scanLimit: Int = Self.scanLimit) {
        if symbols.count < 2 { return }
        if symbols.count <= scanLimit { mergeByScanning(merges) } else { mergeByHeap(merges) }
    }

    private mutating func mergeByScanning(_ merges: PairTable) {
        candidates.removeAll(keepingCapacity: true)
        for index in 0..<(symbols.count - 1) {
            candidates.append(merges[PairTable.key(symbols[index], symbols[index + 1])])
        }
        while !candidates.isEmpty {
            var best = UInt64.max
            var position = 0
            for index in 0..<candidates.count where candidates[index] < best {
                best = candidates[index]
                position = index
            }
            if best == .max { return }
            symbols[position] = Int32(truncatingIfNeeded: best)
            symbols.remove(at: position + 1)
            if tracksLengths { lengths[position] += lengths.remove(at: position + 1) }
            candidates.remove(at: position)
            if position > 0 {
                candidates[position - 1] = merges[PairTable.key(symbols[position - 1], symbols[position])]
            }
            if position + 1 < symbols.count {
                candidates[position] = merges[PairTable.key(symbols[position], symbols[position + 1])]
            }
        }
    }

    private mutating func mergeByHeap(_ merges: PairTable) {
        let count = symbols.count
        previous.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        heap.removeAll()
        for index in 0..<count {
            previous.append(index - 1)
            next.append(index + 1)
        }
        for index in 0..<(count - 1) { propose(index, merges) }
        while let top = heap.pop() {
            let position = Int(truncatingIfNeeded: top & 0xFFFF_FFFF)
            guard symbols[position] >= 0 else { continue }
            let right = next[position]
            guard right < count else { continue }
            let found = merges[PairTable.key(symbols[position], symbols[right])]
            // Another rank means that a neighbour has changed since; that pair has an entry of its own.
            guard found != .max, found >> 32 == top >> 32 else { continue }
            symbols[position] = Int32(truncatingIfNeeded: found)
            symbols[right] = -1
            if tracksLengths {
                lengths[position] += lengths[right]
                lengths[right] = 0
            }
            next[position] = next[right]
            if next[right] < count { previous[next[right]] = position }
            if previous[position] >= 0 { propose(previous[position], merges) }
            propose(position, merges)
        }
        symbols.removeAll { $0 < 0 }
        if tracksLengths { lengths.removeAll { $0 == 0 } }
    }

    /// Puts the pair at a position on the heap, where there is a merge for it.
    private mutating func propose(_ position: Int, _ merges: PairTable) {
        guard next[position] < symbols.count else { return }
        let found = merges[PairTable.key(symbols[position], symbols[next[position]])]
        guard found != .max else { return }
        heap.push((found >> 32) << 32 | UInt64(truncatingIfNeeded: position & 0xFFFF_FFFF))
    }
}
