/// How much a JSON text may ask of its reader; what goes beyond is refused with the line and column.
public struct JSONLimits: Sendable {
    /// How deep arrays and objects may nest; at most 512, so that reading never exhausts the stack.
    public var depth: Int {
        didSet { depth = min(max(depth, 0), 512) }
    }
    /// The longest string or key, in bytes of UTF-8 as written.
    public var stringBytes: Int
    /// The most elements of one array, and the most keys of one object; at most 2^30.
    public var elements: Int {
        didSet { elements = min(elements, 1 << 30) }
    }

    /// Limits that every honest model file keeps.
    public init(depth: Int = 64, stringBytes: Int = 16 << 20, elements: Int = 10_000_000) {
        self.depth = min(max(depth, 0), 512)
        self.stringBytes = stringBytes
        self.elements = min(elements, 1 << 30)
    }
}
