import HoneFormats

/// A value in a template: Python's kinds as far as chat templates know them.
///
/// Lists and maps never change (transformers' sandbox forbids it too), so they are plain values; only namespaces and
/// loops have state.
enum TemplateValue {
    /// A name or member that is not there, with the sentence that says so.
    case undefined(String)
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(MarkedText)
    case list([TemplateValue])
    case tuple([TemplateValue])
    case map(TemplateMap)
    /// The keys, values or pairs of a map.
    case view(TemplateView)
    /// What filters such as `map` give: can be gone through once.
    case iterator(TemplateIterator)
    case namespace(TemplateNamespace)
    case loop(TemplateLoop)
    case macro(TemplateMacro)
    /// A global function, by its name.
    case function(String)
    /// A method of a text, list, map or loop.
    case method(TemplateMethod)

    /// A text of the template.
    static func text(_ string: String) -> TemplateValue { .text(MarkedText(string)) }

    /// What kind of value this is, in Python's words.
    var kind: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .number: "float"
        case .text: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .map: "dict"
        case .view(let view): view.kind.name
        case .iterator: "generator"
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .macro: "Macro"
        case .function, .method: "function"
        }
    }

    /// Whether it counts as true.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .number(let value): value != 0
        case .text(let text): !text.isEmpty
        case .list(let elements), .tuple(let elements): !elements.isEmpty
        case .map(let map): map.count > 0
        case .view(let view): !view.elements.isEmpty
        case .loop(let loop): !loop.elements.isEmpty
        case .iterator, .namespace, .macro, .function, .method: true
        }
    }

    /// Whether it is a name or member that is not there.
    var isUndefined: Bool {
        if case .undefined = self { return true }
        return false
    }

    /// The number, where this counts as one: truth values do in Python.
    var asNumber: Double? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The whole number, where this counts as one.
    var asInteger: Int? {
        switch self {
        case .bool(let value): value ? 1 : 0
        case .integer(let value): value
        default: nil
        }
    }
}

/// A map with its entries in order; a key stands once.
struct TemplateMap {
    private(set) var keys: [TemplateValue] = []
    private(set) var values: [TemplateValue] = []
    /// Where each key stands; empty while the map is small.
    private var index: [TemplateKey: Int] = [:]

    private static let searchedFromTheFront = 8

    /// An empty map.
    init() {}

    var count: Int { keys.count }

    /// Sets a key.
    ///
    /// - Throws: where the key is of a kind that Python cannot hash.
    mutating func set(_ key: TemplateValue, _ value: TemplateValue) throws {
        let hashed = try TemplateKey(key)
        if let position = position(hashed) {
            values[position] = value
            return
        }
        keys.append(key)
        values.append(value)
        if keys.count > Self.searchedFromTheFront {
            if index.isEmpty {
                for (position, key) in keys.enumerated() { index[try TemplateKey(key)] = position }
            } else {
                index[hashed] = keys.count - 1
            }
        }
    }

    /// The value of a key.
    func value(_ key: TemplateKey) -> TemplateValue? { position(key).map { values[$0] } }

    /// The value of a text.
    subscript(_ name: MarkedText) -> TemplateValue? { value(.text(name)) }

    private func position(_ key: TemplateKey) -> Int? {
        guard index.isEmpty else { return index[key] }
        return keys.firstIndex { candidate in
            switch (candidate, key) {
            case (.text(let left), .text(let right)): left == right
            case (.text, _), (_, .text): false
            default: (try? TemplateKey(candidate)) == key
            }
        }
    }
}

/// What a map finds its entries by.
enum TemplateKey: Hashable {
    case none
    case number(Double)
    case text(MarkedText)
    case tuple([TemplateKey])

    /// The key that a value is.
    init(_ value: TemplateValue) throws {
        switch value {
        case .none: self = .none
        case .text(let text): self = .text(text)
        case .bool, .integer, .number: self = .number(value.asNumber ?? 0)
        case .tuple(let elements): self = .tuple(try elements.map { try TemplateKey($0) })
        default: throw TemplateProblem("a value of the kind \(value.kind) cannot be a key")
        }
    }
}

/// The keys, values or pairs of a map.
struct TemplateView {
    enum Kind {
        case keys, values, items
        var name: String {
            switch self {
            case .keys: "dict_keys"
            case .values: "dict_values"
            case .items: "dict_items"
            }
        }
    }
    var kind: Kind
    var elements: [TemplateValue]
}

/// Elements that can be gone through once.
final class TemplateIterator {
    private var elements: [TemplateValue]

    init(_ elements: [TemplateValue]) { self.elements = elements }

    /// All that are left; afterwards there are none.
    func rest() -> [TemplateValue] {
        defer { elements = [] }
        return elements
    }

    /// The next one.
    func next() -> TemplateValue? { elements.isEmpty ? nil : elements.removeFirst() }
}

/// What `namespace()` makes: names that can be set from inner scopes.
final class TemplateNamespace {
    var members = TemplateMap()
}

/// The special variable `loop`.
final class TemplateLoop {
    let elements: [TemplateValue]
    var index = 0
    /// How many recursive loops are around this one.
    let depth: Int
    var lastChanged: [TemplateValue]?
    /// Renders the loop's body for other elements, where the loop is recursive.
    let node: TemplateStatement.Loop
    let scope: TemplateScope

    init(_ elements: [TemplateValue], depth: Int, node: TemplateStatement.Loop, scope: TemplateScope) {
        self.elements = elements
        self.depth = depth
        self.node = node
        self.scope = scope
    }
}

/// A macro, or the body of a `call` block.
final class TemplateMacro {
    let node: TemplateStatement.Macro
    let scope: TemplateScope

    init(node: TemplateStatement.Macro, scope: TemplateScope) {
        self.node = node
        self.scope = scope
    }
}

/// A method and the value that it belongs to.
final class TemplateMethod {
    let receiver: TemplateValue
    let name: String

    init(_ receiver: TemplateValue, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

/// The variables of a block, and those around it.
final class TemplateScope {
    private var names: [String] = []
    private var values: [TemplateValue] = []
    let parent: TemplateScope?

    init(parent: TemplateScope?) { self.parent = parent }

    /// The value of a name here or around here.
    func find(_ name: String) -> TemplateValue? {
        var scope: TemplateScope? = self
        while let current = scope {
            if let position = current.names.firstIndex(where: { $0.hasSameBytes(as: name) }) {
                return current.values[position]
            }
            scope = current.parent
        }
        return nil
    }

    /// Sets a name in this scope.
    func set(_ name: String, _ value: TemplateValue) {
        if let position = names.firstIndex(where: { $0.hasSameBytes(as: name) }) {
            values[position] = value
        } else {
            names.append(name)
            values.append(value)
        }
    }

    /// Forgets all names, so that no circle of references stays behind.
    func clear() {
        names = []
        values = []
    }
}
