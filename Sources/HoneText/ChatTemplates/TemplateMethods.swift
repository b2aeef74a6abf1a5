import HoneFormats

/// The methods of maps: Python's `dict`, without those that would change it.
enum MapMethods {
    /// Every method that Python's `dict` has: a member of this name is the method, not the entry.
    static let names: Set<String> = [
        "clear", "copy", "fromkeys", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values",
    ]

    static func call(_ name: String, _ map: TemplateMap, _ arguments: TemplateArguments) throws -> TemplateValue {
        switch name {
        case "get":
            guard let key = arguments.positional.first else { throw TemplateProblem("get() needs a key") }
            let fallback =
                arguments.positional.dropFirst().first ?? arguments.named.first { $0.name == "default" }?.value
            if key.isUndefined { return fallback ?? .none }
            return map.value(try TemplateKey(key)) ?? fallback ?? .none
        case "keys": return .view(TemplateView(kind: .keys, elements: map.keys))
        case "values": return .view(TemplateView(kind: .values, elements: map.values))
        case "items": return .view(TemplateView(kind: .items, elements: items(map)))
        case "copy": return .map(map)
        case "fromkeys": throw TemplateProblem.unsupported("the method “fromkeys” of maps is not supported")
        default: throw TemplateProblem("maps cannot be changed: “\(name)” is not allowed")
        }
    }

    /// The pairs of a map.
    static func items(_ map: TemplateMap) -> [TemplateValue] {
        zip(map.keys, map.values).map { .tuple([$0, $1]) }
    }
}

/// The methods of lists: Python's `list`, without those that would change it.
enum ListMethods {
    static let names: Set<String> = [
        "append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort",
    ]

    static func call(
        _ name: String, _ elements: [TemplateValue], _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator
    ) throws -> TemplateValue {
        switch name {
        case "copy": return .list(elements)
        case "count", "index":
            guard let wanted = arguments.positional.first else { throw TemplateProblem("\(name)() needs a value") }
            var count = 0
            for (index, element) in elements.enumerated() where try element.equals(wanted, evaluator.meter) {
                if name == "index" { return .integer(index) }
                count += 1
            }
            guard name == "count" else { throw TemplateProblem("index() does not find the value in the list") }
            return .integer(count)
        default: throw TemplateProblem("lists cannot be changed: “\(name)” is not allowed")
        }
    }
}

/// What the variable `loop` knows.
enum LoopMembers {
    static func value(_ name: String, _ loop: TemplateLoop) -> TemplateValue? {
        let count = loop.elements.count
        switch name {
        case "index": return .integer(loop.index + 1)
        case "index0": return .integer(loop.index)
        case "revindex": return .integer(count - loop.index)
        case "revindex0": return .integer(count - loop.index - 1)
        case "first": return .bool(loop.index == 0)
        case "last": return .bool(loop.index == count - 1)
        case "length": return .integer(count)
        case "depth": return .integer(loop.depth + 1)
        case "depth0": return .integer(loop.depth)
        case "previtem":
            return loop.index > 0 ? loop.elements[loop.index - 1] : .undefined("there is no previous element")
        case "nextitem":
            return loop.index + 1 < count ? loop.elements[loop.index + 1] : .undefined("there is no next element")
        case "cycle", "changed": return .method(TemplateMethod(.loop(loop), name))
        default: return nil
        }
    }

    static func call(
        _ name: String, _ loop: TemplateLoop, _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator
    ) throws -> TemplateValue {
        if name == "cycle" {
            guard !arguments.positional.isEmpty else { throw TemplateProblem("loop.cycle() needs values") }
            return arguments.positional[loop.index % arguments.positional.count]
        }
        let before = loop.lastChanged
        loop.lastChanged = arguments.positional
        guard let before else { return .bool(true) }
        return .bool(!(try TemplateValue.tuple(before).equals(.tuple(arguments.positional), evaluator.meter)))
    }
}
