import HoneFormats

/// Reads the statements of a template; expressions are in `TemplateParser+Expressions.swift`.
struct TemplateParser {
    var tokens: [TemplateToken]
    var position = 0
    /// How deep the part being read is nested.
    var depth = 0
    let depthLimit: Int
    /// Whether there was a `{% generation %}` block.
    var hasGeneration = false
    /// How many loops are around: `break` and `continue` belong in one.
    private var loops = 0
    /// The blocks that are open, for messages.
    private var open: [(tag: String, line: Int)] = []

    /// A parser of a source.
    init(_ source: String, depthLimit: Int) throws {
        tokens = try TemplateLexer.tokens(source)
        self.depthLimit = depthLimit
    }

    /// All statements of the template.
    mutating func parse() throws -> [TemplateStatement] {
        let (body, _) = try statements(until: [])
        return body
    }

    /// The texts and strings of the template.
    var literals: [String] {
        tokens.compactMap { token in
            switch token.kind {
            case .text(let text), .string(let text): text.string
            default: nil
            }
        }
    }

    // MARK: Tokens

    var token: TemplateToken { tokens[position] }
    var line: Int { tokens[position].line }

    mutating func advance() { position = min(position + 1, tokens.count - 1) }

    func problem(_ message: String, line: Int? = nil) -> HoneError {
        HoneError(.badFile, message, line: line ?? self.line)
    }

    func unsupported(_ message: String, line: Int? = nil) -> HoneError {
        HoneError(.unsupported, message, line: line ?? self.line)
    }

    /// Whether the token is this symbol.
    func isAt(_ symbol: String) -> Bool { token.kind == .symbol(symbol) }

    /// Whether the token is this word.
    func isAt(word: String) -> Bool { token.kind == .name(word) }

    mutating func skip(_ symbol: String) -> Bool {
        guard isAt(symbol) else { return false }
        advance()
        return true
    }

    mutating func skip(word: String) -> Bool {
        guard isAt(word: word) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String) throws {
        guard skip(symbol) else { throw problem("“\(symbol)” is missing before \(described(token))") }
    }

    mutating func expect(word: String) throws {
        guard skip(word: word) else { throw problem("“\(word)” is missing before \(described(token))") }
    }

    mutating func expectName() throws -> String {
        guard case .name(let name) = token.kind else { throw problem("a name is missing before \(described(token))") }
        advance()
        return name
    }

    /// What a token is, for messages.
    func described(_ token: TemplateToken) -> String {
        switch token.kind {
        case .text: "the text"
        case .outputStart: "“{{”"
        case .outputEnd: "“}}”"
        case .blockStart: "“{%”"
        case .blockEnd: "“%}”"
        case .name(let name): "“\(name.prefix(40))”"
        case .string: "a string"
        case .integer, .number: "a number"
        case .symbol(let symbol): "“\(symbol)”"
        case .end: "the end of the template"
        }
    }

    /// One level deeper; each call has its `depth -= 1`.
    mutating func enter() throws {
        depth += 1
        guard depth <= depthLimit else {
            throw unsupported("expressions and blocks are nested deeper than \(depthLimit) levels")
        }
    }

    // MARK: Statements

    /// Statements up to a tag of these names, which is read too, and its name. Without names: up to the end.
    private mutating func statements(until ends: [String]) throws -> ([TemplateStatement], String) {
        try enter()
        defer { depth -= 1 }
        var body: [TemplateStatement] = []
        while true {
            switch token.kind {
            case .end:
                guard ends.isEmpty else {
                    let block = open.last
                    throw problem("“\(block?.tag ?? "")” is never closed", line: block?.line)
                }
                return (body, "")
            case .text(let text):
                body.append(.text(text))
                advance()
            case .outputStart:
                let line = line
                advance()
                body.append(.output(try tuple(), line: line))
                guard token.kind == .outputEnd else { throw problem("“}}” is missing before \(described(token))") }
                advance()
            case .blockStart:
                advance()
                guard case .name(let tag) = token.kind else {
                    throw problem("a block has to start with its name, not with \(described(token))")
                }
                if ends.contains(tag) {
                    advance()
                    return (body, tag)
                }
                body.append(try statement(tag))
                try endBlock()
            default:
                throw problem("\(described(token)) cannot stand here")
            }
        }
    }

    private mutating func endBlock() throws {
        guard token.kind == .blockEnd else { throw problem("“%}” is missing before \(described(token))") }
        advance()
    }

    /// The body of a block, after its head.
    private mutating func body(_ tag: String, _ line: Int, until ends: [String]) throws -> ([TemplateStatement], String)
    {
        _ = skip(":")
        try endBlock()
        open.append((tag, line))
        defer { open.removeLast() }
        return try statements(until: ends)
    }

    private mutating func statement(_ tag: String) throws -> TemplateStatement {
        let line = line
        advance()
        switch tag {
        case "if": return try choice(line)
        case "for": return try loop(line)
        case "set": return try assignment(line)
        case "macro": return try macro(line)
        case "call": return try callBlock(line)
        case "filter":
            let filters = try filters(startsInline: true)
            let (body, _) = try body(tag, line, until: ["endfilter"])
            return .filter(filters, body: body, line: line)
        case "with": return try with(line)
        case "generation":
            hasGeneration = true
            let (body, _) = try withoutLoops { parser in try parser.body(tag, line, until: ["endgeneration"]) }
            return .generation(body: body)
        case "print":
            // Several expressions are written one after the other, as `~` does.
            var parts: [TemplateExpression] = []
            while token.kind != .blockEnd {
                if !parts.isEmpty { try expect(",") }
                parts.append(try expression())
            }
            return .output(.concatenation(parts), line: line)
        case "break", "continue":
            guard loops > 0 else { throw problem("“\(tag)” stands outside of a loop", line: line) }
            return tag == "break" ? .breakLoop : .continueLoop
        case "extends", "include", "import", "from", "block", "autoescape", "do", "trans", "debug":
            throw unsupported("the block “\(tag)” is not supported in chat templates", line: line)
        default:
            let inside = open.last.map { " inside “\($0.tag)” of line \($0.line)" } ?? ""
            throw problem("there is no block “\(tag.prefix(40))”\(inside)", line: line)
        }
    }

