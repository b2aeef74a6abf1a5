import HoneFormats

extension TemplateEvaluator {
    /// The value of an expression.
    func evaluate(_ expression: TemplateExpression, _ scope: TemplateScope) throws -> TemplateValue {
        switch expression {
        case .none: return .none
        case .bool(let value): return .bool(value)
        case .integer(let value): return .integer(value)
        case .number(let value): return .number(value)
        case .text(let text): return .text(text)
        case .name(let name): return lookUp(name, scope)
        default:
            try meter.enter()
            defer { meter.leave() }
            try meter.step()
            return try evaluateComposite(expression, scope)
        }
    }

    private func evaluateComposite(_ expression: TemplateExpression, _ scope: TemplateScope) throws -> TemplateValue {
        switch expression {
        case .list(let elements): return .list(try evaluate(elements, scope))
        case .tuple(let elements): return .tuple(try evaluate(elements, scope))
        case .map(let pairs):
            try meter.take(pairs.count * 16)
            var map = TemplateMap()
            for (key, value) in pairs { try map.set(try evaluate(key, scope), try evaluate(value, scope)) }
            return .map(map)
        case .postfix(let base, let operations):
            return try apply(operations, to: try evaluate(base, scope), scope)
        case .chain(let first, let rest):
            var value = try evaluate(first, scope)
            for (operation, operand) in rest {
                try meter.step()
                value = try calculate(operation, value, try evaluate(operand, scope))
            }
            return value
        case .concatenation(let parts):
            var text = MarkedText()
            for part in parts {
                let next = try evaluate(part, scope).text(meter)
                try meter.take(next.count)
                text.units += next.units
            }
            return .text(text)
        case .comparison(let first, let rest):
            var left = try evaluate(first, scope)
            for (operation, operand) in rest {
                let right = try evaluate(operand, scope)
                guard try compare(operation, left, right) else { return .bool(false) }
                left = right
            }
            return .bool(true)
        case .and(let terms), .or(let terms):
            guard case .and = expression else { return try firstDecisive(terms, scope) { $0.isTrue } }
            return try firstDecisive(terms, scope) { !$0.isTrue }
        case .not(let operand): return .bool(!(try evaluate(operand, scope).isTrue))
        case .negative(let operand): return try negated(try evaluate(operand, scope))
        case .positive(let operand):
            let value = try evaluate(operand, scope)
            guard value.asNumber != nil else {
                try value.requireDefined()
                throw TemplateProblem("“+” needs a number, this is \(value.kind)")
            }
            return value.asInteger.map { .integer($0) } ?? value
        case .choice(let test, let then, let otherwise):
            if try evaluate(test, scope).isTrue { return try evaluate(then, scope) }
            guard let otherwise else {
                return .undefined("the inline “if” has no “else”, and its condition is false")
            }
            return try evaluate(otherwise, scope)
        case .none, .bool, .integer, .number, .text, .name: return try evaluate(expression, scope)
        }
    }

    private func firstDecisive(
        _ terms: [TemplateExpression], _ scope: TemplateScope, _ decides: (TemplateValue) -> Bool
    ) throws -> TemplateValue {
        var value = TemplateValue.none
        for term in terms {
            value = try evaluate(term, scope)
            if decides(value) { break }
        }
        return value
    }

    private func evaluate(_ elements: [TemplateExpression], _ scope: TemplateScope) throws -> [TemplateValue] {
        try meter.take(elements.count * 8)
        return try elements.map { try evaluate($0, scope) }
    }

    private func lookUp(_ name: String, _ scope: TemplateScope) -> TemplateValue {
        if let value = scope.find(name) { return value }
        if TemplateFunctions.names.contains(name) { return .function(name) }
        return .undefined("“\(name.prefix(80))” is not defined")
    }

