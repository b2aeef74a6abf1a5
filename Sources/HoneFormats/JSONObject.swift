/// The keys and values of a JSON object, in their order; a key stands once.
///
/// Keys are compared byte for byte (RFC 8259 section 8.3), so the composed and the decomposed form of an accented letter
/// are two keys. Two objects are equal when they have the same pairs in the same order.
public struct JSONObject: Hashable, Sendable {
    /// The keys in the order in which they were read or set.
    public private(set) var keys: [String] = []
    private var values: [JSON] = []
    /// Where each key stands; empty while the object is small enough to be searched from the front.
    private var index = KeyIndex()

    private static let searchedFromTheFront = 8

    /// An empty object.
    public init() {}

    /// The value under a key; setting a new key puts it last, setting `nil` removes it.
    public subscript(key: String) -> JSON? {
        get { position(of: key).map { values[$0] } }
        set {
            guard let newValue else {
                if let position = position(of: key) { remove(at: position) }
                return
            }
            if let position = insert(key, newValue) { values[position] = newValue }
        }
    }

    /// How many keys there are.
    public var count: Int { keys.count }

    /// Whether there are no keys.
    public var isEmpty: Bool { keys.isEmpty }

    /// The pairs in order.
    public var pairs: [(key: String, value: JSON)] { zip(keys, values).map { ($0, $1) } }

    /// Adds a pair at the end, unless the key is there already: then nothing changes and its position is given.
    mutating func insert(_ key: String, _ value: JSON) -> Int? {
        if keys.count < Self.searchedFromTheFront {
            if let position = position(of: key) { return position }
        } else {
            if index.isEmpty { indexAll() }
            if let position = index.insert(key, position: keys.count, keys: keys) { return position }
        }
        keys.append(key)
        values.append(value)
        return nil
    }

    private func position(of key: String) -> Int? {
        if index.isEmpty { return keys.firstIndex { $0.hasSameBytes(as: key) } }
        return index.position(of: key, keys: keys)
    }

    private mutating func remove(at position: Int) {
        keys.remove(at: position)
        values.remove(at: position)
        index = KeyIndex()
        if keys.count > Self.searchedFromTheFront { indexAll() }
    }

    private mutating func indexAll() {
        for (position, key) in keys.enumerated() { _ = index.insert(key, position: position, keys: keys) }
    }

    /// Whether both have the same pairs in the same order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && zip(left.keys, right.keys).allSatisfy { $0.hasSameBytes(as: $1) }
            && left.values == right.values
    }

    /// Feeds the pairs in order.
    public func hash(into hasher: inout Hasher) {
        for key in keys { hasher.combine(ExactString(key)) }
        hasher.combine(values)
    }
}

/// An open-addressed table from keys to their positions, which keeps the hashes so that growing needs no hashing again.
///
/// A `Dictionary` would hold every key a second time and take twice as long to fill; large vocabularies are objects with
/// hundreds of thousands of keys. Hashes are seeded for each process, so a file cannot choose keys that collide.
struct KeyIndex: Sendable {
    /// A position and the hash of its key; the position is -1 where the slot is free.
    private struct Slot {
        var position: Int32
        var hash: UInt32
    }

    private var slots: [Slot] = []
    private var count = 0

    var isEmpty: Bool { count == 0 }

    /// Notes the position of a key, unless the key is there already: then gives the position it has.
    mutating func insert(_ key: String, position: Int, keys: [String]) -> Int? {
        if count * 2 >= slots.count { grow() }
        let hash = Self.hash(key)
        let slot = find(key, hash, keys)
        guard slots[slot].position < 0 else { return Int(slots[slot].position) }
        slots[slot] = Slot(position: Int32(position), hash: hash)
        count += 1
        return nil
    }

    /// The position of a key; `nil` where it is not there.
    func position(of key: String, keys: [String]) -> Int? {
        guard !slots.isEmpty else { return nil }
        let position = slots[find(key, Self.hash(key), keys)].position
        return position < 0 ? nil : Int(position)
    }

    /// The slot that holds a key, or the free one where it belongs.
    private func find(_ key: String, _ hash: UInt32, _ keys: [String]) -> Int {
        let mask = slots.count - 1
        var slot = Int(hash) & mask
        // At most half of the slots are taken, so this ends.
        while slots[slot].position >= 0 {
            if slots[slot].hash == hash, keys[Int(slots[slot].position)].hasSameBytes(as: key) { return slot }
            slot = (slot + 1) & mask
        }
        return slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(position: -1, hash: 0), count: max(32, old.count * 4))
        let mask = slots.count - 1
        for entry in old where entry.position >= 0 {
            var slot = Int(entry.hash) & mask
            while slots[slot].position >= 0 { slot = (slot + 1) & mask }
            slots[slot] = entry
        }
    }

    private static func hash(_ key: String) -> UInt32 {
        UInt32(truncatingIfNeeded: ExactString(key).hashValue)
    }
}
