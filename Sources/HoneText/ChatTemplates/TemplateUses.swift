/// Which of the special names of macros a macro's body uses: it takes further arguments only if it does.
struct TemplateUses {
    private(set) var caller = false
    private(set) var named = false
    private(set) var positional = false

    /// Looks through a macro.
    init(_ macro: TemplateStatement.Macro) { visit(macro.body) }

    private mutating func visit(_ body: [TemplateStatement]) {
        for statement in body { visit(statement) }
    }

    private mutating func visit(_ statement: TemplateStatement) {
        switch statement {
        case .text, .breakLoop, .continueLoop: break
        case .output(let value, _), .set(_, let value, _): visit(value)
        case .setBlock(_, let filters, let body, _), .filter(let filters, let body, _):
            visit(filters)
            visit(body)
        case .choice(let branches, let otherwise):
            for branch in branches {
                visit(branch.test)
                visit(branch.body)
            }
            visit(otherwise)
        case .loop(let loop):
            visit(loop.elements)
            visit(loop.condition)
            visit(loop.body)
            visit(loop.otherwise)
        // A macro inside has arguments of its own.
        case .macro: break
        case .call(let inner, let callee, let arguments, _):
            visit(callee)
            visit(arguments)
            visit(inner.body)
        case .with(let values, let body, _):
            for pair in values { visit(pair.value) }
            visit(body)
        case .generation(let body): visit(body)
        }
    }

    private mutating func visit(_ operations: [TemplateExpression.Postfix]) {
        for operation in operations {
            switch operation.kind {
            case .member: break
            case .subscripted(let index): visit(index)
            case .slice(let start, let end, let step):
                visit(start)
                visit(end)
                visit(step)
            case .call(let arguments), .filter(_, let arguments), .test(_, let arguments, _): visit(arguments)
            }
        }
    }

    private mutating func visit(_ arguments: TemplateExpression.Arguments) {
        for value in arguments.positional { visit(value) }
        for pair in arguments.named { visit(pair.value) }
        visit(arguments.list)
        visit(arguments.map)
    }

    private mutating func visit(_ expression: TemplateExpression?) {
        switch expression {
        case nil, .some(.none), .bool, .integer, .number, .text: break
        case .name(let name):
            caller = caller || name == "caller"
            named = named || name == "kwargs"
            positional = positional || name == "varargs"
        case .list(let elements), .tuple(let elements), .concatenation(let elements), .and(let elements),
            .or(let elements):
            for element in elements { visit(element) }
        case .map(let pairs):
            for pair in pairs {
                visit(pair.key)
                visit(pair.value)
            }
        case .postfix(let base, let operations):
            visit(base)
            visit(operations)
        case .chain(let first, let rest):
            visit(first)
            for pair in rest { visit(pair.operand) }
        case .comparison(let first, let rest):
            visit(first)
            for pair in rest { visit(pair.operand) }
        case .not(let value), .negative(let value), .positive(let value): visit(value)
        case .choice(let test, let then, let otherwise):
            visit(test)
            visit(then)
            visit(otherwise)
        }
    }
}
