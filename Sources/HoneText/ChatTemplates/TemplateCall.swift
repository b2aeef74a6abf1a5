import HoneFormats

/// The call of a filter or test: its subject and the arguments, taken by place or by name.
struct TemplateCall {
    /// What is called, for messages.
    let name: String
    let value: TemplateValue
    let arguments: TemplateArguments
    let evaluator: TemplateEvaluator

    var meter: TemplateMeter { evaluator.meter }

    /// The argument at a place or under a name.
    func argument(_ index: Int, _ name: String) -> TemplateValue? {
        if index < arguments.positional.count { return arguments.positional[index] }
        return arguments.named.first { $0.name == name }?.value
    }

    /// An argument that has to be there.
    func required(_ index: Int, _ name: String) throws -> TemplateValue {
        guard let value = argument(index, name) else { throw TemplateProblem("\(self.name) needs “\(name)”") }
        return value
    }

    /// A whole number, or the fallback where the argument is not given.
    func integer(_ index: Int, _ name: String, default fallback: Int) throws -> Int {
        guard let value = argument(index, name) else { return fallback }
        guard let number = value.asInteger else {
            throw TemplateProblem("\(self.name) needs a whole number for “\(name)”, this is \(value.kind)")
        }
        return number
    }

    /// Whether an argument counts as true.
    func isTrue(_ index: Int, _ name: String, default fallback: Bool = false) -> Bool {
        argument(index, name)?.isTrue ?? fallback
    }

    /// A text, or the fallback where the argument is not given.
    func text(_ index: Int, _ name: String, default fallback: MarkedText) throws -> MarkedText {
        guard let value = argument(index, name) else { return fallback }
        return try value.text(meter)
    }

    /// Refuses what a call does not know, so that nothing is silently left out.
    func allow(_ names: [String]) throws {
        guard arguments.positional.count <= names.count else {
            throw TemplateProblem("\(name) takes \(names.count) arguments at most")
        }
        for (given, _) in arguments.named where !names.contains(given) {
            throw TemplateProblem("\(name) has no argument “\(given.prefix(40))”")
        }
    }

    /// The subject as text.
    func subject() throws -> MarkedText { try value.text(meter) }

    /// A list of new elements.
    func list(_ elements: [TemplateValue]) throws -> TemplateValue {
        try meter.take(elements.count * 8)
        return .list(elements)
    }
}
