import HoneFormats

/// The filters that follow `|`; those on lists are in `TemplateFilters+Lists.swift`.
enum TemplateFilters {
    typealias Filter = @Sendable (TemplateCall) throws -> TemplateValue

    static let all: [String: Filter] = texts.merging(lists) { first, _ in first }

    private static let texts: [String: Filter] = [
        "tojson": toJSON,
        "string": { .text(try $0.subject()) },
        // Templates run without automatic escaping, so that these change nothing that could be seen.
        "safe": { .text(try $0.subject()) },
        "trim": { call in
            try call.allow(["chars"])
            let characters = call.argument(0, "chars")
            let set = characters?.kind == "NoneType" ? nil : try characters?.text(call.meter)
            return .text(try call.subject().stripped(characters: set, call.meter))
        },
        "upper": { .text(TextCase.apply("upper", try worked($0))) },
        "lower": { .text(TextCase.apply("lower", try worked($0))) },
        "capitalize": { .text(TextCase.apply("capitalize", try worked($0))) },
        "title": { .text(TextCase.jinjaTitle(try worked($0))) },
        "replace": { call in
            try call.allow(["old", "new", "count"])
            return .text(
                try call.subject().replacing(
                    try call.required(0, "old").text(call.meter), with: try call.required(1, "new").text(call.meter),
                    most: call.argument(2, "count")?.asInteger ?? -1, call.meter))
        },
        "default": fallback, "d": fallback,
        "indent": indent,
        "center": { call in
            .text(try call.subject().padded(to: try call.integer(0, "width", default: 80), "center", " ", call.meter))
        },
        "wordcount": { call in
            let isWord: (UInt32) -> Bool = { unit in
                let scalar = MarkedText.scalar(unit)
                return unit & MarkedText.scalarMask == 0x5F || scalar.properties.isAlphabetic
                    || scalar.properties.numericType != nil
            }
            return .integer(try worked(call).units.split { !isWord($0) }.count)
        },
        "truncate": truncate,
        "format": { .text(try TemplateFormat.percent(try $0.subject(), $0.arguments, $0.evaluator)) },
        "escape": escape, "e": escape, "forceescape": escape,
        "int": integer,
        "float": { call in
            if let number = call.value.asNumber { return .number(number) }
            if case .text(let text) = call.value, let number = Self.number(text) { return .number(number) }
            return call.argument(0, "default") ?? .number(0)
        },
        "abs": { call in
            if let number = call.value.asInteger {
                return number < 0 ? try call.evaluator.negated(.integer(number)) : .integer(number)
            }
            guard case .number(let number) = call.value else { throw TemplateProblem("\(call.name) needs a number") }
            return .number(number.magnitude)
        },
        "round": round,
    ]

    private static func worked(_ call: TemplateCall) throws -> MarkedText {
        let text = try call.subject()
        try call.meter.take(text.count)
        return text
    }

    private static let toJSON: Filter = { call in
        try call.allow(["ensure_ascii", "indent", "separators", "sort_keys"])
        var writer = TemplateJSONWriter(meter: call.meter)
        writer.escapesNonASCII = call.isTrue(0, "ensure_ascii")
        if let indent = call.argument(1, "indent"), indent.kind != "NoneType" {
            if case .text(let text) = indent {
                writer.indent = text
            } else {
                let width = max(0, try call.integer(1, "indent", default: 0))
                try call.meter.take(min(width, Int.max / 2))
                writer.indent = MarkedText(String(repeating: " ", count: width))
            }
            writer.itemSeparator = ","
        }
        if let separators = call.argument(2, "separators"), separators.kind != "NoneType" {
            let parts = try separators.elements(call.meter)
            guard parts.count == 2 else { throw TemplateProblem("\(call.name) needs two separators") }
            writer.itemSeparator = try parts[0].text(call.meter)
            writer.keySeparator = try parts[1].text(call.meter)
        }
        writer.sortsKeys = call.isTrue(3, "sort_keys")
        try writer.write(call.value)
        return .text(writer.text)
    }

    private static let fallback: Filter = { call in
        try call.allow(["default_value", "boolean"])
        let isMissing = call.value.isUndefined || (call.isTrue(1, "boolean") && !call.value.isTrue)
        return isMissing ? call.argument(0, "default_value") ?? .text("") : call.value
    }

