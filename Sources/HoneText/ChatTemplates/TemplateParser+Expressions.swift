import HoneFormats

extension TemplateParser {
    /// An expression, or several with commas between them.
    mutating func tuple(
        withChoice: Bool = true, until end: String? = nil, isInParentheses: Bool = false
    ) throws -> TemplateExpression {
        var elements: [TemplateExpression] = []
        var isTuple = false
        while !isTupleEnd(end) {
            elements.append(try withChoice ? expression() : disjunction())
            guard skip(",") else { break }
            isTuple = true
        }
        if !isTuple, let only = elements.first { return only }
        guard isTuple || isInParentheses else {
            throw problem("an expression is missing before \(described(token))")
        }
        return .tuple(elements)
    }

    private func isTupleEnd(_ end: String?) -> Bool {
        token.kind == .outputEnd || token.kind == .blockEnd || isAt(")") || end.map { isAt(word: $0) } == true
    }

    /// One expression, with `if` and `else` inside where they are.
    mutating func expression() throws -> TemplateExpression {
        try enter()
        defer { depth -= 1 }
        var value = try disjunction()
        var nested = 0
        defer { depth -= nested }
        while skip(word: "if") {
            try enter()
            nested += 1
            let test = try disjunction()
            value = .choice(test: test, then: value, otherwise: skip(word: "else") ? try expression() : nil)
        }
        return value
    }

    private mutating func disjunction() throws -> TemplateExpression {
        let first = try conjunction()
        guard isAt(word: "or") else { return first }
        var terms = [first]
        while skip(word: "or") { terms.append(try conjunction()) }
        return .or(terms)
    }

    private mutating func conjunction() throws -> TemplateExpression {
        let first = try negation()
        guard isAt(word: "and") else { return first }
        var terms = [first]
        while skip(word: "and") { terms.append(try negation()) }
        return .and(terms)
    }

    private mutating func negation() throws -> TemplateExpression {
        guard skip(word: "not") else { return try comparison() }
        try enter()
        defer { depth -= 1 }
        return .not(try negation())
    }

    private mutating func comparison() throws -> TemplateExpression {
        let first = try sum()
        var operations: [(operation: TemplateExpression.Comparison, operand: TemplateExpression)] = []
        while let operation = comparisonOperator() { operations.append((operation, try sum())) }
        return operations.isEmpty ? first : .comparison(first, operations)
    }

    private mutating func comparisonOperator() -> TemplateExpression.Comparison? {
        switch token.kind {
        case .symbol(let symbol):
            guard let operation = TemplateExpression.Comparison(rawValue: symbol) else { return nil }
            advance()
            return operation
        case .name("in"):
            advance()
            return .isIn
        case .name("not") where tokens[min(position + 1, tokens.count - 1)].kind == .name("in"):
            advance()
            advance()
            return .isNotIn
        default:
            return nil
        }
    }

    private mutating func sum() throws -> TemplateExpression {
        try chain(["+", "-"]) { parser in try parser.concatenation() }
    }

    private mutating func concatenation() throws -> TemplateExpression {
        let first = try product()
        guard isAt("~") else { return first }
        var terms = [first]
        while skip("~") { terms.append(try product()) }
        return .concatenation(terms)
    }

    private mutating func product() throws -> TemplateExpression {
        try chain(["*", "/", "//", "%"]) { parser in try parser.power() }
    }

    private mutating func power() throws -> TemplateExpression {
        try chain(["**"]) { parser in try parser.unary(withFilters: true) }
    }

    private mutating func chain(
        _ symbols: [String], _ operand: (inout TemplateParser) throws -> TemplateExpression
    ) throws -> TemplateExpression {
        let first = try operand(&self)
        var operations: [(operation: TemplateExpression.Arithmetic, operand: TemplateExpression)] = []
        while case .symbol(let symbol) = token.kind, symbols.contains(symbol),
            let operation = TemplateExpression.Arithmetic(rawValue: symbol)
        {
            advance()
            operations.append((operation, try operand(&self)))
        }
        return operations.isEmpty ? first : .chain(first, operations)
    }

    private mutating func unary(withFilters: Bool) throws -> TemplateExpression {
        var value: TemplateExpression
        if isAt("-") || isAt("+") {
            try enter()
            defer { depth -= 1 }
            let isNegative = isAt("-")
            advance()
            let operand = try unary(withFilters: false)
            value = isNegative ? .negative(operand) : .positive(operand)
        } else {
            value = try primary()
        }
        value = try postfix(value)
        return withFilters ? try filtersAndTests(value) : value
    }

    private mutating func primary() throws -> TemplateExpression {
        switch token.kind {
        case .name(let name):
            advance()
            switch name {
            case "true", "True": return .bool(true)
            case "false", "False": return .bool(false)
            case "none", "None": return .none
            default: return .name(name)
            }
        case .string(var text):
            advance()
            while case .string(let next) = token.kind {
                text.units += next.units
                advance()
            }
            return .text(text)
        case .integer(let value):
            advance()
            return .integer(value)
        case .number(let value):
            advance()
            return .number(value)
        case .symbol("("):
            advance()
            try enter()
            defer { depth -= 1 }
            let value = try tuple(isInParentheses: true)
            try expect(")")
            return value
        case .symbol("["):
            advance()
            var elements: [TemplateExpression] = []
            while !isAt("]") {
                if !elements.isEmpty { try expect(",") }
                if isAt("]") { break }
                elements.append(try expression())
            }
            try expect("]")
            return .list(elements)
        case .symbol("{"):
            return try map()
        default:
            throw problem("an expression is missing before \(described(token))")
        }
    }

