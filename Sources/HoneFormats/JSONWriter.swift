extension JSON {
    /// The value as JSON text (RFC 8259) in UTF-8.
    ///
    /// Numbers are written with the fewest digits that read back as the same value. JSON has no word for numbers that
    /// are not finite: they are written as `null`.
    ///
    /// - Parameters:
    ///   - pretty: one element a line, indented by two spaces, as Python's `json.dumps(indent=2)`; otherwise on one line
    ///     without spaces.
    ///   - sortedKeys: keys in the order of their Unicode scalars instead of their own order.
    public func text(pretty: Bool = false, sortedKeys: Bool = false) -> String {
        var writer = JSONWriter(pretty: pretty, sortedKeys: sortedKeys)
        writer.write(self, indent: 0)
        return String(decoding: writer.output, as: UTF8.self)
    }
}

private struct JSONWriter {
    let pretty: Bool
    let sortedKeys: Bool
    var output: [UInt8] = []

    init(pretty: Bool, sortedKeys: Bool) {
        self.pretty = pretty
        self.sortedKeys = sortedKeys
    }

    mutating func write(_ value: JSON, indent: Int) {
        switch value {
        case .null: output += "null".utf8
        case .bool(let value): output += (value ? "true" : "false").utf8
        case .integer(let value): output += String(value).utf8
        case .number(let value): output += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): write(string: value)
        case .array(let elements):
            list("[", "]", elements, indent: indent) { writer, element in
                writer.write(element, indent: indent + 1)
            }
        case .object(let object):
            var pairs = object.pairs
            if sortedKeys { pairs.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } }
            list("{", "}", pairs, indent: indent) { writer, pair in
                writer.write(string: pair.key)
                writer.output += (writer.pretty ? ": " : ":").utf8
                writer.write(pair.value, indent: indent + 1)
            }
        }
    }

    private mutating func list<Element>(
        _ open: String, _ close: String, _ elements: [Element], indent: Int,
        _ body: (inout JSONWriter, Element) -> Void
    ) {
        output += open.utf8
        for (position, element) in elements.enumerated() {
            if position > 0 { output.append(UInt8(ascii: ",")) }
            newLine(indent + 1)
            body(&self, element)
        }
        if !elements.isEmpty { newLine(indent) }
        output += close.utf8
    }

    private mutating func newLine(_ indent: Int) {
        guard pretty else { return }
        output.append(UInt8(ascii: "\n"))
        output += repeatElement(UInt8(ascii: " "), count: indent * 2)
    }

    private mutating func write(string: String) {
        output.append(UInt8(ascii: "\""))
        for byte in string.utf8 {
            switch byte {
            case UInt8(ascii: "\""): output += "\\\"".utf8
            case UInt8(ascii: "\\"): output += "\\\\".utf8
            case 0x0A: output += "\\n".utf8
            case 0x0D: output += "\\r".utf8
            case 0x09: output += "\\t".utf8
            case 0x08: output += "\\b".utf8
            case 0x0C: output += "\\f".utf8
            case 0..<0x20:
                output += (byte < 0x10 ? "\\u000" : "\\u00").utf8
                output += String(byte, radix: 16).utf8
            default: output.append(byte)
            }
        }
        output.append(UInt8(ascii: "\""))
    }
}
