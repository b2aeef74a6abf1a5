import HoneFormats

/// The methods of texts: Python's `str`.
enum TextMethods {
    /// Every method that Python's `str` has; those that Hone lacks are refused when called.
    static let names: Set<String> = [
        "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find", "format", "format_map",
        "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric",
        "isprintable", "isspace", "istitle", "isupper", "join", "ljust", "lower", "lstrip", "maketrans", "partition",
        "removeprefix", "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip",
        "split",
        "splitlines", "startswith", "strip", "swapcase", "title", "translate", "upper", "zfill",
    ]

    static func call(
        _ name: String, _ text: MarkedText, _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator
    ) throws -> TemplateValue {
        let call = TemplateCall(
            name: "\(name)()", value: .text(text), arguments: arguments, evaluator: evaluator)
        let meter = evaluator.meter
        try meter.step()
        try meter.take(text.count)
        switch name {
        case "strip", "lstrip", "rstrip":
            try call.allow(["chars"])
            return .text(
                try text.stripped(
                    start: name != "rstrip", end: name != "lstrip", characters: try characters(call), meter))
        case "upper", "lower", "capitalize", "title", "swapcase", "casefold":
            try call.allow([])
            return .text(TextCase.apply(name, text))
        case "split", "rsplit":
            try call.allow(["sep", "maxsplit"])
            let most = try call.integer(1, "maxsplit", default: -1)
            var separator: MarkedText?
            if let value = call.argument(0, "sep"), value.kind != "NoneType" { separator = try self.text(value, call) }
            return try call.list(
                try text.split(separator, most: most, fromEnd: name == "rsplit", meter).map { .text($0) })
        case "splitlines":
            try call.allow(["keepends"])
            return try call.list(text.lines(keepingEnds: call.isTrue(0, "keepends")).map { .text($0) })
        case "startswith", "endswith":
            return .bool(try hasAffix(call, text, atStart: name == "startswith"))
        case "replace":
            try call.allow(["old", "new", "count"])
            return .text(
                try text.replacing(
                    try self.text(try call.required(0, "old"), call),
                    with: try self.text(try call.required(1, "new"), call),
                    most: try call.integer(2, "count", default: -1), meter))
        case "join":
            try call.allow(["iterable"])
            let parts = try call.required(0, "iterable").elements(meter).map { try self.text($0, call) }
            return .text(try text.joining(parts, meter))
        case "find", "rfind", "index", "rindex", "count":
            return .integer(try find(name, call, text))
        case "removeprefix", "removesuffix":
            let affix = try self.text(try call.required(0, "affix"), call)
            if name == "removeprefix" { return .text(text.has(affix, at: 0) ? text[affix.count..<text.count] : text) }
            let rest = text.count - affix.count
            return .text(!affix.isEmpty && text.has(affix, at: rest) ? text[0..<rest] : text)
        case "partition", "rpartition":
            return try partition(call, text, fromEnd: name == "rpartition")
        case "center", "ljust", "rjust", "zfill":
            return .text(try padded(name, call, text))
        case "format":
            return .text(try TemplateFormat.braces(text, arguments, evaluator))
        case "isalnum", "isalpha", "isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "isupper":
            try call.allow([])
            return .bool(TextCase.holds(name, text))
        default:
            throw TemplateProblem.unsupported("the method “\(name)” of texts is not supported")
        }
    }

    /// A text, where one is needed: methods do not turn other values into texts.
    private static func text(_ value: TemplateValue, _ call: TemplateCall) throws -> MarkedText {
        guard case .text(let text) = value else {
            try value.requireDefined()
            throw TemplateProblem("\(call.name) needs a text, this is \(value.kind)")
        }
        return text
    }

    private static func characters(_ call: TemplateCall) throws -> MarkedText? {
        guard let value = call.argument(0, "chars"), value.kind != "NoneType" else { return nil }
        return try text(value, call)
    }