    private static let indent: Filter = { call in
        try call.allow(["width", "first", "blank"])
        var indentation = MarkedText("    ")
        if case .text(let text)? = call.argument(0, "width") {
            indentation = text
        } else {
            let width = max(0, try call.integer(0, "width", default: 4))
            try call.meter.take(min(width, Int.max / 2))
            indentation = MarkedText(String(repeating: " ", count: width))
        }
        let indentsBlank = call.isTrue(2, "blank")
        var text = try call.subject()
        text.units.append(0x0A)
        var result = MarkedText()
        for (index, line) in text.lines(keepingEnds: false).enumerated() {
            try call.meter.take(line.count + indentation.count + 1)
            if index > 0 { result.units.append(0x0A) }
            let isIndented = index == 0 ? call.isTrue(1, "first") : indentsBlank || !line.isEmpty
            if isIndented { result.units += indentation.units }
            result.units += line.units
        }
        return .text(result)
    }

    private static let truncate: Filter = { call in
        try call.allow(["length", "killwords", "end", "leeway"])
        let text = try call.subject()
        let length = try call.integer(0, "length", default: 255)
        let end = try call.text(2, "end", default: "...")
        let leeway = try call.integer(3, "leeway", default: 5)
        guard length >= end.count, leeway >= 0 else { throw TemplateProblem("\(call.name) needs a greater length") }
        if text.count <= length.addingReportingOverflow(leeway).partialValue || length >= text.count {
            return .text(text)
        }
        var kept = text[0..<(length - end.count)]
        if !call.isTrue(1, "killwords"), let space = try kept.lastIndex(of: " ", call.meter) { kept = kept[0..<space] }
        return .text(MarkedText(units: kept.units + end.units))
    }

    private static let escape: Filter = { call in
        var result: [UInt32] = []
        for unit in try worked(call).units {
            let entity: String? =
                switch unit & MarkedText.scalarMask {
                case 0x26: "&amp;"
                case 0x3C: "&lt;"
                case 0x3E: "&gt;"
                case Ascii.quote: "&#39;"
                case Ascii.doubleQuote: "&#34;"
                default: nil
                }
            if let entity { result += MarkedText.units(entity, marksOf: unit) } else { result.append(unit) }
        }
        try call.meter.take(result.count)
        return .text(MarkedText(units: result))
    }

    private static let integer: Filter = { call in
        try call.allow(["default", "base"])
        let fallback = call.argument(0, "default") ?? .integer(0)
        switch call.value {
        case .bool, .integer: return .integer(call.value.asInteger ?? 0)
        case .number(let number): return Int(exactly: number.rounded(.towardZero)).map { .integer($0) } ?? fallback
        case .text(let text):
            let base = try call.integer(1, "base", default: 10)
            guard (2...36).contains(base) else { throw TemplateProblem("\(call.name) needs a base from 2 to 36") }
            let digits = try text.stripped(call.meter).string
            if let number = Int(digits.filter { $0 != "_" }, radix: base) { return .integer(number) }
            if let number = Self.number(text), let whole = Int(exactly: number.rounded(.towardZero)) {
                return .integer(whole)
            }
            return fallback
        default: return fallback
        }
    }

    private static func number(_ text: MarkedText) -> Double? {
        guard text.count <= 400 else { return nil }
        let string = String(text.string.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        // Swift reads hexadecimal numbers too, Python does not.
        guard !string.contains(where: { "xXpP".contains($0) }) else { return nil }
        return Double(string.filter { $0 != "_" })
    }

    private static let round: Filter = { call in
        try call.allow(["precision", "method"])
        let precision = try call.integer(0, "precision", default: 0)
        let method = try call.text(1, "method", default: "common").string
        guard let number = call.value.asNumber, (-300...300).contains(precision) else {
            throw TemplateProblem("\(call.name) needs a number and a sensible precision")
        }
        if method == "common" {
            if let whole = call.value.asInteger, precision >= 0 { return .integer(whole) }
            guard precision >= 0 else { throw TemplateProblem.unsupported("\(call.name) to tens is not supported") }
            // The nearest decimal, ties to even by the exact value: what printing with that many digits does.
            return .number(Double(TemplateFormat.fixed(number, min(precision, 40))) ?? number)
        }
        guard let scale = Double("1e\(precision)"), method == "ceil" || method == "floor" else {
            throw TemplateProblem("\(call.name) knows the methods common, ceil and floor")
        }
        let rounded = (number * scale).rounded(method == "ceil" ? .up : .down)
        return precision == 0 ? .number(rounded) : .number(rounded / scale)
    }
}
