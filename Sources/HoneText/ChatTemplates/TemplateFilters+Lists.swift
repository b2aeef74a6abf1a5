import HoneFormats

extension TemplateFilters {
    static let lists: [String: Filter] = [
        "length": { .integer(try $0.value.length()) },
        "count": { .integer(try $0.value.length()) },
        "list": { call in try call.list(try call.value.elements(call.meter)) },
        "first": { call in
            if case .iterator(let iterator) = call.value {
                return iterator.next() ?? .undefined("there is no first element, the list is empty")
            }
            return try call.value.elements(call.meter).first
                ?? .undefined("there is no first element, the list is empty")
        },
        "last": { call in
            try sequence(call).last ?? .undefined("there is no last element, the list is empty")
        },
        "reverse": { call in
            if case .text(let text) = call.value {
                try call.meter.take(text.count)
                return .text(MarkedText(units: text.units.reversed()))
            }
            return .iterator(TemplateIterator(try call.value.elements(call.meter).reversed()))
        },
        "join": { call in
            try call.allow(["d", "attribute"])
            let separator = try call.text(0, "d", default: "")
            let parts = try call.value.elements(call.meter).map { element in
                try attribute(call.argument(1, "attribute"), of: element, call).text(call.meter)
            }
            return .text(try separator.joining(parts, call.meter))
        },
        "items": { call in
            if call.value.isUndefined { return .iterator(TemplateIterator([])) }
            guard case .map(let map) = call.value else { throw TemplateProblem("\(call.name) needs a map") }
            return .iterator(TemplateIterator(MapMethods.items(map)))
        },
        "dictsort": { call in
            try call.allow(["case_sensitive", "by", "reverse"])
            guard case .map(let map) = call.value else { throw TemplateProblem("\(call.name) needs a map") }
            let by = try call.text(1, "by", default: "key").string
            guard by == "key" || by == "value" else { throw TemplateProblem("\(call.name) sorts by key or value") }
            let isSensitive = call.isTrue(0, "case_sensitive")
            let order = try TemplateSort.sorted(
                Array(0..<map.count), call.meter, isReversed: call.isTrue(2, "reverse")
            ) { TemplateSort.folded(by == "key" ? map.keys[$0] : map.values[$0], isSensitive) }
            return try call.list(order.map { .tuple([map.keys[$0], map.values[$0]]) })
        },
        "sort": { call in
            try call.allow(["reverse", "case_sensitive", "attribute"])
            let isSensitive = call.isTrue(1, "case_sensitive")
            return try call.list(
                try TemplateSort.sorted(
                    try call.value.elements(call.meter), call.meter, isReversed: call.isTrue(0, "reverse")
                ) { try sortKey(call.argument(2, "attribute"), of: $0, isSensitive, call) })
        },
        "unique": { call in
            try call.allow(["case_sensitive", "attribute"])
            var seen: Set<TemplateKey> = []
            return .iterator(
                TemplateIterator(
                    try call.value.elements(call.meter).filter { element in
                        let key = try attribute(call.argument(1, "attribute"), of: element, call)
                        return seen.insert(try TemplateKey(TemplateSort.folded(key, call.isTrue(0, "case_sensitive"))))
                            .inserted
                    }))
        },
        "min": { try extreme($0, takesLast: false) },
        "max": { try extreme($0, takesLast: true) },
        "sum": { call in
            try call.allow(["attribute", "start"])
            var sum = call.argument(1, "start") ?? .integer(0)
            for element in try call.value.elements(call.meter) {
                sum = try call.evaluator.calculate(
                    .add, sum, try attribute(call.argument(0, "attribute"), of: element, call))
            }
            return sum
        },
        "batch": { call in
            try call.allow(["linecount", "fill_with"])
            let size = try call.integer(0, "linecount", default: 0)
            guard size > 0 else { throw TemplateProblem("\(call.name) needs a number above 0") }
            let elements = try call.value.elements(call.meter)
            try call.meter.take(elements.count * 8)
            var batches: [[TemplateValue]] = []
            for (index, element) in elements.enumerated() {
                if index % size == 0 { batches.append([]) }
                batches[batches.count - 1].append(element)
            }
            if let fill = call.argument(1, "fill_with"), fill.kind != "NoneType", let last = batches.last {
                try call.meter.take(min(size - last.count, Int.max / 8) * 8)
                batches[batches.count - 1] += Array(repeating: fill, count: size - last.count)
            }
            return .iterator(TemplateIterator(batches.map { .list($0) }))
        },
        "groupby": { call in
            try call.allow(["attribute", "default", "case_sensitive"])
            let isSensitive = call.isTrue(2, "case_sensitive")
            let name = try call.required(0, "attribute")
            func key(_ element: TemplateValue) throws -> TemplateValue {
                let value = try attribute(name, of: element, call)
                return value.isUndefined ? call.argument(1, "default") ?? value : value
            }
            let elements = try TemplateSort.sorted(try call.value.elements(call.meter), call.meter) {
                TemplateSort.folded(try key($0), isSensitive)
            }
            var groups: [(key: TemplateValue, elements: [TemplateValue])] = []
            for element in elements {
                let value = try key(element)
                if let last = groups.last,
                    try TemplateSort.folded(last.key, isSensitive).equals(
                        TemplateSort.folded(value, isSensitive), call.meter)
                {
                    groups[groups.count - 1].elements.append(element)
                } else {
                    groups.append((value, [element]))
                }
            }
            return try call.list(groups.map { .tuple([$0.key, .list($0.elements)]) })
        },
        "map": map,
        "attr": { call in
            let name = try call.required(0, "name").text(call.meter).string
            if case .map = call.value, !MapMethods.names.contains(name) {
                return .undefined("a value of the kind dict has no attribute “\(name.prefix(80))”")
            }
            return try call.evaluator.member(name, of: call.value)
        },
        "select": { try select($0, byAttribute: false, keeps: true) },
        "reject": { try select($0, byAttribute: false, keeps: false) },
        "selectattr": { try select($0, byAttribute: true, keeps: true) },
        "rejectattr": { try select($0, byAttribute: true, keeps: false) },
    ]

