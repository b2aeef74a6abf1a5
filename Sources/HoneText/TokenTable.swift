import HoneFormats

/// A table from byte strings to token ids: one flat store of bytes and an open-addressing index over it.
///
/// Keys are compared byte by byte, never as Swift strings: a vocabulary may hold both the composed and the decomposed
/// form of a character, and these are different tokens.
struct TokenTable: Sendable {
    /// The most tokens a table takes.
    static let limit = 2_000_000

    /// The bytes of all tokens, one after the other.
    private(set) var bytes: [UInt8] = []
    /// Where each entry starts in `bytes`, with the end of the last.
    private(set) var starts: [Int] = [0]
    /// The id of each entry.
    private(set) var ids: [Int32] = []
    /// The length in bytes of the longest token.
    private(set) var longest = 0
    /// Upper half: part of the hash; lower half: the entry plus one; zero where nothing is.
    private var slots: [UInt64]
    private var mask: Int
    /// The part of the file that the tokens come from, for messages.
    private let component: String
    private let limit: Int

    /// An empty table that has room for a number of tokens, and takes no more than `limit` of them.
    init(_ component: String, capacity: Int = 0, limit: Int = Self.limit) {
        self.component = component
        self.limit = limit
        var size = 16
        while size < capacity * 2, size < 1 << 23 { size *= 2 }
        slots = [UInt64](repeating: 0, count: size)
        mask = size - 1
    }

    /// How many entries there are.
    var count: Int { ids.count }

    /// The hash of nothing; `mix` takes in one byte after the other.
    static let emptyHash: UInt64 = 0xCBF2_9CE4_8422_2325

    /// Takes one more byte into a hash (FNV-1a, 64 bits).
    @inline(__always)
    static func mix(_ hash: UInt64, _ byte: UInt8) -> UInt64 { (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }

    @inline(__always)
    private static func finish(_ hash: UInt64) -> UInt64 {
        let folded = (hash ^ hash >> 29) &* 0xBF58_476D_1CE4_E5B9
        return folded ^ folded >> 32
    }

    /// The hash of a part of some bytes.
    @inline(__always)
    static func hash(_ key: [UInt8], _ start: Int, _ end: Int) -> UInt64 {
        var hash = emptyHash
        var index = start
        while index < end {
            hash = mix(hash, key[index])
            index &+= 1
        }
        return hash
    }

    /// The entry whose bytes are `key[start..<end]`, of which `hash` is the hash; -1 where there is none.
    @inline(__always)
    func entry(_ key: [UInt8], _ start: Int, _ end: Int, hash: UInt64) -> Int {
        let finished = Self.finish(hash)
        var slot = Int(truncatingIfNeeded: finished) & mask
        let tag = finished >> 32
        while true {
            let value = slots[slot]
            if value == 0 { return -1 }
            if value >> 32 == tag {
                let entry = Int(truncatingIfNeeded: value & 0xFFFF_FFFF) - 1
                if isEqual(entry, key, start, end) { return entry }
            }
            slot = (slot &+ 1) & mask
        }
    }

    @inline(__always)
    private func isEqual(_ entry: Int, _ key: [UInt8], _ start: Int, _ end: Int) -> Bool {
        var own = starts[entry]
        guard starts[entry + 1] - own == end - start else { return false }
        var index = start
        while index < end {
            if bytes[own] != key[index] { return false }
            own &+= 1
            index &+= 1
        }
        return true
    }

    /// The id of the token whose bytes are `key[start..<end]`, or -1.
    @inline(__always)
    func id(_ key: [UInt8], _ start: Int, _ end: Int) -> Int32 {
        let entry = entry(key, start, end, hash: Self.hash(key, start, end))
        return entry < 0 ? -1 : ids[entry]
    }

    /// The id of a token, or -1.
    func id(_ key: [UInt8]) -> Int32 { id(key, 0, key.count) }

    /// The bytes of an entry.
    func token(entry: Int) -> ArraySlice<UInt8> { bytes[starts[entry]..<starts[entry + 1]] }

    /// Adds a token and tells whether it was new; one that is there already stays as it is.
    ///
    /// - Throws: where the table is full or its keys are made to collide; the error does not name the file.
    mutating func insert(_ key: [UInt8], _ start: Int, _ end: Int, id: Int32) throws(HoneError) -> Bool {
        if ids.count * 2 >= slots.count { try grow() }
        let hash = Self.hash(key, start, end)
        if entry(key, start, end, hash: hash) >= 0 { return false }
        guard ids.count < limit else { throw problem("there are more than \(limit) tokens") }
        bytes.append(contentsOf: key[start..<end])
        starts.append(bytes.count)
        ids.append(id)
        longest = max(longest, end - start)
        try place(entry: ids.count - 1, hash: hash)
        return true
    }

    private mutating func place(entry: Int, hash: UInt64) throws(HoneError) {
        let finished = Self.finish(hash)
        var slot = Int(truncatingIfNeeded: finished) & mask
        var probes = 0
        while slots[slot] != 0 {
            slot = (slot &+ 1) & mask
            probes += 1
            if probes > 4096 { throw problem("the entries are made to collide, which would make it slow") }
        }
        slots[slot] = (finished >> 32) << 32 | UInt64(entry + 1)
    }

    private func problem(_ message: String) -> HoneError { HoneError(.badFile, message, item: component) }

    private mutating func grow() throws(HoneError) {
        let size = slots.count * 2
        slots = [UInt64](repeating: 0, count: size)
        mask = size - 1
        for entry in 0..<ids.count {
            try place(entry: entry, hash: Self.hash(bytes, starts[entry], starts[entry + 1]))
        }
    }
}

/// A table from pairs of 32-bit numbers to one 64-bit number.
struct PairTable: Sendable {
    /// Key and value side by side; a key of all ones where nothing is.
    private var cells: [UInt64]
    private var mask: Int
    private(set) var count = 0
    /// The part of the file that the pairs come from, for messages.
    private let component: String

