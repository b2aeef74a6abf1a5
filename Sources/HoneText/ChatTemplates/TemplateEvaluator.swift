import Foundation
import HoneFormats

/// Carries out a template's statements; expressions are in `TemplateEvaluator+Expressions.swift`.
final class TemplateEvaluator {
    /// How a list of statements ended.
    enum Flow {
        case normal, broken, continued
    }

    let meter: TemplateMeter
    /// What `strftime_now` takes for now.
    let clock: ChatTemplateClock
    /// What is being written to: the output, or a captured block.
    var output = MarkedText()
    /// Bytes of UTF-8 in the output; captured blocks are not counted here but by the meter.
    private var outputBytes = 0
    private var captures = 0
    /// The line of the statement or operation under way.
    var line = 1
    /// Scopes and namespaces that something may refer back to; emptied at the end.
    private var circles: [TemplateScope] = []
    var namespaces: [TemplateNamespace] = []

    init(meter: TemplateMeter, clock: ChatTemplateClock) {
        self.meter = meter
        self.clock = clock
    }

    /// The output of a template with variables.
    ///
    /// - Throws: `HoneError` with the line.
    func render(_ body: [TemplateStatement], variables: [(String, TemplateValue)]) throws -> MarkedText {
        let root = TemplateScope(parent: nil)
        for (name, value) in variables { root.set(name, value) }
        defer {
            root.clear()
            for scope in circles { scope.clear() }
            for namespace in namespaces { namespace.members = TemplateMap() }
        }
        do {
            _ = try execute(body, TemplateScope(parent: root))
        } catch let problem as TemplateProblem {
            throw HoneError(problem.code, problem.message, line: line)
        }
        return output
    }

    // MARK: Output

    private func write(_ text: MarkedText) throws {
        if captures == 0 {
            for unit in text.units {
                let value = unit & MarkedText.scalarMask
                outputBytes += value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4
            }
            guard outputBytes <= meter.limits.outputBytes else {
                throw TemplateProblem.unsupported("the output is longer than \(meter.limits.outputBytes) bytes")
            }
        }
        try meter.take(text.count)
        output.units += text.units
    }

    /// What statements write, instead of writing it.
    func capture(_ body: [TemplateStatement], _ scope: TemplateScope) throws -> MarkedText {
        try capture { _ = try execute(body, scope) }
    }

    /// What is written meanwhile, instead of writing it.
    private func capture(_ writing: () throws -> Void) throws -> MarkedText {
        let saved = output
        output = MarkedText()
        captures += 1
        defer {
            output = saved
            captures -= 1
        }
        try writing()
        return output
    }

    // MARK: Statements

    /// Carries out statements one after the other.
    func execute(_ body: [TemplateStatement], _ scope: TemplateScope) throws -> Flow {
        try meter.enter()
        defer { meter.leave() }
        for statement in body {
            try meter.step()
            let flow = try execute(statement, scope)
            if flow != .normal { return flow }
        }
        return .normal
    }

    private func execute(_ statement: TemplateStatement, _ scope: TemplateScope) throws -> Flow {
        switch statement {
        case .text(let text):
            try write(text)
        case .output(let expression, let line):
            self.line = line
            try write(try evaluate(expression, scope).text(meter))
        case .set(let target, let expression, let line):
            self.line = line
            try assign(target, try evaluate(expression, scope), scope)
        case .setBlock(let target, let filters, let body, let line):
            let text = try capture(body, TemplateScope(parent: scope))
            self.line = line
            try assign(target, try apply(filters, to: .text(text), scope), scope)
        case .choice(let branches, let otherwise):
            for branch in branches {
                line = branch.line
                if try evaluate(branch.test, scope).isTrue { return try execute(branch.body, scope) }
            }
            return try execute(otherwise, scope)
        case .loop(let loop):
            line = loop.line
            try execute(loop, try evaluate(loop.elements, scope), scope, depth: 0)
        case .macro(let node):
            scope.set(node.name, .macro(macro(node, scope)))
        case .call(let node, let callee, let arguments, let line):
            self.line = line
            let function = try evaluate(callee, scope)
            var given = try evaluate(arguments, scope)
            given.named.append(("caller", .macro(macro(node, scope))))
            let value = try call(function, given)
            try write(try value.text(meter))
        case .filter(let filters, let body, let line):
            let text = try capture(body, TemplateScope(parent: scope))
            self.line = line
            try write(try apply(filters, to: .text(text), scope).text(meter))
        case .with(let values, let body, let line):
            self.line = line
            let inner = TemplateScope(parent: scope)
            for (target, expression) in values { try assign(target, try evaluate(expression, scope), inner) }
            return try execute(body, inner)
        case .generation(let body):
            var text = try capture(body, TemplateScope(parent: scope))
            for index in text.units.indices { text.units[index] |= MarkedText.generationBit }
            try write(text)
        case .breakLoop:
            return .broken
        case .continueLoop:
            return .continued
        }
        return .normal
    }

