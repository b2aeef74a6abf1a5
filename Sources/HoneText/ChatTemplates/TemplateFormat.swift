import Foundation
import HoneFormats

/// Python's formatting of texts: `"%s" % value` and `"{}".format(value)`, as far as templates use them.
enum TemplateFormat {
    /// `format % value`: a tuple gives several values.
    static func percent(
        _ format: MarkedText, _ value: TemplateValue, _ evaluator: TemplateEvaluator
    ) throws -> MarkedText {
        var arguments = TemplateArguments()
        if case .tuple(let values) = value {
            arguments.positional = values
        } else if case .map(let map) = value {
            for (key, value) in zip(map.keys, map.values) {
                arguments.named.append((try key.text(evaluator.meter).string, value))
            }
            arguments.positional = [value]
        } else {
            arguments.positional = [value]
        }
        return try percent(format, arguments, evaluator, allowsUnused: !arguments.named.isEmpty)
    }

    /// The filter `format`.
    static func percent(
        _ format: MarkedText, _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator, allowsUnused: Bool = false
    ) throws -> MarkedText {
        let meter = evaluator.meter
        try meter.take(format.count)
        var result = MarkedText()
        var rest = format.units[...]
        var next = 0
        while let unit = rest.popFirst() {
            guard scalar(unit) == "%" else {
                result.units.append(unit)
                continue
            }
            var value: TemplateValue?
            if rest.first.map(scalar) == "(" {
                let name = rest.dropFirst().prefix { scalar($0) != ")" }
                rest = rest.dropFirst(name.count + 2)
                let wanted = MarkedText(units: Array(name)).string
                value = arguments.named.first { $0.name == wanted }?.value
                guard value != nil else { throw TemplateProblem("a format names a value that is not given") }
            }
            var digits: Int?
            if rest.first.map(scalar) == "." {
                let number = rest.dropFirst().prefix { (0x30...0x39).contains($0 & MarkedText.scalarMask) }
                rest = rest.dropFirst(number.count + 1)
                digits = Int(MarkedText(units: Array(number)).string).map { min($0, 100) }
            }
            guard let letter = rest.popFirst().map(scalar) else { throw TemplateProblem("a format ends behind “%”") }
            if letter == "%" {
                result.units.append(unit)
                continue
            }
            if value == nil {
                guard next < arguments.positional.count else { throw TemplateProblem("a format has too few values") }
                value = arguments.positional[next]
                next += 1
            }
            let text = try one(letter, digits, value ?? .none, meter)
            try meter.take(text.count)
            result.units += text.units
        }
        guard allowsUnused || next >= arguments.positional.count else {
            throw TemplateProblem("a format has too many values")
        }
        return result
    }

    private static func one(
        _ letter: Unicode.Scalar, _ digits: Int?, _ value: TemplateValue, _ meter: TemplateMeter
    ) throws -> MarkedText {
        switch letter {
        case "s":
            let text = try value.text(meter)
            return digits.map { text[0..<min($0, text.count)] } ?? text
        case "r": return try value.repr(meter)
        case "d", "i":
            guard let number = value.asNumber, let whole = value.asInteger ?? Int(exactly: number.rounded(.towardZero))
            else { throw TemplateProblem("a format needs a number, this is \(value.kind)") }
            return MarkedText(String(whole))
        case "f", "F":
            guard let number = value.asNumber else {
                throw TemplateProblem("a format needs a number, this is \(value.kind)")
            }
            return MarkedText(fixed(number, digits ?? 6))
        default:
            throw TemplateProblem.unsupported("the format “%\(letter)” is not supported")
        }
    }

    /// A number with so many digits behind the point.
    static func fixed(_ number: Double, _ digits: Int) -> String {
        guard number.isFinite else { return PythonNumber.text(number) }
        return String(format: "%.\(digits)f", number)
    }

    /// `text.format(…)` with plain fields: `{}`, `{0}`, `{name}`.
    static func braces(
        _ format: MarkedText, _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator
    ) throws -> MarkedText {
        var result = MarkedText()
        var rest = format.units[...]
        var next = 0
        while let unit = rest.popFirst() {
            let character = scalar(unit)
            if (character == "{" || character == "}"), rest.first.map(scalar) == character {
                rest.removeFirst()
                result.units.append(unit)
                continue
            }
            guard character == "{" else {
                guard character != "}" else { throw TemplateProblem("a format closes a brace that is not open") }
                result.units.append(unit)
                continue
            }
            let name = MarkedText(units: Array(rest.prefix { scalar($0) != "}" })).string
            rest = rest.dropFirst(name.unicodeScalars.count)
            guard rest.popFirst() != nil else { throw TemplateProblem("a format opens a brace that is never closed") }
            let value: TemplateValue?
            if name.isEmpty {
                value = next < arguments.positional.count ? arguments.positional[next] : nil
                next += 1
            } else if let index = Int(name) {
                value = index.index(in: arguments.positional.count).map { arguments.positional[$0] }
            } else {
                guard !name.contains(where: { ".[:!".contains($0) }) else {
                    throw TemplateProblem.unsupported("formats with members or widths are not supported")
                }
                value = arguments.named.first { $0.name == name }?.value
            }
            guard let value else { throw TemplateProblem("a format names a value that is not given") }
            let text = try value.text(evaluator.meter)
            try evaluator.meter.take(text.count)
            result.units += text.units
        }
        return result
    }

    private static func scalar(_ unit: UInt32) -> Unicode.Scalar { MarkedText.scalar(unit) }
}