    /// The values of a call's arguments.
    func evaluate(_ arguments: TemplateExpression.Arguments, _ scope: TemplateScope) throws -> TemplateArguments {
        var values = TemplateArguments()
        for expression in arguments.positional { values.positional.append(try evaluate(expression, scope)) }
        for (name, expression) in arguments.named { values.named.append((name, try evaluate(expression, scope))) }
        if let list = arguments.list { values.positional += try evaluate(list, scope).elements(meter) }
        if let map = arguments.map {
            guard case .map(let map) = try evaluate(map, scope) else { throw TemplateProblem("“**” needs a map") }
            for (key, value) in zip(map.keys, map.values) {
                guard case .text(let name) = key else { throw TemplateProblem("“**” needs a map with texts for keys") }
                values.named.append((name.string, value))
            }
        }
        return values
    }

    // MARK: Members, subscripts, calls, filters, tests

    /// A value with what follows it.
    func apply(
        _ operations: [TemplateExpression.Postfix], to base: TemplateValue, _ scope: TemplateScope
    ) throws -> TemplateValue {
        var value = base
        for operation in operations {
            try meter.step()
            switch operation.kind {
            case .member(let name):
                line = operation.line
                value = try member(name, of: value)
            case .subscripted(let expression):
                let index = try evaluate(expression, scope)
                line = operation.line
                value = try element(index, of: value)
            case .slice(let start, let end, let step):
                let bounds = try [start, end, step].map { part in try part.map { try evaluate($0, scope) } }
                line = operation.line
                value = try slice(value, bounds)
            case .call(let arguments):
                let given = try evaluate(arguments, scope)
                line = operation.line
                value = try call(value, given)
            case .filter(let name, let arguments):
                let given = try evaluate(arguments, scope)
                line = operation.line
                value = try filtered(name, value, given)
            case .test(let name, let arguments, let isNegated):
                let given = try evaluate(arguments, scope)
                line = operation.line
                value = .bool(try test(name, value, given) != isNegated)
            }
        }
        return value
    }

    /// `value.name`: methods first, then entries, as in Jinja.
    func member(_ name: String, of value: TemplateValue) throws -> TemplateValue {
        switch value {
        case .undefined: try value.requireDefined()
        case .map(let map):
            if MapMethods.names.contains(name) { return .method(TemplateMethod(value, name)) }
            if let found = map[MarkedText(name)] { return found }
        case .text where TextMethods.names.contains(name), .list where ListMethods.names.contains(name),
            .tuple where ["count", "index"].contains(name):
            return .method(TemplateMethod(value, name))
        case .namespace(let namespace):
            if let found = namespace.members[MarkedText(name)] { return found }
        case .loop(let loop):
            if let found = LoopMembers.value(name, loop) { return found }
        case .macro(let macro) where name == "name":
            return .text(macro.node.name)
        default: break
        }
        return .undefined("a value of the kind \(value.kind) has no “\(name.prefix(80))”")
    }

    /// `value[index]`: entries first, then methods.
    func element(_ index: TemplateValue, of value: TemplateValue) throws -> TemplateValue {
        try value.requireDefined()
        switch (value, index) {
        case (.map(let map), _):
            if !index.isUndefined, let key = try? TemplateKey(index), let found = map.value(key) { return found }
        case (.text(let text), _):
            if let position = index.asInteger, let found = position.index(in: text.count) {
                return .text(MarkedText(units: [text.units[found]]))
            }
        case (.list(let elements), _), (.tuple(let elements), _):
            if let position = index.asInteger, let found = position.index(in: elements.count) { return elements[found] }
        default: break
        }
        if case .text(let name) = index { return try member(name.string, of: value) }
        let what = index.asInteger.map { " \($0)" } ?? ""
        return .undefined("a value of the kind \(value.kind) has no element\(what)")
    }

