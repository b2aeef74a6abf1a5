import HoneFormats

/// The functions that every chat template has.
enum TemplateFunctions {
    static let names: Set<String> = ["range", "namespace", "dict", "raise_exception", "strftime_now"]

    static func call(
        _ name: String, _ arguments: TemplateArguments, _ evaluator: TemplateEvaluator
    ) throws -> TemplateValue {
        try evaluator.meter.step()
        switch name {
        case "range": return try range(arguments, evaluator)
        case "namespace":
            let namespace = TemplateNamespace()
            evaluator.namespaces.append(namespace)
            let entries = try entries(arguments, evaluator)
            for (key, value) in zip(entries.keys, entries.values) { try evaluator.set(namespace, key, value) }
            return .namespace(namespace)
        case "dict": return .map(try entries(arguments, evaluator))
        case "raise_exception":
            let message = try arguments.positional.first?.text(evaluator.meter) ?? MarkedText()
            throw TemplateProblem("the chat template refuses the conversation: \(message.publicString)", code: .badData)
        case "strftime_now":
            guard case .text(let format)? = arguments.positional.first else {
                throw TemplateProblem("strftime_now() needs a format")
            }
            try evaluator.meter.work(format.count * 16)
            let text = try evaluator.clock.text(format.string)
            // A format made of data gives data.
            let origin = format.units.contains { $0 >> MarkedText.originShift != 0 } ? TextOrigin.data : .template
            return .text(MarkedText(text, origin: origin))
        default:
            throw TemplateProblem.unsupported("the function “\(name)” is not supported")
        }
    }

    private static func range(_ arguments: TemplateArguments, _ evaluator: TemplateEvaluator) throws -> TemplateValue {
        let numbers = try arguments.positional.map { value in
            guard let number = value.asInteger else { throw TemplateProblem("range() needs whole numbers") }
            return number
        }
        guard (1...3).contains(numbers.count) else { throw TemplateProblem("range() takes one to three numbers") }
        let start = numbers.count == 1 ? 0 : numbers[0]
        let end = numbers.count == 1 ? numbers[0] : numbers[1]
        let step = numbers.count == 3 ? numbers[2] : 1
        guard step != 0 else { throw TemplateProblem("the step of range() cannot be 0") }
        var elements: [TemplateValue] = []
        for number in stride(from: start, to: end, by: step) {
            // The limit of transformers' sandbox.
            guard elements.count < 100_000 else { throw TemplateProblem("range() has more than 100000 numbers") }
            if elements.count % 64 == 0 { try evaluator.meter.take(64 * 8) }
            elements.append(.integer(number))
        }
        return .list(elements)
    }

    private static func entries(_ arguments: TemplateArguments, _ evaluator: TemplateEvaluator) throws -> TemplateMap {
        var map = TemplateMap()
        if let first = arguments.positional.first {
            if case .map(let given) = first {
                map = given
            } else {
                for pair in try first.elements(evaluator.meter) {
                    let parts = try pair.elements(evaluator.meter)
                    guard parts.count == 2 else { throw TemplateProblem("a map is made of pairs") }
                    try map.set(parts[0], parts[1])
                }
            }
        }
        try evaluator.meter.take((map.count + arguments.named.count) * 16)
        for (name, value) in arguments.named { try map.set(.text(name), value) }
        return map
    }
}