    private static func hasAffix(_ call: TemplateCall, _ text: MarkedText, atStart: Bool) throws -> Bool {
        try call.allow(["affix"])
        let value = try call.required(0, "affix")
        let candidates: [TemplateValue] = if case .tuple(let several) = value { several } else { [value] }
        return try candidates.contains { candidate in
            let affix = try self.text(candidate, call)
            return text.has(affix, at: atStart ? 0 : text.count - affix.count)
        }
    }

    private static func find(_ name: String, _ call: TemplateCall, _ text: MarkedText) throws -> Int {
        let part = try self.text(try call.required(0, "sub"), call)
        guard call.arguments.positional.count == 1, call.arguments.named.isEmpty else {
            throw TemplateProblem.unsupported("\(call.name) with bounds is not supported")
        }
        if name == "count" {
            if part.isEmpty { return text.count + 1 }
            var count = 0
            var index = 0
            while let found = try text.firstIndex(of: part, from: index, call.meter) {
                count += 1
                index = found + part.count
            }
            return count
        }
        let found =
            try name.hasPrefix("r") ? text.lastIndex(of: part, call.meter) : text.firstIndex(of: part, call.meter)
        guard found != nil || name.hasSuffix("find") else {
            throw TemplateProblem("\(call.name) does not find the text")
        }
        return found ?? -1
    }

    private static func partition(_ call: TemplateCall, _ text: MarkedText, fromEnd: Bool) throws -> TemplateValue {
        let separator = try self.text(try call.required(0, "sep"), call)
        guard !separator.isEmpty else { throw TemplateProblem("\(call.name) needs a separator that is not empty") }
        let found = try fromEnd ? text.lastIndex(of: separator, call.meter) : text.firstIndex(of: separator, call.meter)
        guard let found else {
            let parts = fromEnd ? [MarkedText(), MarkedText(), text] : [text, MarkedText(), MarkedText()]
            return .tuple(parts.map { .text($0) })
        }
        let behind = found + separator.count
        return .tuple([.text(text[0..<found]), .text(text[found..<behind]), .text(text[behind..<text.count])])
    }

    private static func padded(_ name: String, _ call: TemplateCall, _ text: MarkedText) throws -> MarkedText {
        try call.allow(["width", "fillchar"])
        guard let width = try call.required(0, "width").asInteger else {
            throw TemplateProblem("\(call.name) needs a whole number")
        }
        let fill = try call.text(1, "fillchar", default: name == "zfill" ? "0" : " ")
        guard fill.count == 1 else { throw TemplateProblem("\(call.name) needs one character to fill with") }
        return try text.padded(to: width, name, fill, call.meter)
    }
}

extension MarkedText {
    /// Without white space, or without some characters, at its ends.
    func stripped(
        start stripsStart: Bool = true, end stripsEnd: Bool = true, characters: MarkedText? = nil,
        _ meter: TemplateMeter
    ) throws -> MarkedText {
        let set = characters.map { Set($0.units.map { $0 & Self.scalarMask }) }
        func isDropped(_ unit: UInt32) -> Bool {
            set.map { $0.contains(unit & Self.scalarMask) } ?? Self.isWhitespace(unit)
        }
        var start = 0
        var end = count
        if stripsStart { while start < end, isDropped(units[start]) { start += 1 } }
        if stripsEnd { while end > start, isDropped(units[end - 1]) { end -= 1 } }
        try meter.work(count)
        return self[start..<end]
    }

    /// The parts between separators, or between white space where there is none.
    func split(_ separator: MarkedText?, most: Int, fromEnd: Bool, _ meter: TemplateMeter) throws -> [MarkedText] {
        var limit = most < 0 ? Int.max : most
        guard let separator else { return splitAtWhitespace(&limit, fromEnd) }
        guard !separator.isEmpty else { throw TemplateProblem("a separator cannot be empty") }
        var places: [Int] = []
        if fromEnd {
            var end = count
            while limit > 0, let found = try self[0..<end].lastIndex(of: separator, meter) {
                places.insert(found, at: 0)
                try meter.take(end)
                end = found
                limit -= 1
            }
        } else {
            var index = 0
            while limit > 0, let found = try firstIndex(of: separator, from: index, meter) {
                places.append(found)
                index = found + separator.count
                limit -= 1
                try meter.take(8)
            }
        }
        var parts: [MarkedText] = []
        var start = 0
        for place in places {
            parts.append(self[start..<place])
            start = place + separator.count
        }
        return parts + [self[start..<count]]
    }

