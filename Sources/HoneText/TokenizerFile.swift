import Foundation
import HoneFormats

/// The bytes of a `tokenizer.json` and where its parts stand in them.
struct TokenizerFile {
    /// The largest file that is read, in bytes; the largest tokenizers in use have about 35 MB.
    static let sizeLimit = 512 << 20

    let path: String
    let bytes: [UInt8]
    /// Where each top-level part stands: `normalizer`, `added_tokens` and so on.
    private let parts: [String: Range<Int>]
    /// Where each member of `model` stands; empty where there is no model object.
    private let modelParts: [String: Range<Int>]

    /// Reads a file.
    init(path: String) throws(HoneError) {
        try self.init(bytes: Self.read(path), path: path)
    }

    /// Takes bytes as the content of a file of that name.
    init(bytes: [UInt8], path: String) throws(HoneError) {
        self.path = path
        self.bytes = bytes
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw HoneError(.badFile, "is not valid UTF-8, so it is not a tokenizer.json", file: path)
        }
        var cursor = JSONCursor(bytes, file: path, component: "tokenizer.json")
        parts = try Self.members(&cursor)
        if cursor.peek() != nil { throw cursor.problem("something follows after the end of the object") }
        guard let model = parts["model"] else {
            throw HoneError(.badFile, "has no “model”, so it is not a tokenizer.json", file: path)
        }
        var inner = JSONCursor(bytes, range: model, file: path, component: "model")
        modelParts = try Self.members(&inner)
    }

    private static func read(_ path: String) throws(HoneError) -> [UInt8] {
        do {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            let size = (attributes[.size] as? NSNumber)?.intValue ?? 0
            guard size <= sizeLimit else {
                throw HoneError(.badFile, "has \(size) bytes, more than the \(sizeLimit) that are read", file: path)
            }
            return Array(try Data(contentsOf: URL(fileURLWithPath: path)))
        } catch let error as HoneError {
            throw error
        } catch {
            throw HoneError(.fileSystem, "cannot be read; check that it exists and may be read", file: path)
        }
    }

    private static func members(_ cursor: inout JSONCursor) throws(HoneError) -> [String: Range<Int>] {
        var found: [String: Range<Int>] = [:]
        try cursor.readObject { (cursor, name) throws(HoneError) in
            let name = String(decoding: name, as: UTF8.self)
            let range = try cursor.skipValue()
            if found.updateValue(range, forKey: name) != nil {
                throw cursor.problem("“\(name.prefix(80))” stands twice")
            }
        }
        return found
    }

    /// A top-level part as a value; `nil` where it is absent or `null`.
    func part(_ name: String) throws(HoneError) -> JSON? {
        try parse(parts[name], component: name)
    }

    /// A member of the model as a value; `nil` where it is absent or `null`.
    func modelPart(_ name: String) throws(HoneError) -> JSON? {
        try parse(modelParts[name], component: "model.\(name)")
    }

    /// A cursor over a member of the model, where there is one.
    func modelCursor(_ name: String) -> JSONCursor? {
        guard let range = modelParts[name] else { return nil }
        return JSONCursor(bytes, range: range, file: path, component: "model.\(name)")
    }

    private func parse(_ range: Range<Int>?, component: String) throws(HoneError) -> JSON? {
        guard let range else { return Optional<JSON>.none }
        do {
            let value = try JSON.parse(bytes[range], file: path)
            if value.isNull { return Optional<JSON>.none }
            return value
        } catch let error as HoneError {
            // The parser counted lines from the start of this part.
            let linesBefore = bytes[..<range.lowerBound].count { $0 == 0x0A }
            var error = error.inFile(path)
            error.line = error.line.map { $0 + linesBefore }
            error.item = error.item ?? component
            throw error
        } catch {
            throw HoneError(.badFile, "cannot be read as JSON", file: path, item: component)
        }
    }
}

/// One part of a tokenizer as its JSON object says it, with what messages need to name the place.
struct Component {
    let value: JSON
    let file: String
    /// Where it stands: `decoder.decoders[2]`.
    let place: String
    let depth: Int

    /// The deepest nesting of sequences.
    private static let depthLimit = 16

    init(_ value: JSON, file: String, place: String, depth: Int = 0) {
        self.value = value
        self.file = file
        self.place = place
        self.depth = depth
    }

    /// What kind of component it is: the member `type`.
    func type() throws(HoneError) -> String { try string("type") }

    func problem(_ message: String) -> HoneError { HoneError(.badFile, message, file: file, item: place) }

    func unsupported(_ message: String) -> HoneError { HoneError(.unsupported, message, file: file, item: place) }

    func string(_ name: String) throws(HoneError) -> String {
        guard let value = value[name]?.string else { throw wrongKind(name, "a string") }
        return value
    }

    func bool(_ name: String, default fallback: Bool? = nil) throws(HoneError) -> Bool {
        if let fallback, value[name] == nil || value[name]?.isNull == true { return fallback }
        guard let value = value[name]?.bool else { throw wrongKind(name, "true or false") }
        return value
    }

    /// A whole number from 0 to `Int32.max`.
    func count(_ name: String) throws(HoneError) -> Int {
        guard let value = value[name]?.integer, (0...Int(Int32.max)).contains(value) else {
            throw wrongKind(name, "a whole number that is not negative")
        }
        return value
    }

    func array(_ name: String) throws(HoneError) -> [JSON] {
        guard let value = value[name]?.array else { throw wrongKind(name, "an array") }
        return value
    }

    /// The components of a sequence.
    func children(_ name: String) throws(HoneError) -> [Component] {
        guard depth < Self.depthLimit else { throw problem("sequences are nested deeper than \(Self.depthLimit)") }
        return try array(name).enumerated().map { index, value in
            Component(value, file: file, place: "\(place).\(name)[\(index)]", depth: depth + 1)
        }
    }

    func wrongKind(_ name: String, _ expected: String) -> HoneError {
        guard value.object != nil else { return problem("expected an object, found \(value.kind)") }
        guard let found = value[name] else { return problem("“\(name)” is missing; it should be \(expected)") }
        return problem("“\(name)” should be \(expected), found \(found.kind)")
    }
}