    /// An empty table that has room for a number of pairs.
    init(_ component: String, capacity: Int = 0) {
        self.component = component
        var size = 16
        while size < capacity * 2, size < 1 << 24 { size *= 2 }
        cells = [UInt64](repeating: .max, count: size * 2)
        mask = size - 1
    }

    /// The key of a pair.
    @inline(__always)
    static func key(_ first: Int32, _ second: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
    }

    @inline(__always)
    private static func hash(_ key: UInt64) -> UInt64 {
        let mixed = (key ^ key >> 31) &* 0x9E37_79B9_7F4A_7C15
        return mixed ^ mixed >> 32
    }

    /// The value under a key, or all ones.
    @inline(__always)
    subscript(key: UInt64) -> UInt64 {
        var slot = Int(truncatingIfNeeded: Self.hash(key)) & mask
        while true {
            let found = cells[2 &* slot]
            if found == key { return cells[2 &* slot &+ 1] }
            if found == .max { return .max }
            slot = (slot &+ 1) & mask
        }
    }

    /// Sets the value under a key, which may not be all ones.
    mutating func set(_ key: UInt64, _ value: UInt64) throws(HoneError) {
        if count * 2 >= mask + 1 { try grow() }
        try place(key, value)
    }

    private mutating func place(_ key: UInt64, _ value: UInt64) throws(HoneError) {
        var slot = Int(truncatingIfNeeded: Self.hash(key)) & mask
        var probes = 0
        while cells[2 * slot] != .max, cells[2 * slot] != key {
            slot = (slot &+ 1) & mask
            probes += 1
            if probes > 4096 { throw problem("the entries are made to collide, which would make it slow") }
        }
        if cells[2 * slot] == .max { count += 1 }
        cells[2 * slot] = key
        cells[2 * slot + 1] = value
    }

    /// A table of the pairs whose value is kept; `nil` where that is all of them.
    func filtered(_ isKept: (UInt64) -> Bool) -> PairTable? {
        let occupied = stride(from: 0, to: cells.count, by: 2).filter { cells[$0] != .max }
        if occupied.allSatisfy({ isKept(cells[$0 + 1]) }) { return nil }
        var table = PairTable(component, capacity: count)
        // What was placed once without colliding too often is placed again.
        for slot in occupied where isKept(cells[slot + 1]) { try? table.set(cells[slot], cells[slot + 1]) }
        return table
    }

    private func problem(_ message: String) -> HoneError { HoneError(.badFile, message, item: component) }

    private mutating func grow() throws(HoneError) {
        let old = cells
        let size = (mask + 1) * 2
        cells = [UInt64](repeating: .max, count: size * 2)
        mask = size - 1
        count = 0
        for slot in stride(from: 0, to: old.count, by: 2) where old[slot] != .max {
            try place(old[slot], old[slot + 1])
        }
    }
}
