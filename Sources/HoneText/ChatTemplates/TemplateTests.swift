import HoneFormats

/// The tests that follow `is`.
enum TemplateTests {
    typealias Test = @Sendable (TemplateCall) throws -> Bool

    static let all: [String: Test] = [
        "defined": { !$0.value.isUndefined },
        "undefined": { $0.value.isUndefined },
        "none": { $0.value.kind == "NoneType" },
        "boolean": { $0.value.kind == "bool" },
        "true": { if case .bool(true) = $0.value { true } else { false } },
        "false": { if case .bool(false) = $0.value { true } else { false } },
        "integer": { $0.value.kind == "int" },
        "float": { $0.value.kind == "float" },
        "number": { $0.value.asNumber != nil },
        "string": { $0.value.kind == "str" },
        "mapping": { $0.value.kind == "dict" },
        "sequence": { call in
            switch call.value {
            case .undefined, .text, .list, .tuple, .map: true
            default: false
            }
        },
        "iterable": { call in
            switch call.value {
            case .undefined, .text, .list, .tuple, .map, .view, .iterator, .loop: true
            default: false
            }
        },
        "callable": { call in
            switch call.value {
            // Python's undefined values have a method for calls too.
            case .undefined, .macro, .function, .method, .loop: true
            default: false
            }
        },
        "odd": { try remainder($0, 2) == 1 },
        "even": { try remainder($0, 2) == 0 },
        "divisibleby": { call in
            guard let divisor = try call.required(0, "num").asInteger, divisor != 0 else {
                throw TemplateProblem("\(call.name) needs a whole number that is not 0")
            }
            return try remainder(call, divisor) == 0
        },
        "lower": { TextCase.holds("islower", try $0.subject()) },
        "upper": { TextCase.holds("isupper", try $0.subject()) },
        "in": { try $0.required(0, "seq").contains($0.value, $0.meter) },
        "sameas": { call in
            let other = try call.required(0, "other")
            switch call.value {
            case .none, .bool, .namespace, .loop, .macro:
                return try call.value.kind == other.kind && call.value.equals(other, call.meter)
            default:
                guard other.kind == call.value.kind else { return false }
                throw TemplateProblem.unsupported("\(call.name) is supported for true, false and none only")
            }
        },
        "filter": { TemplateFilters.all[try $0.subject().string] != nil },
        "test": { TemplateTests.all[try $0.subject().string] != nil },
        "==": equal, "eq": equal, "equalto": equal,
        "!=": { !(try equal($0)) }, "ne": { !(try equal($0)) },
        "<": less, "lt": less, "lessthan": less,
        ">": greater, "gt": greater, "greaterthan": greater,
        "<=": { try compare($0, .lessOrEqual) }, "le": { try compare($0, .lessOrEqual) },
        ">=": { try compare($0, .greaterOrEqual) }, "ge": { try compare($0, .greaterOrEqual) },
    ]

    private static let equal: Test = { try compare($0, .equal) }
    private static let less: Test = { try compare($0, .less) }
    private static let greater: Test = { try compare($0, .greater) }

    private static func compare(_ call: TemplateCall, _ operation: TemplateExpression.Comparison) throws -> Bool {
        try call.evaluator.compare(operation, call.value, try call.required(0, "other"))
    }

    private static func remainder(_ call: TemplateCall, _ divisor: Int) throws -> Int? {
        try call.evaluator.calculate(.remainder, call.value, .integer(divisor)).asInteger
    }
}