    private mutating func map() throws -> TemplateExpression {
        try expect("{")
        var pairs: [(key: TemplateExpression, value: TemplateExpression)] = []
        while !isAt("}") {
            if !pairs.isEmpty { try expect(",") }
            if isAt("}") { break }
            let key = try expression()
            try expect(":")
            pairs.append((key, try expression()))
        }
        try expect("}")
        return .map(pairs)
    }

    /// Members, subscripts and calls behind an expression.
    private mutating func postfix(_ base: TemplateExpression) throws -> TemplateExpression {
        var operations: [TemplateExpression.Postfix] = []
        while let operation = try memberSubscriptOrCall() { operations.append(operation) }
        return joined(base, operations)
    }

    private func joined(
        _ base: TemplateExpression, _ operations: [TemplateExpression.Postfix]
    ) -> TemplateExpression {
        if operations.isEmpty { return base }
        if case .postfix(let inner, let before) = base { return .postfix(inner, before + operations) }
        return .postfix(base, operations)
    }

    private mutating func memberSubscriptOrCall() throws -> TemplateExpression.Postfix? {
        let line = line
        if skip(".") {
            switch token.kind {
            case .name(let name):
                advance()
                return .init(kind: .member(name), line: line)
            case .integer(let index):
                advance()
                return .init(kind: .subscripted(.integer(index)), line: line)
            default:
                throw problem("a name is missing behind the dot")
            }
        }
        if skip("[") { return .init(kind: try subscripted(), line: line) }
        if isAt("(") { return .init(kind: .call(try arguments()), line: line) }
        return nil
    }

    private mutating func subscripted() throws -> TemplateExpression.Postfix.Kind {
        let start = isAt(":") ? nil : try expression()
        guard skip(":") else {
            guard let start else { throw problem("a subscript is empty") }
            guard !isAt(",") else { throw unsupported("subscripts with several parts are not supported") }
            try expect("]")
            return .subscripted(start)
        }
        func isPart(_ parser: TemplateParser) -> Bool { !parser.isAt(":") && !parser.isAt("]") }
        let end = isPart(self) ? try expression() : nil
        let step = skip(":") && isPart(self) ? try expression() : nil
        try expect("]")
        return .slice(start, end, step)
    }

    /// The arguments of a call, parentheses included.
    mutating func arguments() throws -> TemplateExpression.Arguments {
        var arguments = TemplateExpression.Arguments()
        let start = line
        try expect("(")
        var isFirst = true
        while !isAt(")") {
            if !isFirst {
                try expect(",")
                if isAt(")") { break }
            }
            isFirst = false
            if skip("*") {
                guard arguments.list == nil, arguments.map == nil else { throw problem("“*” stands twice") }
                arguments.list = try expression()
            } else if skip("**") {
                guard arguments.map == nil else { throw problem("“**” stands twice") }
                arguments.map = try expression()
            } else if case .name(let name) = token.kind,
                tokens[min(position + 1, tokens.count - 1)].kind == .symbol("=")
            {
                guard arguments.map == nil else { throw problem("a named argument follows “**”", line: start) }
                advance()
                advance()
                arguments.named.append((name, try expression()))
            } else {
                guard arguments.named.isEmpty, arguments.list == nil, arguments.map == nil else {
                    throw problem("an argument without a name follows one that has one", line: start)
                }
                arguments.positional.append(try expression())
            }
        }
        try expect(")")
        return arguments
    }

    private mutating func filtersAndTests(_ base: TemplateExpression) throws -> TemplateExpression {
        var operations: [TemplateExpression.Postfix] = []
        while true {
            let line = line
            if isAt("|") {
                operations += try filters(startsInline: false)
            } else if skip(word: "is") {
                operations.append(.init(kind: try test(), line: line))
            } else if isAt("(") {
                operations.append(.init(kind: .call(try arguments()), line: line))
            } else {
                return joined(base, operations)
            }
        }
    }

    /// `|name(…)|name`; the first without its bar where it starts inline.
    mutating func filters(startsInline: Bool) throws -> [TemplateExpression.Postfix] {
        var filters: [TemplateExpression.Postfix] = []
        var isInline = startsInline
        while isInline || skip("|") {
            isInline = false
            let line = line
            let name = try dottedName()
            let arguments = isAt("(") ? try arguments() : TemplateExpression.Arguments()
            filters.append(.init(kind: .filter(name, arguments), line: line))
        }
        return filters
    }

    private mutating func dottedName() throws -> String {
        var name = try expectName()
        while skip(".") { name += "." + (try expectName()) }
        return name
    }

    private mutating func test() throws -> TemplateExpression.Postfix.Kind {
        let isNegated = skip(word: "not")
        let name = try dottedName()
        var arguments = TemplateExpression.Arguments()
        if isAt("(") {
            arguments = try self.arguments()
        } else if startsTestArgument {
            guard !isAt(word: "is") else { throw problem("tests cannot be chained with “is”") }
            try enter()
            defer { depth -= 1 }
            arguments.positional = [try postfix(try primary())]
        }
        return .test(name, arguments, isNegated: isNegated)
    }

    private var startsTestArgument: Bool {
        switch token.kind {
        case .name(let name): !["else", "or", "and"].contains(name)
        case .string, .integer, .number, .symbol("["), .symbol("{"): true
        default: false
        }
    }
}