    private func slice(_ value: TemplateValue, _ bounds: [TemplateValue?]) throws -> TemplateValue {
        try value.requireDefined()
        let numbers = try bounds.map { bound -> Int? in
            guard let bound else { return nil }
            if case .none = bound { return nil }
            guard let number = bound.asInteger else {
                throw TemplateProblem("the bounds of a slice have to be whole numbers, this is \(bound.kind)")
            }
            return number
        }
        func indices(_ count: Int) throws -> [Int] {
            let step = min(max(numbers[2] ?? 1, -count - 1), count + 1)
            guard step != 0 else { throw TemplateProblem("the step of a slice cannot be 0") }
            let lowest = step > 0 ? 0 : -1
            let highest = step > 0 ? count : count - 1
            func clamped(_ bound: Int?, _ fallback: Int) -> Int {
                guard let bound else { return fallback }
                return bound < 0 ? max(lowest, bound.addingReportingOverflow(count).partialValue) : min(bound, highest)
            }
            let start = clamped(numbers[0], step > 0 ? lowest : highest)
            let end = clamped(numbers[1], step > 0 ? highest : lowest)
            try meter.take(count)
            return Array(stride(from: start, to: end, by: step))
        }
        switch value {
        case .text(let text): return .text(MarkedText(units: try indices(text.count).map { text.units[$0] }))
        case .list(let elements):
            try meter.take(elements.count * 8)
            return .list(try indices(elements.count).map { elements[$0] })
        case .tuple(let elements):
            try meter.take(elements.count * 8)
            return .tuple(try indices(elements.count).map { elements[$0] })
        default: return .undefined("a value of the kind \(value.kind) has no slices")
        }
    }

    /// What a call gives.
    func call(_ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
        switch value {
        case .function(let name): return try TemplateFunctions.call(name, arguments, self)
        case .macro(let macro): return try call(macro, arguments)
        case .method(let method): return try call(method, arguments)
        case .loop(let loop):
            guard let elements = arguments.positional.first else { throw TemplateProblem("loop() needs a list") }
            return try recurse(loop, elements)
        default:
            try value.requireDefined()
            throw TemplateProblem("a value of the kind \(value.kind) cannot be called")
        }
    }

    private func call(_ method: TemplateMethod, _ arguments: TemplateArguments) throws -> TemplateValue {
        switch method.receiver {
        case .text(let text): return try TextMethods.call(method.name, text, arguments, self)
        case .map(let map): return try MapMethods.call(method.name, map, arguments)
        case .list(let elements), .tuple(let elements):
            return try ListMethods.call(method.name, elements, arguments, self)
        case .loop(let loop): return try LoopMembers.call(method.name, loop, arguments, self)
        default: throw TemplateProblem("a value of the kind \(method.receiver.kind) has no methods")
        }
    }

    private func filtered(
        _ name: String, _ value: TemplateValue, _ arguments: TemplateArguments
    ) throws -> TemplateValue {
        guard let filter = TemplateFilters.all[name] else {
            throw TemplateProblem.unsupported("the filter “\(name.prefix(40))” is not supported")
        }
        return try filter(
            TemplateCall(name: "the filter “\(name)”", value: value, arguments: arguments, evaluator: self))
    }

    /// The result of a filter, for filters that take others by name.
    func filter(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws -> TemplateValue {
        try meter.step()
        return try filtered(name, value, arguments)
    }

    /// Whether a test holds.
    func test(_ name: String, _ value: TemplateValue, _ arguments: TemplateArguments) throws -> Bool {
        guard let test = TemplateTests.all[name] else {
            throw TemplateProblem.unsupported("the test “\(name.prefix(40))” is not supported")
        }
        try meter.step()
        return try test(TemplateCall(name: "the test “\(name)”", value: value, arguments: arguments, evaluator: self))
    }
}

extension Int {
    /// The index that this stands for in a sequence, negative ones counted from its end.
    func index(in count: Int) -> Int? {
        if self >= 0 { return self < count ? self : nil }
        let fromEnd = self.addingReportingOverflow(count).partialValue
        return fromEnd >= 0 && fromEnd < count ? fromEnd : nil
    }
}
