import HoneFormats

extension TemplateValue {
    /// A value of JSON, every text in it marked with an origin.
    ///
    /// - Throws: where it is larger than the meter allows.
    init(_ json: JSON, origin: TextOrigin, _ meter: TemplateMeter) throws {
        try meter.enter()
        defer { meter.leave() }
        switch json {
        case .null: self = .none
        case .bool(let value): self = .bool(value)
        case .integer(let value): self = .integer(value)
        case .number(let value): self = .number(value)
        case .string(let text):
            try meter.take(text.utf8.count)
            self = .text(MarkedText(text, origin: origin))
        case .array(let elements):
            try meter.take(elements.count * 8)
            self = .list(try elements.map { try TemplateValue($0, origin: origin, meter) })
        case .object(let object):
            try meter.take(object.count * 16)
            var map = TemplateMap()
            for (key, value) in object.pairs {
                try meter.take(key.utf8.count)
                try map.set(
                    .text(MarkedText(key, origin: origin)), try TemplateValue(value, origin: origin, meter))
            }
            self = .map(map)
        }
    }
}

/// `tojson` as transformers defines it: Python's `json.dumps` with other defaults than Jinja's own filter.
struct TemplateJSONWriter {
    var escapesNonASCII = false
    /// What stands once for each level at the start of a line; `nil` for one line.
    var indent: MarkedText?
    var itemSeparator: MarkedText = ", "
    var keySeparator: MarkedText = ": "
    var sortsKeys = false
    let meter: TemplateMeter
    private(set) var text = MarkedText()

    init(meter: TemplateMeter) { self.meter = meter }

    mutating func write(_ value: TemplateValue, level: Int = 0) throws {
        try meter.enter()
        defer { meter.leave() }
        try meter.step()
        switch value {
        case .none: add("null")
        case .bool(let value): add(value ? "true" : "false")
        case .integer(let value): add(String(value))
        case .number(let value): add(number(value))
        case .text(let text): try write(text)
        case .list(let elements), .tuple(let elements):
            try write(elements.count, "[", "]", level) { writer, index in
                try writer.write(elements[index], level: level + 1)
            }
        case .map(let map):
            var order = Array(0..<map.count)
            if sortsKeys { order = try sorted(map) }
            try write(map.count, "{", "}", level) { writer, index in
                try writer.write(key: map.keys[order[index]])
                writer.text.units += writer.keySeparator.units
                try writer.write(map.values[order[index]], level: level + 1)
            }
        default:
            throw TemplateProblem("a value of the kind \(value.kind) cannot be written as JSON")
        }
    }

    private func number(_ value: Double) -> String {
        value.isNaN ? "NaN" : value.isInfinite ? (value < 0 ? "-Infinity" : "Infinity") : PythonNumber.text(value)
    }

    private func sorted(_ map: TemplateMap) throws -> [Int] {
        try TemplateSort.sorted(Array(0..<map.count), meter) { map.keys[$0] }
    }

    private mutating func add(_ string: String) { text.units += string.unicodeScalars.map(\.value) }

    private mutating func write(
        _ count: Int, _ open: String, _ close: String, _ level: Int,
        _ body: (inout TemplateJSONWriter, Int) throws -> Void
    ) throws {
        add(open)
        for index in 0..<count {
            if index > 0 { text.units += itemSeparator.units }
            try newLine(level + 1)
            try body(&self, index)
        }
        if count > 0 { try newLine(level) }
        add(close)
    }

    private mutating func newLine(_ level: Int) throws {
        guard let indent else { return }
        try meter.take(indent.count * level)
        add("\n")
        for _ in 0..<level { text.units += indent.units }
    }

    private mutating func write(key: TemplateValue) throws {
        switch key {
        case .text(let text): try write(text)
        case .none: add("\"null\"")
        case .bool(let value): add(value ? "\"true\"" : "\"false\"")
        case .integer(let value): add("\"\(value)\"")
        case .number(let value): add("\"\(number(value))\"")
        default: throw TemplateProblem("a key of the kind \(key.kind) cannot be written as JSON")
        }
    }

    private mutating func write(_ string: MarkedText) throws {
        try meter.take(string.count + 2)
        text.units.append(Ascii.doubleQuote)
        for unit in string.units {
            let value = unit & MarkedText.scalarMask
            let escape: String? =
                switch value {
                case Ascii.doubleQuote: "\\\""
                case Ascii.backslash: "\\\\"
                case 0x0A: "\\n"
                case 0x0D: "\\r"
                case 0x09: "\\t"
                case 0x0C: "\\f"
                case 0x08: "\\b"
                case 0..<0x20: "\\u" + String(value, radix: 16).padded(to: 4)
                case 0x7F... where escapesNonASCII && value != 0x7F: Self.escape(value)
                default: nil
                }
            if let escape {
                text.units += MarkedText.units(escape, marksOf: unit)
            } else {
                text.units.append(unit)
            }
        }
        text.units.append(Ascii.doubleQuote)
    }

    private static func escape(_ value: UInt32) -> String {
        String(MarkedText.scalar(value)).utf16.map { "\\u" + String($0, radix: 16).padded(to: 4) }.joined()
    }
}
