import HoneFormats

/// One thing that can be set about a method, with its default and bounds.
public struct Setting: Sendable {
    /// A value and what it may be.
    public enum Value: Hashable, Sendable {
        /// A whole number within bounds.
        case integer(Int, ClosedRange<Int>)
        /// A real number within bounds.
        case real(Double, ClosedRange<Double>)
        /// Yes or no.
        case flag(Bool)
        /// One of some words.
        case choice(String, [String])
        /// Any words, separated by commas.
        case words([String])
        /// Any text.
        case text(String)
    }

    /// How it is asked for: `rank`.
    public var name: String
    /// One sentence on what it does.
    public var help: String
    /// The default, with what is allowed.
    public var value: Value

    /// A setting with its default.
    public init(_ name: String, _ value: Value, _ help: String) {
        self.name = name
        self.value = value
        self.help = help
    }

    /// What is allowed, for help and errors.
    public var allowed: String {
        switch value {
        case .integer(_, let range): "a whole number from \(range.lowerBound) to \(range.upperBound)"
        case .real(_, let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .flag: "true or false"
        case .choice(_, let words): "one of " + words.joined(separator: ", ")
        case .words: "words separated by commas"
        case .text: "a text"
        }
    }

    /// The default as JSON.
    public var defaultValue: JSON {
        switch value {
        case .integer(let number, _): .integer(number)
        case .real(let number, _): .number(number)
        case .flag(let flag): .bool(flag)
        case .choice(let word, _): .string(word)
        case .words(let words): .array(words.map { .string($0) })
        case .text(let text): .string(text)
        }
    }

    /// Checks a value from JSON and gives it in its plain form.
    func accept(_ json: JSON, method: String) throws -> JSON {
        switch (value, json) {
        case (.integer(_, let range), _):
            if let number = json.integer, range.contains(number) { return .integer(number) }
        case (.real(_, let range), _):
            if let number = json.number, range.contains(number) { return .number(number) }
        case (.flag, .bool):
            return json
        case (.choice(_, let words), .string(let word)) where words.contains(word):
            return json
        case (.words, .array(let words)) where words.allSatisfy({ $0.string != nil }):
            return json
        case (.text, .string):
            return json
        default:
            break
        }
        throw HoneError(.usage, "must be \(allowed), not \(json.text())", item: "\(method) \(name)")
    }

    /// Reads a value as typed on the command line.
    func parse(_ text: String, method: String) throws -> JSON {
        let json: JSON =
            switch value {
            case .integer: Int(text).map { .integer($0) } ?? .string(text)
            case .real: Double(text).map { .number($0) } ?? .string(text)
            case .flag:
                ["true", "yes", "1"].contains(text)
                    ? true : ["false", "no", "0"].contains(text) ? false : .string(text)
            case .choice, .text: .string(text)
            case .words: .array(text.split(separator: ",").map { .string(String($0)) })
            }
        return try accept(json, method: method)
    }
}

/// The values of a method's settings, complete and within bounds.
public struct MethodSettings: Hashable, Sendable {
    private let values: [String: JSON]

    /// The settings of a method from `key=value` pairs or JSON; what is not given takes its default.
    ///
    /// - Throws: `HoneError` with code `.usage` that names the setting, what it may be, or which settings there are.
    public init(_ card: MethodCard, typed: [String: String] = [:], json: JSON = .null) throws {
        var values: [String: JSON] = [:]
        for setting in card.settings { values[setting.name] = setting.defaultValue }
        let given = Set(typed.keys).union(json.object?.keys ?? [])
        for name in given.sorted() where values[name] == nil {
            let known = card.settings.map(\.name).joined(separator: ", ")
            throw HoneError(
                .usage, "`\(card.name)` has no setting `\(name)`; it has " + (known.isEmpty ? "none" : known))
        }
        for setting in card.settings {
            if let found = json[setting.name] { values[setting.name] = try setting.accept(found, method: card.name) }
            if let text = typed[setting.name] { values[setting.name] = try setting.parse(text, method: card.name) }
        }
        self.values = values
    }

    /// A whole number; a name that the card does not have is a programmer's mistake.
    public func integer(_ name: String) -> Int {
        guard let value = values[name]?.integer else { preconditionFailure("no whole-number setting \(name)") }
        return value
    }

    /// A real number.
    public func real(_ name: String) -> Double {
        guard let value = values[name]?.number else { preconditionFailure("no number setting \(name)") }
        return value
    }

    /// Yes or no.
    public func flag(_ name: String) -> Bool {
        guard let value = values[name]?.bool else { preconditionFailure("no flag setting \(name)") }
        return value
    }

    /// One word.
    public func choice(_ name: String) -> String {
        guard let value = values[name]?.string else { preconditionFailure("no choice setting \(name)") }
        return value
    }

    /// A text.
    public func text(_ name: String) -> String {
        guard let value = values[name]?.string else { preconditionFailure("no text setting \(name)") }
        return value
    }

    /// Some words.
    public func words(_ name: String) -> [String] { (values[name]?.array ?? []).compactMap(\.string) }

    /// All values, by name in alphabetical order.
    public var json: JSON {
        var object = JSONObject()
        for name in values.keys.sorted() { object[name] = values[name] }
        return .object(object)
    }
}