    private mutating func withoutLoops<Result>(_ read: (inout TemplateParser) throws -> Result) rethrows -> Result {
        let saved = loops
        loops = 0
        defer { loops = saved }
        return try read(&self)
    }

    private mutating func choice(_ line: Int) throws -> TemplateStatement {
        var branches: [(test: TemplateExpression, line: Int, body: [TemplateStatement])] = []
        var branchLine = line
        while true {
            let test = try tuple(withChoice: false)
            let (body, end) = try body("if", line, until: ["elif", "else", "endif"])
            branches.append((test, branchLine, body))
            branchLine = self.line
            if end == "elif" { continue }
            guard end == "else" else { return .choice(branches, otherwise: []) }
            let (otherwise, _) = try self.body("if", line, until: ["endif"])
            return .choice(branches, otherwise: otherwise)
        }
    }

    private mutating func loop(_ line: Int) throws -> TemplateStatement {
        let target = try target(withMembers: false, until: "in")
        try expect(word: "in")
        let elements = try tuple(withChoice: false, until: "recursive")
        let condition = skip(word: "if") ? try expression() : nil
        let isRecursive = skip(word: "recursive")
        loops += 1
        let (body, end) = try body("for", line, until: ["endfor", "else"])
        loops -= 1
        let otherwise = end == "else" ? try self.body("for", line, until: ["endfor"]).0 : []
        return .loop(
            TemplateStatement.Loop(
                target: target, elements: elements, condition: condition, isRecursive: isRecursive, body: body,
                otherwise: otherwise, line: line))
    }

    private mutating func assignment(_ line: Int) throws -> TemplateStatement {
        let target = try target(withMembers: true, until: nil)
        if skip("=") { return .set(target, try tuple(), line: line) }
        let filters = try filters(startsInline: false)
        let (body, _) = try withoutLoops { parser in try parser.body("set", line, until: ["endset"]) }
        return .setBlock(target, filters: filters, body: body, line: line)
    }

    private mutating func with(_ line: Int) throws -> TemplateStatement {
        var values: [(target: TemplateStatement.Target, value: TemplateExpression)] = []
        while token.kind != .blockEnd {
            if !values.isEmpty { try expect(",") }
            let target = try target(withMembers: false, until: nil)
            try expect("=")
            values.append((target, try expression()))
        }
        let (body, _) = try body("with", line, until: ["endwith"])
        return .with(values, body: body, line: line)
    }

    private mutating func macro(_ line: Int) throws -> TemplateStatement {
        let name = try expectName()
        let parameters = try parameters()
        let (body, _) = try withoutLoops { parser in try parser.body("macro", line, until: ["endmacro"]) }
        return .macro(TemplateStatement.Macro(name: name, parameters: parameters, body: body, line: line))
    }

    private mutating func callBlock(_ line: Int) throws -> TemplateStatement {
        let parameters = isAt("(") ? try parameters() : []
        guard case .postfix(let base, var operations) = try expression(), let last = operations.popLast(),
            case .call(let arguments) = last.kind
        else { throw problem("a call block needs a call, such as “{% call name() %}”", line: line) }
        let (body, _) = try withoutLoops { parser in try parser.body("call", line, until: ["endcall"]) }
        return .call(
            body: TemplateStatement.Macro(name: "caller", parameters: parameters, body: body, line: line),
            operations.isEmpty ? base : .postfix(base, operations), arguments, line: line)
    }

    private mutating func parameters() throws -> [(name: String, value: TemplateExpression?)] {
        try expect("(")
        var parameters: [(name: String, value: TemplateExpression?)] = []
        while !isAt(")") {
            if !parameters.isEmpty { try expect(",") }
            let name = try expectName()
            let value = skip("=") ? try expression() : nil
            guard value != nil || parameters.last?.value == nil else {
                throw problem("a parameter without a default follows one that has one")
            }
            parameters.append((name, value))
        }
        try expect(")")
        return parameters
    }

    /// What is assigned to: a name, a member of a namespace, or several of them.
    private mutating func target(withMembers: Bool, until end: String?) throws -> TemplateStatement.Target {
        try enter()
        defer { depth -= 1 }
        var targets: [TemplateStatement.Target] = []
        var isTuple = false
        while true {
            if skip("(") {
                targets.append(try target(withMembers: withMembers, until: nil))
                try expect(")")
            } else {
                let name = try expectName()
                guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
                    throw problem("“\(name)” cannot be assigned to")
                }
                if withMembers, skip(".") {
                    targets.append(.member(namespace: name, name: try expectName()))
                } else {
                    targets.append(.name(name))
                }
            }
            guard skip(",") else { break }
            isTuple = true
            if isAt(")") || isAt("=") || token.kind == .blockEnd || end.map({ isAt(word: $0) }) == true { break }
        }
        return isTuple ? .tuple(targets) : targets[0]
    }
}
