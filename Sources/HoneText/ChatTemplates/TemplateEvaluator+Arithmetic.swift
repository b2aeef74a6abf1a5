import Foundation
import HoneFormats

extension TemplateEvaluator {
    /// Whether a comparison holds.
    func compare(
        _ operation: TemplateExpression.Comparison, _ left: TemplateValue, _ right: TemplateValue
    ) throws -> Bool {
        try meter.step()
        switch operation {
        case .equal: return try left.equals(right, meter)
        case .notEqual: return !(try left.equals(right, meter))
        case .isIn: return try right.contains(left, meter)
        case .isNotIn: return !(try right.contains(left, meter))
        case .less: return try left.precedes(right, meter)
        case .greater: return try right.precedes(left, meter)
        case .lessOrEqual, .greaterOrEqual:
            // Numbers that are not numbers come neither before nor after.
            if let first = left.asNumber, let second = right.asNumber, first.isNaN || second.isNaN { return false }
            return operation == .lessOrEqual
                ? !(try right.precedes(left, meter)) : !(try left.precedes(right, meter))
        }
    }

    /// `-value`
    func negated(_ value: TemplateValue) throws -> TemplateValue {
        if let number = value.asInteger { return .integer(try checked(number.multipliedReportingOverflow(by: -1))) }
        guard case .number(let number) = value else {
            try value.requireDefined()
            throw TemplateProblem("“-” needs a number, this is \(value.kind)")
        }
        return .number(-number)
    }

    /// Python's arithmetic on numbers, texts and lists.
    func calculate(
        _ operation: TemplateExpression.Arithmetic, _ left: TemplateValue, _ right: TemplateValue
    ) throws -> TemplateValue {
        try left.requireDefined()
        try right.requireDefined()
        switch (operation, left, right) {
        case (.add, .text(let first), .text(let second)):
            try meter.take(first.count + second.count)
            return .text(MarkedText(units: first.units + second.units))
        case (.add, .list(let first), .list(let second)):
            try meter.take((first.count + second.count) * 8)
            return .list(first + second)
        case (.add, .tuple(let first), .tuple(let second)):
            try meter.take((first.count + second.count) * 8)
            return .tuple(first + second)
        case (.multiply, .text(let text), _) where right.asInteger != nil:
            return .text(MarkedText(units: try repeated(text.units, right.asInteger ?? 0, cost: 1)))
        case (.multiply, _, .text(let text)) where left.asInteger != nil:
            return .text(MarkedText(units: try repeated(text.units, left.asInteger ?? 0, cost: 1)))
        case (.multiply, .list(let elements), _) where right.asInteger != nil:
            return .list(try repeated(elements, right.asInteger ?? 0, cost: 8))
        case (.multiply, _, .list(let elements)) where left.asInteger != nil:
            return .list(try repeated(elements, left.asInteger ?? 0, cost: 8))
        case (.remainder, .text(let format), _):
            return .text(try TemplateFormat.percent(format, right, self))
        default: break
        }
        if let first = left.asInteger, let second = right.asInteger { return try whole(operation, first, second) }
        if let first = left.asNumber, let second = right.asNumber { return try fraction(operation, first, second) }
        throw TemplateProblem("“\(operation.rawValue)” cannot join \(left.kind) and \(right.kind)")
    }

    private func repeated<Element>(_ elements: [Element], _ count: Int, cost: Int) throws -> [Element] {
        guard count > 0, !elements.isEmpty else { return [] }
        let (size, overflows) = elements.count.multipliedReportingOverflow(by: count)
        guard !overflows, size <= meter.limits.items / cost else {
            throw TemplateProblem.unsupported("a text or list would be repeated too often")
        }
        try meter.take(size * cost)
        var result: [Element] = []
        result.reserveCapacity(size)
        for _ in 0..<count { result += elements }
        return result
    }

    private func checked(_ result: (partialValue: Int, overflow: Bool)) throws -> Int {
        guard !result.overflow else { throw TemplateProblem.unsupported("a whole number does not fit 64 bits") }
        return result.partialValue
    }

    private func whole(
        _ operation: TemplateExpression.Arithmetic, _ left: Int, _ right: Int
    ) throws -> TemplateValue {
        switch operation {
        case .add: return .integer(try checked(left.addingReportingOverflow(right)))
        case .subtract: return .integer(try checked(left.subtractingReportingOverflow(right)))
        case .multiply: return .integer(try checked(left.multipliedReportingOverflow(by: right)))
        case .divide, .floorDivide, .remainder:
            guard right != 0 else { throw TemplateProblem("a number is divided by 0") }
            if operation == .divide { return .number(Double(left) / Double(right)) }
            // Python rounds down, and a remainder has the sign of the divisor.
            if operation == .remainder {
                if right == -1 { return .integer(0) }
                let rest = left % right
                return .integer(rest != 0 && (rest < 0) != (right < 0) ? rest + right : rest)
            }
            let quotient = try checked(left.dividedReportingOverflow(by: right))
            let isRoundedUp = left % (right == -1 ? 1 : right) != 0 && (left < 0) != (right < 0)
            return .integer(isRoundedUp ? quotient - 1 : quotient)
        case .power:
            guard right >= 0 else { return try fraction(.power, Double(left), Double(right)) }
            var result = 1
            if left == 0 || left == 1 || left == -1 {
                return .integer(right == 0 ? 1 : left == -1 ? (right % 2 == 0 ? 1 : -1) : left)
            }
            for _ in 0..<min(right, 64) { result = try checked(result.multipliedReportingOverflow(by: left)) }
            return .integer(result)
        }
    }

    private func fraction(
        _ operation: TemplateExpression.Arithmetic, _ left: Double, _ right: Double
    ) throws -> TemplateValue {
        switch operation {
        case .add: return .number(left + right)
        case .subtract: return .number(left - right)
        case .multiply: return .number(left * right)
        case .power:
            let result = Foundation.pow(left, right)
            guard result.isFinite || !left.isFinite || !right.isFinite else {
                throw TemplateProblem("a power is too large, or 0 is divided by")
            }
            return .number(result)
        case .divide, .floorDivide, .remainder:
            guard right != 0 else { throw TemplateProblem("a number is divided by 0") }
            if operation == .divide { return .number(left / right) }
            var rest = left.truncatingRemainder(dividingBy: right)
            if rest != 0, (rest < 0) != (right < 0) { rest += right }
            return .number(operation == .remainder ? rest : ((left - rest) / right).rounded())
        }
    }
}