    /// The elements of what can be gone through from its end.
    private static func sequence(_ call: TemplateCall) throws -> [TemplateValue] {
        if case .iterator = call.value { throw TemplateProblem("\(call.name) needs a list; put “|list” before it") }
        return try call.value.elements(call.meter)
    }

    /// An element, or what it has under a name such as `address.city` or a number.
    private static func attribute(
        _ name: TemplateValue?, of element: TemplateValue, _ call: TemplateCall
    ) throws -> TemplateValue {
        guard let name, name.kind != "NoneType" else { return element }
        let path: [TemplateValue]
        if case .text(let text) = name {
            path = try text.split(".", most: -1, fromEnd: false, call.meter).map { part in
                let isNumber =
                    !part.isEmpty && part.units.allSatisfy { (0x30...0x39).contains($0 & MarkedText.scalarMask) }
                return isNumber ? Int(part.string).map { .integer($0) } ?? .text(part) : .text(part)
            }
        } else {
            path = [name]
        }
        var value = element
        for part in path { value = try call.evaluator.element(part, of: value) }
        return value
    }

    private static func sortKey(
        _ names: TemplateValue?, of element: TemplateValue, _ isSensitive: Bool, _ call: TemplateCall
    ) throws -> TemplateValue {
        guard case .text(let text)? = names else {
            return TemplateSort.folded(try attribute(names, of: element, call), isSensitive)
        }
        let keys = try text.split(",", most: -1, fromEnd: false, call.meter).map { name in
            TemplateSort.folded(try attribute(.text(name), of: element, call), isSensitive)
        }
        return .list(keys)
    }

