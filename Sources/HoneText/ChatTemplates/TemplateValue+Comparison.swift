import HoneFormats

extension TemplateValue {
    /// Whether two values are equal as Python's `==` has it.
    func equals(_ other: TemplateValue, _ meter: TemplateMeter) throws -> Bool {
        try meter.enter()
        defer { meter.leave() }
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.text(let left), .text(let right)):
            guard left.count == right.count else { return false }
            try meter.work(left.count)
            return left == right
        case (.integer(let left), .integer(let right)): return left == right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            return try Self.equal(left, right, meter)
        case (.view(let left), .view(let right)):
            return try left.kind == right.kind && Self.equal(left.elements, right.elements, meter)
        case (.map(let left), .map(let right)):
            guard left.count == right.count else { return false }
            for (key, value) in zip(left.keys, left.values) {
                guard let found = right.value(try TemplateKey(key)), try value.equals(found, meter) else {
                    return false
                }
            }
            return true
        case (.namespace(let left), .namespace(let right)): return left === right
        case (.loop(let left), .loop(let right)): return left === right
        case (.macro(let left), .macro(let right)): return left === right
        case (.function(let left), .function(let right)): return left == right
        default:
            guard let left = asNumber, let right = other.asNumber else { return false }
            return left == right
        }
    }

    private static func equal(
        _ left: [TemplateValue], _ right: [TemplateValue], _ meter: TemplateMeter
    ) throws -> Bool {
        guard left.count == right.count else { return false }
        try meter.work(left.count)
        for (first, second) in zip(left, right) where !(try first.equals(second, meter)) { return false }
        return true
    }

    /// Whether this comes before another value, as Python's `<` has it.
    ///
    /// - Throws: where Python cannot tell.
    func precedes(_ other: TemplateValue, _ meter: TemplateMeter) throws -> Bool {
        try meter.enter()
        defer { meter.leave() }
        switch (self, other) {
        case (.text(let left), .text(let right)):
            try meter.work(min(left.count, right.count))
            return left < right
        case (.integer(let left), .integer(let right)): return left < right
        case (.list(let left), .list(let right)), (.tuple(let left), .tuple(let right)):
            for (first, second) in zip(left, right) where !(try first.equals(second, meter)) {
                return try first.precedes(second, meter)
            }
            return left.count < right.count
        default:
            guard let left = asNumber, let right = other.asNumber else {
                try requireDefined()
                try other.requireDefined()
                throw TemplateProblem("values of the kinds \(kind) and \(other.kind) have no order")
            }
            return left < right
        }
    }

    /// Whether a value is in this one, as Python's `in` has it.
    func contains(_ element: TemplateValue, _ meter: TemplateMeter) throws -> Bool {
        switch self {
        case .text(let text):
            guard case .text(let part) = element else {
                throw TemplateProblem("“in” a text needs a text, this is \(element.kind)")
            }
            return try text.firstIndex(of: part, meter) != nil
        case .map(let map):
            if element.isUndefined { return false }
            return map.value(try TemplateKey(element)) != nil
        case .namespace, .none, .bool, .integer, .number, .macro, .function, .method:
            throw TemplateProblem("“in” needs a text, a list or a map, this is \(kind)")
        default:
            for candidate in try elements(meter) where try candidate.equals(element, meter) { return true }
            return false
        }
    }

    /// Says that a name is not there, where it is not.
    func requireDefined() throws {
        if case .undefined(let reason) = self { throw TemplateProblem(reason) }
    }

    /// The elements that a loop goes through.
    func elements(_ meter: TemplateMeter) throws -> [TemplateValue] {
        switch self {
        case .undefined: return []
        case .list(let elements), .tuple(let elements): return elements
        case .map(let map): return map.keys
        case .view(let view): return view.elements
        case .iterator(let iterator): return iterator.rest()
        case .text(let text):
            try meter.take(text.count * 8)
            return text.units.map { .text(MarkedText(units: [$0])) }
        default: throw TemplateProblem("a value of the kind \(kind) cannot be gone through")
        }
    }

    /// How many elements there are: Python's `len`.
    func length() throws -> Int {
        switch self {
        case .undefined: return 0
        case .text(let text): return text.count
        case .list(let elements), .tuple(let elements): return elements.count
        case .map(let map): return map.count
        case .view(let view): return view.elements.count
        case .loop(let loop): return loop.elements.count
        default: throw TemplateProblem("a value of the kind \(kind) has no length")
        }
    }
}

extension MarkedText {
    /// Where another text first stands from an index on.
    func firstIndex(of part: MarkedText, from start: Int = 0, _ meter: TemplateMeter) throws -> Int? {
        guard part.count <= count else { return nil }
        guard let first = part.units.first else { return start <= count ? start : nil }
        var index = start
        var since = 0
        while index <= count - part.count {
            since += 1
            if (units[index] ^ first) & Self.scalarMask == 0 {
                since += part.count
                if has(part, at: index) {
                    try meter.work(since)
                    return index
                }
            }
            if since >= 4096 {
                try meter.work(since)
                since = 0
            }
            index += 1
        }
        try meter.work(since)
        return nil
    }

    /// Where another text last stands.
    func lastIndex(of part: MarkedText, _ meter: TemplateMeter) throws -> Int? {
        guard part.count <= count else { return nil }
        var index = count - part.count
        while index >= 0 {
            try meter.work(1 + (index % 64 == 0 ? part.count : 0))
            if has(part, at: index) { return index }
            index -= 1
        }
        return nil
    }
}
