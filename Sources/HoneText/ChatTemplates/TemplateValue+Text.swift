import HoneFormats

extension TemplateValue {
    /// The value as it is written to the output: Python's `str`.
    func text(_ meter: TemplateMeter) throws -> MarkedText {
        switch self {
        case .undefined: return MarkedText()
        case .text(let text): return text
        default:
            var writer = TemplateReprWriter(meter: meter)
            try writer.write(self)
            return writer.text
        }
    }

    /// The value as Python's `repr` writes it.
    func repr(_ meter: TemplateMeter) throws -> MarkedText {
        var writer = TemplateReprWriter(meter: meter)
        try writer.write(self)
        return writer.text
    }
}

/// Writes values as Python's `repr` does.
private struct TemplateReprWriter {
    let meter: TemplateMeter
    var text = MarkedText()

    mutating func write(_ value: TemplateValue) throws {
        try meter.enter()
        defer { meter.leave() }
        try meter.step()
        switch value {
        case .undefined: add("Undefined")
        case .none: add("None")
        case .bool(let value): add(value ? "True" : "False")
        case .integer(let value): add(String(value))
        case .number(let value): add(PythonNumber.text(value))
        case .text(let text): try write(text)
        case .list(let elements): try write(elements, "[", "]")
        case .tuple(let elements): try write(elements, "(", elements.count == 1 ? ",)" : ")")
        case .map(let map):
            add("{")
            for (index, (key, value)) in zip(map.keys, map.values).enumerated() {
                if index > 0 { add(", ") }
                try write(key)
                add(": ")
                try write(value)
            }
            add("}")
        case .view(let view): try write(view.elements, view.kind.name + "([", "])")
        case .namespace(let namespace):
            add("<Namespace ")
            try write(.map(namespace.members))
            add(">")
        case .loop(let loop): add("<LoopContext \(loop.index + 1)/\(loop.elements.count)>")
        case .macro(let macro): add("<Macro '\(macro.node.name)'>")
        case .iterator, .function, .method:
            throw TemplateProblem.unsupported("a value of the kind \(value.kind) cannot be written as text")
        }
    }

    private mutating func add(_ string: String) { text.units += string.unicodeScalars.map(\.value) }

    private mutating func write(_ elements: [TemplateValue], _ open: String, _ close: String) throws {
        add(open)
        for (index, element) in elements.enumerated() {
            if index > 0 { add(", ") }
            try write(element)
        }
        add(close)
    }

    private mutating func write(_ string: MarkedText) throws {
        try meter.take(string.count + 2)
        func has(_ scalar: UInt32) -> Bool { string.units.contains { $0 & MarkedText.scalarMask == scalar } }
        let quote: UInt32 = has(Ascii.quote) && !has(Ascii.doubleQuote) ? Ascii.doubleQuote : Ascii.quote
        text.units.append(quote)
        for unit in string.units {
            let value = unit & MarkedText.scalarMask
            let escape: String? =
                switch value {
                case 0x0A: "\\n"
                case 0x0D: "\\r"
                case 0x09: "\\t"
                case Ascii.backslash: "\\\\"
                case quote: "\\" + String(MarkedText.scalar(unit))
                case 0x20..<0x7F: nil
                default: Self.isPrintable(value) ? nil : Self.escape(value)
                }
            if let escape {
                text.units += MarkedText.units(escape, marksOf: unit)
            } else {
                text.units.append(unit)
            }
        }
        text.units.append(quote)
    }

    private static func isPrintable(_ value: UInt32) -> Bool {
        guard let scalar = Unicode.Scalar(value) else { return false }
        return switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            false
        default: true
        }
    }

    private static func escape(_ value: UInt32) -> String {
        let digits = String(value, radix: 16)
        return switch value {
        case ..<0x100: "\\x" + digits.padded(to: 2)
        case ..<0x10000: "\\u" + digits.padded(to: 4)
        default: "\\U" + digits.padded(to: 8)
        }
    }
}

extension String {
    /// The digits with zeros before them.
    func padded(to width: Int) -> String { String(repeating: "0", count: max(0, width - count)) + self }
}

/// Numbers as Python writes them.
enum PythonNumber {
    /// Python's `repr` of a float: the fewest digits that read back, an exponent below 1e-4 and from 1e16 on.
    static func text(_ value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        var digits = ""
        var exponent = 0
        var pointAt: Int?
        let parts = value.magnitude.description.split(separator: "e")
        for character in parts[0] {
            if character == "." { pointAt = digits.count } else { digits.append(character) }
        }
        exponent = (pointAt ?? digits.count) + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        let leading = digits.prefix { $0 == "0" }.count
        digits = String(digits.dropFirst(leading))
        exponent -= leading
        while digits.last == "0" { digits.removeLast() }
        let sign = value.sign == .minus ? "-" : ""
        if digits.isEmpty { return sign + "0.0" }
        if exponent > 16 || exponent < -3 {
            let power = exponent - 1
            let mantissa = digits.count == 1 ? digits : "\(digits.prefix(1)).\(digits.dropFirst())"
            return "\(sign)\(mantissa)e\(power < 0 ? "-" : "+")\(String(abs(power)).padded(to: 2))"
        }
        if exponent <= 0 { return sign + "0." + String(repeating: "0", count: -exponent) + digits }
        if digits.count <= exponent {
            return sign + digits + String(repeating: "0", count: exponent - digits.count) + ".0"
        }
        return "\(sign)\(digits.prefix(exponent)).\(digits.dropFirst(exponent))"
    }
}