    private static func extreme(_ call: TemplateCall, takesLast: Bool) throws -> TemplateValue {
        try call.allow(["case_sensitive", "attribute"])
        let isSensitive = call.isTrue(0, "case_sensitive")
        var best: (value: TemplateValue, key: TemplateValue)?
        for element in try call.value.elements(call.meter) {
            let key = TemplateSort.folded(try attribute(call.argument(1, "attribute"), of: element, call), isSensitive)
            guard let current = best else {
                best = (element, key)
                continue
            }
            let isBetter = try takesLast ? current.key.precedes(key, call.meter) : key.precedes(current.key, call.meter)
            if isBetter { best = (element, key) }
        }
        return best?.value ?? .undefined("there is no element, the list is empty")
    }

    private static let map: Filter = { call in
        var arguments = call.arguments
        if arguments.positional.isEmpty, let position = arguments.named.firstIndex(where: { $0.name == "attribute" }) {
            let name = arguments.named[position].value
            var fallback = arguments.named.first { $0.name == "default" }?.value
            if fallback?.kind == "NoneType" { fallback = nil }
            return .iterator(
                TemplateIterator(
                    try call.value.elements(call.meter).map { element in
                        let value = try attribute(name, of: element, call)
                        return value.isUndefined ? fallback ?? value : value
                    }))
        }
        guard !arguments.positional.isEmpty else { throw TemplateProblem("\(call.name) needs the name of a filter") }
        let name = try arguments.positional.removeFirst().text(call.meter).string
        return .iterator(
            TemplateIterator(
                try call.value.elements(call.meter).map { try call.evaluator.filter(name, $0, arguments) }))
    }

    private static func select(_ call: TemplateCall, byAttribute: Bool, keeps: Bool) throws -> TemplateValue {
        var arguments = call.arguments
        var name: TemplateValue?
        if byAttribute {
            guard !arguments.positional.isEmpty else {
                throw TemplateProblem("\(call.name) needs the name of a member")
            }
            name = arguments.positional.removeFirst()
        }
        let test = arguments.positional.isEmpty ? nil : try arguments.positional.removeFirst().text(call.meter).string
        let chosen = try call.value.elements(call.meter).filter { element in
            let value = try attribute(name, of: element, call)
            let holds = try test.map { try call.evaluator.test($0, value, arguments) } ?? value.isTrue
            return holds == keeps
        }
        return .iterator(TemplateIterator(chosen))
    }
}

/// Sorting by keys that may turn out to have no order.
enum TemplateSort {
    /// Elements by rising keys; equal ones keep their order.
    static func sorted<Element>(
        _ elements: [Element], _ meter: TemplateMeter, isReversed: Bool = false,
        by key: (Element) throws -> TemplateValue
    ) throws -> [Element] {
        try meter.take(elements.count * 16)
        let keys = try elements.map(key)
        var order = Array(elements.indices)
        // Merging by hand: a comparison may throw, and Python's sort keeps equal elements in order.
        var width = 1
        while width < order.count {
            var merged: [Int] = []
            merged.reserveCapacity(order.count)
            for start in stride(from: 0, to: order.count, by: width * 2) {
                let middle = min(start + width, order.count)
                let end = min(start + width * 2, order.count)
                var left = start
                var right = middle
                while left < middle, right < end {
                    try meter.work(16)
                    let (first, second) = (keys[order[left]], keys[order[right]])
                    let takesRight = try isReversed ? first.precedes(second, meter) : second.precedes(first, meter)
                    merged.append(order[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
                merged += order[left..<middle] + order[right..<end]
            }
            order = merged
            width *= 2
        }
        return order.map { elements[$0] }
    }

    /// A key without regard to case, unless it matters.
    static func folded(_ key: TemplateValue, _ isSensitive: Bool) -> TemplateValue {
        if !isSensitive, case .text(let text) = key { return .text(TextCase.apply("lower", text)) }
        return key
    }
}