    private func macro(_ node: TemplateStatement.Macro, _ scope: TemplateScope) -> TemplateMacro {
        circles.append(scope)
        return TemplateMacro(node: node, scope: scope)
    }

    private func assign(_ target: TemplateStatement.Target, _ value: TemplateValue, _ scope: TemplateScope) throws {
        switch target {
        case .name(let name):
            scope.set(name, value)
        case .member(let namespaceName, let name):
            guard case .namespace(let namespace)? = scope.find(namespaceName) else {
                throw TemplateProblem("“\(namespaceName).\(name)” can be set only where it is a namespace")
            }
            try set(namespace, .text(name), value)
        case .tuple(let targets):
            let values = try value.elements(meter)
            guard values.count == targets.count else {
                throw TemplateProblem("\(values.count) values cannot be assigned to \(targets.count) names")
            }
            for (target, value) in zip(targets, values) { try assign(target, value, scope) }
        }
    }

    /// Sets a name of a namespace.
    func set(_ namespace: TemplateNamespace, _ name: TemplateValue, _ value: TemplateValue) throws {
        if case .text(let text) = name, text.units.first == 0x5F {
            throw TemplateProblem("names of a namespace cannot start with “_”")
        }
        try namespace.members.set(name, value)
    }

    // MARK: Loops

    private func execute(
        _ node: TemplateStatement.Loop, _ value: TemplateValue, _ scope: TemplateScope, depth: Int
    ) throws {
        var elements = try value.elements(meter)
        try meter.work(elements.count)
        if let condition = node.condition {
            elements = try elements.filter { element in
                try meter.step()
                let inner = TemplateScope(parent: scope)
                try assign(node.target, element, inner)
                return try evaluate(condition, inner).isTrue
            }
        }
        if elements.isEmpty {
            _ = try execute(node.otherwise, TemplateScope(parent: scope))
            return
        }
        let loop = TemplateLoop(elements, depth: depth, node: node, scope: scope)
        circles.append(scope)
        for (index, element) in elements.enumerated() {
            try meter.step()
            loop.index = index
            let inner = TemplateScope(parent: scope)
            inner.set("loop", .loop(loop))
            line = node.line
            try assign(node.target, element, inner)
            if try execute(node.body, inner) == .broken { break }
        }
    }

    /// The body of a recursive loop for other elements.
    func recurse(_ loop: TemplateLoop, _ value: TemplateValue) throws -> TemplateValue {
        guard loop.node.isRecursive else { throw TemplateProblem("the loop is not marked “recursive”") }
        try meter.enterCall()
        defer { meter.leaveCall() }
        return .text(try capture { try execute(loop.node, value, loop.scope, depth: loop.depth + 1) })
    }

    // MARK: Macros

    /// What a macro writes for its arguments.
    func call(_ macro: TemplateMacro, _ arguments: TemplateArguments) throws -> TemplateValue {
        try meter.enterCall()
        defer { meter.leaveCall() }
        let scope = TemplateScope(parent: macro.scope)
        var named = arguments.named
        let parameters = macro.node.parameters
        let own = Set(parameters.map(\.name))
        let uses = TemplateUses(macro.node)
        for (index, parameter) in parameters.enumerated() {
            if index < arguments.positional.count {
                scope.set(parameter.name, arguments.positional[index])
            } else if let position = named.firstIndex(where: { $0.name == parameter.name }) {
                scope.set(parameter.name, named.remove(at: position).value)
            } else if let value = parameter.value {
                scope.set(parameter.name, try evaluate(value, scope))
            } else {
                scope.set(parameter.name, .undefined("the parameter “\(parameter.name)” was not given"))
            }
        }
        if uses.caller, !own.contains("caller") {
            let position = named.firstIndex { $0.name == "caller" }
            scope.set("caller", position.map { named.remove(at: $0).value } ?? .undefined("no caller is defined"))
        }
        if uses.named {
            var map = TemplateMap()
            for (name, value) in named { try map.set(.text(name), value) }
            scope.set("kwargs", .map(map))
        } else if let extra = named.first {
            throw TemplateProblem("the macro “\(macro.node.name)” has no parameter “\(extra.name)”")
        }
        if uses.positional {
            scope.set("varargs", .tuple(Array(arguments.positional.dropFirst(parameters.count))))
        } else if arguments.positional.count > parameters.count {
            throw TemplateProblem("the macro “\(macro.node.name)” takes \(parameters.count) arguments at most")
        }
        let saved = line
        defer { line = saved }
        return .text(try capture(macro.node.body, scope))
    }
}

/// Values given to a call.
struct TemplateArguments {
    var positional: [TemplateValue] = []
    var named: [(name: String, value: TemplateValue)] = []
}
