extension JSON {
    /// Reads one JSON value (RFC 8259) that takes up all of `bytes`.
    ///
    /// Strict: UTF-8 only, no byte order mark, no comments, no trailing commas, no key twice, nothing after the value.
    ///
    /// - Parameters:
    ///   - bytes: the text in UTF-8; an array is read in place, anything else is copied first.
    ///   - file: the name to put into errors.
    ///   - limits: how deep, how long and how many.
    /// - Throws: `HoneError` (`.badFile`) with line and column.
    public static func parse(
        _ bytes: some Collection<UInt8>, file: String? = nil, limits: JSONLimits = .init()
    ) throws -> JSON {
        var parser = JSONParser(bytes as? [UInt8] ?? Array(bytes), file: file, firstLine: 1, limits: limits)
        return try parser.document()
    }

    /// Reads one JSON value that takes up all of `text`; see `parse(_:file:limits:)`.
    public static func parse(_ text: String, file: String? = nil) throws -> JSON {
        try parse(Array(text.utf8), file: file)
    }

    /// Reads one line of a JSON Lines file.
    ///
    /// - Parameters:
    ///   - line: the bytes of the line, with or without its line break.
    ///   - number: which line of the file this is, counted from 1, for errors.
    ///   - file: the name to put into errors.
    ///   - limits: how deep, how long and how many.
    /// - Throws: `HoneError` (`.badFile`) with the file's line and the column.
    public static func parse(
        line: some Collection<UInt8>, number: Int, file: String? = nil, limits: JSONLimits = .init()
    ) throws -> JSON {
        var parser = JSONParser(line as? [UInt8] ?? Array(line), file: file, firstLine: number, limits: limits)
        return try parser.document()
    }

    /// Reads the file at a path, which must hold one JSON value.
    ///
    /// - Throws: `HoneError`: `.fileSystem` when the file cannot be read, `.badFile` with line and column when it is not
    ///   JSON.
    public static func read(file path: String) throws -> JSON {
        try parse(try FileBytes.read(path), file: path)
    }
}

/// A reader of one JSON text, going once over an array of bytes.
struct JSONParser {
    let bytes: [UInt8]
    let file: String?
    let firstLine: Int
    let limits: JSONLimits
    var position = 0
    private var depth = 0

    init(_ bytes: [UInt8], file: String?, firstLine: Int, limits: JSONLimits) {
        self.bytes = bytes
        self.file = file
        self.firstLine = firstLine
        self.limits = limits
    }

    mutating func document() throws -> JSON {
        try refuseOtherEncodings()
        skipSpace()
        guard position < bytes.count else { throw error("the JSON text is empty", at: position) }
        let result = try value()
        skipSpace()
        guard position == bytes.count else {
            throw error("expected the end after the JSON value, found \(found(position))", at: position)
        }
        return result
    }

    private func refuseOtherEncodings() throws {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
            throw error("the text begins with a byte order mark; save it as UTF-8 without one", at: 0)
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            throw error("the text is UTF-16; save it as UTF-8", at: 0)
        }
    }

    // MARK: Values

    private mutating func value() throws -> JSON {
        guard position < bytes.count else { throw error("the text ends where a value should be", at: position) }
        switch bytes[position] {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "{"): return .object(try object())
        case UInt8(ascii: "["): return .array(try array())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw error("expected a value, found \(found(position))", at: position)
        }
    }

    private mutating func word(_ text: String, _ value: JSON) throws -> JSON {
        guard bytes[position...].starts(with: text.utf8) else {
            throw error("expected a value; did you mean \(text)?", at: position)
        }
        position += text.utf8.count
        return value
    }

    private mutating func enter() throws {
        depth += 1
        guard depth <= limits.depth else {
            throw error("arrays and objects nest deeper than \(limits.depth) levels", at: position)
        }
        position += 1
        skipSpace()
    }

    private mutating func leave() {
        depth -= 1
        position += 1
    }

    private mutating func array() throws -> [JSON] {
        let start = position
        try enter()
        var elements: [JSON] = []
        if byte() == UInt8(ascii: "]") {
            leave()
            return elements
        }
        elements.reserveCapacity(2)
        while true {
            guard elements.count < limits.elements else {
                throw error("the array has more than \(limits.elements) elements", at: start)
            }
            elements.append(try value())
            skipSpace()
            switch byte() {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
                if byte() == UInt8(ascii: "]") { throw error("a comma stands before ]; remove it", at: position) }
            case UInt8(ascii: "]"):
                leave()
                return elements
            case nil: throw unclosed("array", openedAt: start)
            default: throw error("expected , or ] in the array, found \(found(position))", at: position)
            }
        }
    }

    private mutating func object() throws -> JSONObject {
        let start = position
        try enter()
        var object = JSONObject()
        if byte() == UInt8(ascii: "}") {
            leave()
            return object
        }
        while true {
            guard object.count < limits.elements else {
                throw error("the object has more than \(limits.elements) keys", at: start)
            }
            try member(of: &object, openedAt: start)
            skipSpace()
            switch byte() {
            case UInt8(ascii: ","):
                position += 1
                skipSpace()
                if byte() == UInt8(ascii: "}") { throw error("a comma stands before }; remove it", at: position) }
            case UInt8(ascii: "}"):
                leave()
                return object
            case nil: throw unclosed("object", openedAt: start)
            default: throw error("expected , or } in the object, found \(found(position))", at: position)
            }
        }
    }

    private mutating func member(of object: inout JSONObject, openedAt start: Int) throws {
        let keyPosition = position
        guard let first = byte() else { throw unclosed("object", openedAt: start) }
        guard first == UInt8(ascii: "\"") else {
            throw error("expected a key in double quotes, found \(found(position))", at: position)
        }
        let key = try string()
        skipSpace()
        guard byte() == UInt8(ascii: ":") else {
            throw error("expected : after the key, found \(found(position))", at: position)
        }
        position += 1
        skipSpace()
        let member = try value()
        guard object.insert(key, member) == nil else {
            throw error("the key \(JSON.string(String(key.prefix(80))).text()) stands twice", at: keyPosition)
        }
    }

    // MARK: Bytes

    /// The byte here, where the text has not ended.
    func byte() -> UInt8? {
        position < bytes.count ? bytes[position] : nil
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    // MARK: Errors

    /// What stands at a place, for messages; never more than one character of the text.
    func found(_ place: Int) -> String {
        guard place < bytes.count else { return "the end of the text" }
        let byte = bytes[place]
        if byte > 0x20, byte < 0x7F { return "\u{201C}\(Character(Unicode.Scalar(byte)))\u{201D}" }
        if byte == 0x0A || byte == 0x0D { return "a line break" }
        return byte < 0x80 ? "a control character" : "a character beyond ASCII"
    }

    func unclosed(_ what: String, openedAt start: Int) -> HoneError {
        let (line, column) = lineAndColumn(start)
        return error("the text ends inside the \(what) opened at line \(line), column \(column)", at: bytes.count)
    }

    func error(_ message: String, at place: Int) -> HoneError {
        let (line, column) = lineAndColumn(place)
        return HoneError(.badFile, "column \(column): \(message)", file: file, line: line)
    }

    /// Line and column of a byte, both from 1; the column counts Unicode scalars.
    private func lineAndColumn(_ place: Int) -> (line: Int, column: Int) {
        var line = firstLine
        var column = 1
        for byte in bytes.prefix(place) {
            if byte == 0x0A {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return (line, column)
    }
}
