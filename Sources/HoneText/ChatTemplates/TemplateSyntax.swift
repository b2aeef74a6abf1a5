/// An expression of a template. Chains are flat, so that only real nesting makes the tree deep.
indirect enum TemplateExpression: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(MarkedText)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case map([(key: TemplateExpression, value: TemplateExpression)])
    /// Members, subscripts, calls, filters and tests, from left to right.
    case postfix(TemplateExpression, [Postfix])
    /// Arithmetic of one precedence, from left to right.
    case chain(TemplateExpression, [(operation: Arithmetic, operand: TemplateExpression)])
    /// `~`
    case concatenation([TemplateExpression])
    case comparison(TemplateExpression, [(operation: Comparison, operand: TemplateExpression)])
    case and([TemplateExpression])
    case or([TemplateExpression])
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case positive(TemplateExpression)
    /// `then if test else otherwise`
    case choice(test: TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)

    enum Arithmetic: String, Sendable {
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case floorDivide = "//"
        case remainder = "%"
        case power = "**"
    }

    enum Comparison: String, Sendable {
        case equal = "=="
        case notEqual = "!="
        case less = "<"
        case lessOrEqual = "<="
        case greater = ">"
        case greaterOrEqual = ">="
        case isIn = "in"
        case isNotIn = "not in"
    }

    /// What follows an expression.
    struct Postfix: Sendable {
        enum Kind: Sendable {
            /// `.name`
            case member(String)
            /// `[expression]`
            case subscripted(TemplateExpression)
            /// `[start:end:step]`
            case slice(TemplateExpression?, TemplateExpression?, TemplateExpression?)
            /// `(…)`
            case call(Arguments)
            /// `|name(…)`
            case filter(String, Arguments)
            /// `is name(…)`
            case test(String, Arguments, isNegated: Bool)
        }
        var kind: Kind
        var line: Int
    }

    /// The arguments of a call.
    struct Arguments: Sendable {
        var positional: [TemplateExpression] = []
        var named: [(name: String, value: TemplateExpression)] = []
        /// `*list`
        var list: TemplateExpression?
        /// `**map`
        var map: TemplateExpression?
    }
}

/// A statement of a template.
indirect enum TemplateStatement: Sendable {
    /// Text that stands in the template.
    case text(MarkedText)
    /// `{{ expression }}`
    case output(TemplateExpression, line: Int)
    case set(Target, TemplateExpression, line: Int)
    /// `{% set name %}…{% endset %}`, through filters where there are some.
    case setBlock(Target, filters: [TemplateExpression.Postfix], body: [TemplateStatement], line: Int)
    case choice([(test: TemplateExpression, line: Int, body: [TemplateStatement])], otherwise: [TemplateStatement])
    case loop(Loop)
    case macro(Macro)
    /// `{% call(…) macro(…) %}…{% endcall %}`
    case call(body: Macro, TemplateExpression, TemplateExpression.Arguments, line: Int)
    case filter([TemplateExpression.Postfix], body: [TemplateStatement], line: Int)
    case with([(target: Target, value: TemplateExpression)], body: [TemplateStatement], line: Int)
    /// `{% generation %}…{% endgeneration %}`: what the assistant says.
    case generation(body: [TemplateStatement])
    case breakLoop
    case continueLoop

    /// What is assigned to.
    indirect enum Target: Sendable {
        case name(String)
        case member(namespace: String, name: String)
        case tuple([Target])
    }

    /// `{% for … %}`
    final class Loop: Sendable {
        let target: Target
        let elements: TemplateExpression
        let condition: TemplateExpression?
        let isRecursive: Bool
        let body: [TemplateStatement]
        let otherwise: [TemplateStatement]
        let line: Int

        init(
            target: Target, elements: TemplateExpression, condition: TemplateExpression?, isRecursive: Bool,
            body: [TemplateStatement], otherwise: [TemplateStatement], line: Int
        ) {
            self.target = target
            self.elements = elements
            self.condition = condition
            self.isRecursive = isRecursive
            self.body = body
            self.otherwise = otherwise
            self.line = line
        }
    }

    /// `{% macro name(…) %}`
    final class Macro: Sendable {
        let name: String
        let parameters: [(name: String, value: TemplateExpression?)]
        let body: [TemplateStatement]
        let line: Int

        init(
            name: String, parameters: [(name: String, value: TemplateExpression?)], body: [TemplateStatement], line: Int
        ) {
            self.name = name
            self.parameters = parameters
            self.body = body
            self.line = line
        }
    }
}
