/// Takes the fields of a JSON object one after the other, checks their kinds and bounds, and keeps what nobody took.
///
///     var fields = try JSONFields(json, file: "adapter_config.json")
///     let rank = try fields.integer("r", in: 1...65_536)
///     let unknown = fields.rest
public struct JSONFields: Sendable {
    private let object: JSONObject
    private var taken: Set<ExactString> = []
    private let file: String?

    /// The fields of an object.
    ///
    /// - Throws: `HoneError` (`.badFile`) where this is no object.
    public init(_ json: JSON, file: String?) throws {
        guard let object = json.object else {
            throw HoneError(.badFile, "expected an object with named fields, found \(json.kind)", file: file)
        }
        self.object = object
        self.file = file
    }

    /// The fields that have not been taken, in their order.
    public var rest: JSONObject {
        var rest = JSONObject()
        for (name, value) in object.pairs where !taken.contains(ExactString(name)) { rest[name] = value }
        return rest
    }

    /// An error about a field of this object.
    public func error(_ name: String, _ message: String, _ code: HoneError.Code = .badFile) -> HoneError {
        HoneError(code, message, file: file, item: name)
    }

    /// Takes a field as it is; `nil` where it is absent, `null` or taken already.
    public mutating func value(_ name: String) -> JSON? {
        guard taken.insert(ExactString(name)).inserted, let value = object[name] else { return nil }
        // Not `value.isNull ? nil : value`: there `nil` would be taken for JSON's own null.
        guard !value.isNull else { return nil }
        return value
    }

    /// Takes a string; `nil` where the field is absent or `null`.
    public mutating func string(_ name: String) throws -> String? {
        guard let value = value(name) else { return nil }
        guard let string = value.string else { throw error(name, "expected a string, found \(value.kind)") }
        return string
    }

    /// Takes a truth value; `nil` where the field is absent or `null`.
    public mutating func bool(_ name: String) throws -> Bool? {
        guard let value = value(name) else { return nil }
        guard let bool = value.bool else { throw error(name, "expected true or false, found \(value.kind)") }
        return bool
    }

    /// Takes a whole number within bounds; `nil` where the field is absent or `null`.
    public mutating func integer(_ name: String, in bounds: ClosedRange<Int>) throws -> Int? {
        guard let value = value(name) else { return nil }
        return try integer(value, name, in: bounds)
    }

    /// Takes a finite number within bounds; `nil` where the field is absent or `null`.
    public mutating func number(_ name: String, in bounds: ClosedRange<Double>) throws -> Double? {
        guard let value = value(name) else { return nil }
        return try number(value, name, in: bounds)
    }

    /// Takes a list of strings; `nil` where the field is absent or `null`.
    public mutating func strings(_ name: String) throws -> [String]? {
        guard let value = value(name) else { return nil }
        return try strings(value, name)
    }

    /// Takes an object whose values are whole numbers within bounds; `nil` where the field is absent or `null`.
    public mutating func integers(_ name: String, in bounds: ClosedRange<Int>) throws -> [(key: String, value: Int)]? {
        try pairs(name)?.map { ($0.key, try integer($0.value, "\(name).\($0.key)", in: bounds)) }
    }

    /// Takes an object whose values are finite numbers within bounds; `nil` where the field is absent or `null`.
    public mutating func numbers(
        _ name: String, in bounds: ClosedRange<Double>
    ) throws -> [(key: String, value: Double)]? {
        try pairs(name)?.map { ($0.key, try number($0.value, "\(name).\($0.key)", in: bounds)) }
    }

    /// A value as a list of strings.
    ///
    /// - Throws: `HoneError` (`.badFile`) where it is something else.
    public func strings(_ value: JSON, _ name: String) throws -> [String] {
        guard let array = value.array else { throw error(name, "expected a list of strings, found \(value.kind)") }
        return try array.map { element in
            guard let string = element.string else {
                throw error(name, "expected strings in the list, found \(element.kind)")
            }
            return string
        }
    }

    private mutating func pairs(_ name: String) throws -> [(key: String, value: JSON)]? {
        guard let value = value(name) else { return nil }
        guard let object = value.object else { throw error(name, "expected an object, found \(value.kind)") }
        return object.pairs
    }

    private func integer(_ value: JSON, _ name: String, in bounds: ClosedRange<Int>) throws -> Int {
        guard let integer = value.integer else {
            throw error(name, "expected a whole number, found \(value.number.map { "\($0)" } ?? value.kind)")
        }
        guard bounds.contains(integer) else {
            throw error(name, "\(integer) is not between \(bounds.lowerBound) and \(bounds.upperBound)")
        }
        return integer
    }

    private func number(_ value: JSON, _ name: String, in bounds: ClosedRange<Double>) throws -> Double {
        guard let number = value.number else { throw error(name, "expected a number, found \(value.kind)") }
        guard bounds.contains(number) else {
            throw error(name, "\(number) is not between \(bounds.lowerBound) and \(bounds.upperBound)")
        }
        return number
    }
}
