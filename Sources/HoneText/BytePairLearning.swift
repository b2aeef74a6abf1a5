import HoneFormats

/// The words of a corpus while pairs of their symbols are joined.
struct BytePairLearning {
    /// A pair that may be joined next; the most frequent comes first.
    private struct Candidate: Comparable {
        var count: UInt64
        var pair: UInt64
        /// The words in which it stood when it was put on the heap.
        var words: [Int32]

        static func < (first: Candidate, second: Candidate) -> Bool {
            first.count != second.count ? first.count > second.count : first.pair < second.pair
        }
    }

    /// The symbols of all words, each where the word stood at first; words get shorter in place.
    private var symbols: [Int32] = []
    /// How many bytes each symbol covers.
    private var lengths: [Int32] = []
    private var starts: [Int] = []
    private var sizes: [Int32] = []
    private let counts: [Int]
    private var pairCounts: [UInt64: Int] = [:]
    private var heap = MinimumHeap<Candidate>()

    /// - Parameters:
    ///   - words: the words as bytes.
    ///   - counts: how often each occurs.
    ///   - single: the token of each byte.
    init(words: TokenTable, counts: [Int], single: [Int32]) {
        self.counts = counts
        starts = words.starts
        symbols = words.bytes.map { single[Int($0)] }
        lengths = [Int32](repeating: 1, count: symbols.count)
        sizes = (0..<words.count).map { Int32(truncatingIfNeeded: starts[$0 + 1] - starts[$0]) }
    }

    /// Joins pairs until there are enough tokens.
    ///
    /// - Returns: the pairs in the order in which they were joined, each once.
    mutating func run(
        _ tokens: inout TokenTable, size: Int, minimumFrequency: Int, maximumLength: Int
    ) throws -> [(first: Int32, second: Int32)] {
        countPairs()
        var merges: [UInt64] = []
        var text: [UInt8] = []
        while tokens.count < size, var top = heap.pop() {
            let current = UInt64(bitPattern: Int64(pairCounts[top.pair] ?? 0))
            if top.count != current {
                top.count = current
                heap.push(top)
                continue
            }
            if top.count < 1 || top.count < minimumFrequency { break }
            let first = Int32(truncatingIfNeeded: top.pair >> 32)
            let second = Int32(truncatingIfNeeded: top.pair & 0xFFFF_FFFF)
            text.removeAll(keepingCapacity: true)
            text.append(contentsOf: tokens.token(entry: Int(first)))
            text.append(contentsOf: tokens.token(entry: Int(second)))
            // Two ways may lead to the same token.
            let known = tokens.id(text)
            let joined = known >= 0 ? known : Int32(truncatingIfNeeded: tokens.count)
            if known < 0 { _ = try tokens.insert(text, 0, text.count, id: joined) }
            merges.append(top.pair)
            join(first, second, as: joined, in: top.words, maximumLength: maximumLength)
        }
        // Of a pair that was joined twice, the later time counts, as in the reference.
        var last: [UInt64: Int] = [:]
        for (rank, pair) in merges.enumerated() { last[pair] = rank }
        return merges.enumerated().filter { last[$0.element] == $0.offset }.map { _, pair in
            (Int32(truncatingIfNeeded: pair >> 32), Int32(truncatingIfNeeded: pair & 0xFFFF_FFFF))
        }
    }

    private mutating func countPairs() {
        var places: [UInt64: [Int32]] = [:]
        for word in sizes.indices where sizes[word] > 1 {
            let start = starts[word]
            for index in start..<(start + Int(sizes[word]) - 1) {
                let pair = PairTable.key(symbols[index], symbols[index + 1])
                pairCounts[pair, default: 0] += counts[word]
                Self.note(word, under: pair, in: &places)
            }
        }
        push(places)
    }

    private static func note(_ word: Int, under pair: UInt64, in places: inout [UInt64: [Int32]]) {
        let word = Int32(truncatingIfNeeded: word)
        // Words come one after the other, so a word that is there already is the last.
        if places[pair]?.last != word { places[pair, default: []].append(word) }
    }

    private mutating func push(_ places: [UInt64: [Int32]]) {
        for (pair, words) in places {
            let count = pairCounts[pair] ?? 0
            if count > 0 { heap.push(Candidate(count: UInt64(count), pair: pair, words: words)) }
        }
    }

    /// Joins a pair wherever it stands in some words, and puts the new pairs that this makes on the heap.
    private mutating func join(
        _ first: Int32, _ second: Int32, as joined: Int32, in words: [Int32], maximumLength: Int
    ) {
        var places: [UInt64: [Int32]] = [:]
        for word in words {
            let word = Int(word)
            let start = starts[word]
            var size = Int(sizes[word])
            var index = 0
            while index + 1 < size {
                guard symbols[start + index] == first, symbols[start + index + 1] == second else {
                    index += 1
                    continue
                }
                let length = lengths[start + index] + lengths[start + index + 1]
                if index > 0 {
                    let before = start + index - 1
                    change(PairTable.key(symbols[before], first), by: -counts[word])
                    if Int(lengths[before] + length) < maximumLength {
                        let pair = PairTable.key(symbols[before], joined)
                        change(pair, by: counts[word])
                        Self.note(word, under: pair, in: &places)
                    }
                }
                symbols[start + index] = joined
                lengths[start + index] = length
                for place in (start + index + 1)..<(start + size - 1) {
                    symbols[place] = symbols[place + 1]
                    lengths[place] = lengths[place + 1]
                }
                size -= 1
                if index + 1 < size {
                    let behind = start + index + 1
                    change(PairTable.key(second, symbols[behind]), by: -counts[word])
                    if Int(lengths[behind] + length) < maximumLength {
                        let pair = PairTable.key(joined, symbols[behind])
                        change(pair, by: counts[word])
                        Self.note(word, under: pair, in: &places)
                    }
                }
                index += 1
            }
            sizes[word] = Int32(truncatingIfNeeded: size)
        }
        push(places)
    }

    private mutating func change(_ pair: UInt64, by count: Int) { pairCounts[pair, default: 0] += count }
}
