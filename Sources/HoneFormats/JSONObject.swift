/// The keys and values of a JSON object, in their order; a key stands once.
///
/// Keys are compared byte for byte (RFC 8259 section 8.3), so the composed and the decomposed form of an accented letter
/// are two keys. Two objects are equal when they have the same pairs in the same order.
public struct JSONObject: Hashable, Sendable {
    /// The keys in the order in which they were read or set.
    public private(set) var keys: [String] = []
    private var values: [JSON] = []
    /// Where each key stands; absent while the object is small enough to be searched from the front.
    private var positions: [ExactString: Int]?

    private static let searchedFromTheFront = 8

    /// An empty object.
    public init() {}

    /// The value under a key; setting a new key puts it last, setting `nil` removes it.
    public subscript(key: String) -> JSON? {
        get {
            if let position = position(of: key) { return values[position] }
            return nil
        }
        set {
            if let newValue {
                if let position = position(of: key) {
                    values[position] = newValue
                } else {
                    append(key, newValue)
                }
            } else if let position = position(of: key) {
                keys.remove(at: position)
                values.remove(at: position)
                positions = nil
                if keys.count > Self.searchedFromTheFront { index() }
            }
        }
    }

    /// How many keys there are.
    public var count: Int { keys.count }

    /// Whether there are no keys.
    public var isEmpty: Bool { keys.isEmpty }

    /// The pairs in order.
    public var pairs: [(key: String, value: JSON)] { zip(keys, values).map { ($0, $1) } }

    /// Adds a pair at the end; `false`, and no change, where the key is there already.
    mutating func insert(_ key: String, _ value: JSON) -> Bool {
        if positions != nil {
            let (inserted, _) = insertPosition(key)
            guard inserted else { return false }
            keys.append(key)
            values.append(value)
            return true
        }
        guard position(of: key) == nil else { return false }
        append(key, value)
        return true
    }

    private func position(of key: String) -> Int? {
        if let positions { return positions[ExactString(key)] }
        return keys.firstIndex { $0.hasSameBytes(as: key) }
    }

    private mutating func append(_ key: String, _ value: JSON) {
        keys.append(key)
        values.append(value)
        if positions != nil {
            positions?[ExactString(key)] = keys.count - 1
        } else if keys.count > Self.searchedFromTheFront {
            index()
        }
    }

    /// One look into the table instead of two: this is what reading a large vocabulary spends its time on.
    private mutating func insertPosition(_ key: String) -> (inserted: Bool, position: Int) {
        let next = keys.count
        let before = positions?.updateValue(next, forKey: ExactString(key))
        guard let before else { return (true, next) }
        positions?[ExactString(key)] = before
        return (false, before)
    }

    private mutating func index() {
        var table: [ExactString: Int] = [:]
        table.reserveCapacity(keys.count * 2)
        for (position, key) in keys.enumerated() { table[ExactString(key)] = position }
        positions = table
    }

    /// Whether both have the same pairs in the same order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.keys == right.keys && left.values == right.values
    }

    /// Feeds the pairs in order.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(keys)
        hasher.combine(values)
    }
}