    private func splitAtWhitespace(_ limit: inout Int, _ fromEnd: Bool) -> [MarkedText] {
        var ranges: [Range<Int>] = []
        var start: Int?
        for index in 0...count {
            let isSpace = index == count || Self.isWhitespace(units[index])
            if isSpace, let begin = start {
                ranges.append(begin..<index)
                start = nil
            } else if !isSpace, start == nil {
                start = index
            }
        }
        guard limit < ranges.count else { return ranges.map { self[$0] } }
        // What is beyond the limit stays together, its inner white space included.
        if fromEnd {
            let joined = ranges[0].lowerBound..<ranges[ranges.count - limit - 1].upperBound
            return ([joined] + ranges.suffix(limit)).map { self[$0] }
        }
        let joined = ranges[limit].lowerBound..<count
        return (ranges.prefix(limit) + [joined]).map { self[$0] }
    }

    /// The lines, by all line ends that Python knows.
    func lines(keepingEnds: Bool) -> [MarkedText] {
        var lines: [MarkedText] = []
        var start = 0
        var index = 0
        while index < count {
            let value = units[index] & Self.scalarMask
            let isEnd =
                switch value {
                case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
                default: false
                }
            if isEnd {
                let isPair = value == 0x0D && index + 1 < count && units[index + 1] & Self.scalarMask == 0x0A
                let next = index + (isPair ? 2 : 1)
                lines.append(self[start..<(keepingEnds ? next : index)])
                start = next
                index = next
            } else {
                index += 1
            }
        }
        if start < count { lines.append(self[start..<count]) }
        return lines
    }

    /// With every occurrence of a text replaced by another.
    func replacing(
        _ old: MarkedText, with new: MarkedText, most: Int = -1, _ meter: TemplateMeter
    ) throws -> MarkedText {
        var limit = most < 0 ? Int.max : most
        var result = MarkedText()
        var index = 0
        while limit > 0, let found = try firstIndex(of: old, from: index, meter) {
            try meter.take(new.count + found - index + 1)
            result.units += units[index..<found] + new.units
            index = found
            limit -= 1
            if old.isEmpty {
                // An empty text stands before every character and at the end.
                guard index < count else { return result }
                result.units.append(units[index])
                index += 1
            } else {
                index += old.count
            }
        }
        result.units += units[index...]
        return result
    }

    /// Texts with this one between them.
    func joining(_ parts: [MarkedText], _ meter: TemplateMeter) throws -> MarkedText {
        var result = MarkedText()
        for (index, part) in parts.enumerated() {
            try meter.take(part.count + count)
            if index > 0 { result.units += units }
            result.units += part.units
        }
        return result
    }

    /// Filled up to a width, at the sides that the name of Python's method says.
    func padded(to width: Int, _ name: String, _ fill: MarkedText, _ meter: TemplateMeter) throws -> MarkedText {
        guard width > count, let unit = fill.units.first else { return self }
        let missing = width - count
        try meter.take(missing)
        func filling(_ number: Int) -> [UInt32] { [UInt32](repeating: unit, count: number) }
        switch name {
        case "ljust": return MarkedText(units: units + filling(missing))
        case "rjust": return MarkedText(units: filling(missing) + units)
        case "zfill":
            let hasSign = units.first.map { [Ascii.plus, Ascii.minus].contains($0 & Self.scalarMask) } ?? false
            return MarkedText(
                units: units.prefix(hasSign ? 1 : 0) + filling(missing) + units.dropFirst(hasSign ? 1 : 0))
        default:
            // Python puts the odd one to the left where the width is odd.
            let left = missing / 2 + (missing & width & 1)
            return MarkedText(units: filling(left) + units + filling(missing - left))
        }
    }
}
