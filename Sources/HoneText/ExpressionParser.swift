/// Why a regular expression cannot be used.
struct ExpressionProblem: Error {
    let message: String
}

/// Reads a regular expression in the notation of Oniguruma for Ruby, which the reference uses: without back references,
/// conditions, calls and scripts.
struct ExpressionParser {
    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var depth = 0
    private var foldsCase = false
    /// Whether `.` takes line breaks.
    private var dotTakesAll = false

    private static let depthLimit = 40
    private static let countLimit = 10_000

    static func parse(_ pattern: String) throws(ExpressionProblem) -> ExpressionNode {
        var parser = ExpressionParser(scalars: Array(pattern.unicodeScalars))
        let node = try parser.alternatives()
        if parser.position < parser.scalars.count {
            throw ExpressionProblem(message: "a bracket is not opened")
        }
        return node
    }

    private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

    private var next: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        position += 1
        return true
    }

    private mutating func take(text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard scalars[position...].starts(with: wanted) else { return false }
        position += wanted.count
        return true
    }

    private func problem(_ message: String) -> ExpressionProblem {
        ExpressionProblem(message: message)
    }

    private mutating func alternatives() throws(ExpressionProblem) -> ExpressionNode {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw problem("groups are nested deeper than \(Self.depthLimit)") }
        let before = (foldsCase, dotTakesAll)
        defer { (foldsCase, dotTakesAll) = before }
        var found = [try sequence()]
        while take("|") { found.append(try sequence()) }
        return found.count == 1 ? found[0] : .alternatives(found)
    }

    private mutating func sequence() throws(ExpressionProblem) -> ExpressionNode {
        var nodes: [ExpressionNode] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            guard let node = try atom() else { continue }
            nodes.append(try repetition(of: node))
        }
        return nodes.count == 1 ? nodes[0] : .sequence(nodes)
    }

    /// One element; `nil` for a mere change of options.
    private mutating func atom() throws(ExpressionProblem) -> ExpressionNode? {
        guard let scalar = next else { return nil }
        position += 1
        switch scalar {
        case "(": return try group()
        case "[": return .set(try bracketed())
        case ".":
            return .set(
                dotTakesAll ? ScalarSet([], negated: true) : ScalarSet([.range(0x0A, 0x0A)], negated: true))
        case "^": return .boundary(.lineStart)
        case "$": return .boundary(.lineEnd)
        case "\\": return try escape()
        case "*", "+", "?": throw problem("there is nothing before “\(scalar)” to repeat")
        default: return literal(scalar.value)
        }
    }

    private func literal(_ scalar: UInt32) -> ExpressionNode {
        .set(ScalarSet([.range(scalar, scalar)], foldsCase: foldsCase))
    }

    private mutating func group() throws(ExpressionProblem) -> ExpressionNode? {
        guard take("?") else { return try closed(try alternatives()) }
        if take(":") { return try closed(try alternatives()) }
        if take("=") { return try closed(.look(try alternatives(), isAhead: true, isNegative: false)) }
        if take("!") { return try closed(.look(try alternatives(), isAhead: true, isNegative: true)) }
        if take(">") { return try closed(.atomic(try alternatives())) }
        if take(text: "<=") {
            return try closed(.look(try alternatives(), isAhead: false, isNegative: false))
        }
        if take(text: "<!") {
            return try closed(.look(try alternatives(), isAhead: false, isNegative: true))
        }
        if take("<") {
            while let scalar = next, scalar != ">", scalar != ")" { position += 1 }
            guard take(">") else { throw problem("the name of a group does not end") }
            return try closed(try alternatives())
        }
        if take("#") {
            while next != nil, next != ")" { position += 1 }
            return try closed(nil)
        }
        return try options()
    }

    private mutating func options() throws(ExpressionProblem) -> ExpressionNode? {
        let before = (foldsCase, dotTakesAll)
        var isOn = true
        while let scalar = next {
            position += 1
            switch scalar {
            case "-": isOn = false
            case "i": foldsCase = isOn
            case "m": dotTakesAll = isOn
            case ":":
                let node = try closed(try alternatives())
                (foldsCase, dotTakesAll) = before
                return node
            // Until the end of the group around it.
            case ")": return nil
            default: throw problem("the option “\(scalar)” is not supported")
            }
        }
        throw problem("a group does not end")
    }

    private mutating func closed(_ node: ExpressionNode?) throws(ExpressionProblem) -> ExpressionNode? {
        guard take(")") else { throw problem("a group does not end") }
        return node
    }

    private mutating func repetition(of node: ExpressionNode) throws(ExpressionProblem)
        -> ExpressionNode
    {
        var node = node
        var count = 0
        while let (least, most, isInterval) = try bounds() {
            count += 1
            if count > 4 { throw problem("a repetition is repeated too often") }
            var kind = ExpressionNode.Repetition.greedy
            if take("?") { kind = .lazy } else if !isInterval, take("+") { kind = .possessive }
            node = .repeated(node, least: least, most: most, kind)
        }
        return node
    }

    private mutating func bounds() throws(ExpressionProblem) -> (
        least: Int, most: Int, isInterval: Bool
    )? {
        if take("*") { return (0, .max, false) }
        if take("+") { return (1, .max, false) }
        if take("?") { return (0, 1, false) }
        let start = position
        guard take("{") else { return nil }
        let least = try number()
        let hasComma = take(",")
        let most = hasComma ? try number() : least
        guard take("}"), least != nil || most != nil else {
            // Not an interval, so it stands for itself.
            position = start
            return nil
        }
        let bounds = (least ?? 0, most ?? .max)
        if bounds.0 > bounds.1 { throw problem("an interval ends before it starts") }
        return (bounds.0, bounds.1, true)
    }

    private mutating func number() throws(ExpressionProblem) -> Int? {
        var value: Int?
        while let digit = next, ("0"..."9").contains(digit) {
            let sum = (value ?? 0) * 10 + Int(digit.value - 0x30)
            if sum > Self.countLimit { throw problem("a count is above \(Self.countLimit)") }
            value = sum
            position += 1
        }
        return value
    }

    private mutating func escape() throws(ExpressionProblem) -> ExpressionNode {
        guard let scalar = next else { throw problem("it ends in a backslash") }
        switch scalar {
        case "A", "z", "Z", "b", "B":
            position += 1
            let boundaries: [Unicode.Scalar: ExpressionBoundary] = [
                "A": .textStart, "z": .textEnd, "Z": .lastLineEnd, "b": .word, "B": .noWord,
            ]
            return .boundary(boundaries[scalar] ?? .word)
        case "1"..."9", "k", "g", "G", "K", "R", "X":
            throw problem("“\\\(scalar)” is not supported")
        default: break
        }
        if let item = try classEscape() { return .set(ScalarSet([item], foldsCase: false)) }
        return literal(try characterEscape())
    }

    /// `\s`, `\p{L}` and the like, behind the backslash.
    private mutating func classEscape() throws(ExpressionProblem) -> ScalarSet.Item? {
        guard let scalar = next else { return nil }
        position += 1
        switch scalar {
        case "s": return .classes(ScalarClasses.whitespace, negated: false)
        case "S": return .classes(ScalarClasses.whitespace, negated: true)
        case "d", "D": return ScalarSet.property("nd", negated: scalar == "D")
        case "w", "W": return ScalarSet.property("word", negated: scalar == "W")
        case "h", "H":
            let digits = ScalarSet(
                [.range(0x30, 0x39), .range(0x41, 0x46), .range(0x61, 0x66)], negated: scalar == "H")
            return .set(digits)
        case "p", "P":
            guard take("{") else { throw problem("a property needs braces") }
            var isNegated = scalar == "P"
            if take("^") { isNegated.toggle() }
            var name = ""
            while let letter = next, letter != "}" {
                if !"_- ".unicodeScalars.contains(letter) { name.unicodeScalars.append(letter) }
                position += 1
            }
            guard take("}") else { throw problem("a property does not end") }
            guard let item = ScalarSet.property(name.lowercased(), negated: isNegated) else {
                throw problem("the property “\(name.prefix(40))” is not supported")
            }
            return item
        default:
            position -= 1
            return nil
        }
    }

    /// A single character, behind the backslash.
    private mutating func characterEscape() throws(ExpressionProblem) -> UInt32 {
        guard let scalar = next else { throw problem("it ends in a backslash") }
        position += 1
        switch scalar {
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "f": return 0x0C
        case "v": return 0x0B
        case "a": return 0x07
        case "e": return 0x1B
        case "0": return 0
        case "x":
            return take("{") ? try hexadecimal(8, closing: true) : try hexadecimal(2, closing: false)
        case "u": return try hexadecimal(4, closing: false)
        case "A"..."Z", "a"..."z": throw problem("“\\\(scalar)” is not supported")
        default: return scalar.value
        }
    }

    private mutating func hexadecimal(_ most: Int, closing: Bool) throws(ExpressionProblem) -> UInt32 {
        var value: UInt32 = 0
        var count = 0
        while count < most, let digit = next, let number = Character(digit).hexDigitValue, digit.isASCII {
            value = value << 4 | UInt32(number)
            count += 1
            position += 1
        }
        if closing, !take("}") { throw problem("a character's number does not end") }
        guard count > 0, Unicode.Scalar(value) != nil else { throw problem("a number is no character") }
        return value
    }

    /// What stands in square brackets, behind the first of them.
    private mutating func bracketed() throws(ExpressionProblem) -> ScalarSet {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.depthLimit { throw problem("sets are nested deeper than \(Self.depthLimit)") }
        let isNegated = take("^")
        var items: [ScalarSet.Item] = []
        var others: [ScalarSet] = []
        var isFirst = true
        while let scalar = next {
            if scalar == "]", !isFirst {
                position += 1
                guard let last = others.popLast() else {
                    return ScalarSet(items, negated: isNegated, foldsCase: foldsCase)
                }
                let sets = others + [ScalarSet(items, foldsCase: foldsCase)]
                return ScalarSet([.set(last)], negated: isNegated, and: sets)
            }
            isFirst = false
            if take(text: "&&") {
                others.append(ScalarSet(items, foldsCase: foldsCase))
                items = []
            } else if take(text: "[:") {
                items.append(try posixClass())
            } else if take("[") {
                items.append(.set(try bracketed()))
            } else {
                try appendMember(to: &items)
            }
        }
        throw problem("a set does not end")
    }

    private mutating func posixClass() throws(ExpressionProblem) -> ScalarSet.Item {
        let isNegated = take("^")
        var name = ""
        while let letter = next, letter != ":" {
            name.unicodeScalars.append(letter)
            position += 1
        }
        guard take(text: ":]"), let item = ScalarSet.property(name.lowercased(), negated: isNegated)
        else {
            throw problem("a named set is not known")
        }
        return item
    }

    /// A character, a range, or a class within brackets.
    private mutating func appendMember(to items: inout [ScalarSet.Item]) throws(ExpressionProblem) {
        if take("\\") {
            if let item = try classEscape() {
                items.append(item)
                return
            }
            if take("b") { return items.append(.range(0x08, 0x08)) }
            try appendRange(from: try characterEscape(), to: &items)
        } else if let scalar = next {
            position += 1
            try appendRange(from: scalar.value, to: &items)
        }
    }

    private mutating func appendRange(from first: UInt32, to items: inout [ScalarSet.Item])
        throws(ExpressionProblem)
    {
        guard next == "-", position + 1 < scalars.count, scalars[position + 1] != "]" else {
            items.append(.range(first, first))
            return
        }
        let start = position
        position += 1
        if next == "["
            || (next == "\\" && position + 1 < scalars.count
                && "sSdDwWpPhH".unicodeScalars.contains(scalars[position + 1]))
        {
            // A hyphen before a set stands for itself.
            position = start + 1
            items += [.range(first, first), .range(0x2D, 0x2D)]
            return
        }
        var last: UInt32 = 0
        if take("\\") {
            last = try characterEscape()
        } else if let scalar = next {
            last = scalar.value
            position += 1
        }
        if last < first { throw problem("a range ends before it starts") }
        items.append(.range(first, last))
    }
}
