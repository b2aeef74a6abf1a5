import HoneFormats

/// A value of a settings file with the line it stands on, so that YAML and JSON are read by the same code.
struct SettingTree {
    enum Value {
        case null
        /// A string; from YAML also any scalar in quotes.
        case string(String)
        /// A number or truth value, with the text it is written as.
        case other(JSON, text: String)
        case list([SettingTree])
        case map([(key: String, line: Int?, value: SettingTree)])
    }

    var value: Value
    /// The line, counted from 1, where the source has lines.
    var line: Int?

    /// The tree of a JSON value, which has no lines.
    ///
    /// `JSON` is bounded in depth by its parser; values made by hand are bounded here.
    init(_ json: JSON, depth: Int = 0) throws {
        guard depth < 64 else { throw HoneError(.badFile, "the values are nested more than 64 deep") }
        switch json {
        case .null: value = .null
        case .string(let text): value = .string(text)
        case .bool(let flag): value = .other(json, text: String(flag))
        case .integer(let number): value = .other(json, text: String(number))
        case .number(let number): value = .other(json, text: String(number))
        case .array(let elements): value = .list(try elements.map { try SettingTree($0, depth: depth + 1) })
        case .object(let object):
            value = .map(try object.pairs.map { ($0.key, nil, try SettingTree($0.value, depth: depth + 1)) })
        }
    }

    init(value: Value, line: Int?) {
        self.value = value
        self.line = line
    }

    /// What kind of value this is, for messages.
    var kind: String {
        switch value {
        case .null: "nothing"
        case .string: "a string"
        case .other(let json, _): json.kind
        case .list: "a list"
        case .map: "a group of settings"
        }
    }
}
