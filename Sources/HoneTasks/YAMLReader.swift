import HoneFormats
import Yams

/// Reads a settings file in YAML into a tree with line numbers, within bounds that hold for any input.
///
/// The parser below composes nested values by recursion and compares keys by value, so nesting and aliases are bounded
/// on the text before it sees it, and the number of nodes afterwards.
enum YAMLReader {
    static let maximumBytes = 1 << 20
    static let maximumBrackets = 200
    static let maximumIndentation = 128
    static let maximumAliases = 16
    static let maximumNodes = 100_000

    /// The tree in the text of a file.
    static func tree(_ bytes: [UInt8], file: String) throws -> SettingTree {
        let start = try DataFile.startOfText(bytes, file: file)
        guard bytes.count <= maximumBytes else {
            throw HoneError(
                .badFile, "the file has \(grouped(bytes.count)) bytes; settings have at most \(grouped(maximumBytes))",
                file: file)
        }
        if let position = bytes.firstIndex(of: 0) {
            throw HoneError(
                .badFile, "the file holds a NUL byte; it is not text in UTF-8",
                file: file, line: DataFile.line(of: position, in: bytes))
        }
        guard let text = String(validating: bytes[start...], as: UTF8.self) else {
            let line = DataFile.firstInvalidByte(bytes[start...]).map { DataFile.line(of: $0, in: bytes) }
            throw HoneError(.badFile, "the line is not valid UTF-8; save the file as UTF-8", file: file, line: line)
        }
        try checkShape(bytes[start...], file: file)
        let root: Node?
        do {
            root = try Parser(yaml: text, encoding: .utf8).singleRoot()
        } catch let error as YamlError {
            throw failure(error, file: file)
        }
        guard let root else { throw HoneError(.badFile, "the file holds no settings", file: file) }
        var budget = maximumNodes
        return try tree(root, file: file, depth: 0, budget: &budget)
    }

    /// Bounds nesting and aliases by what the text can hold of either.
    private static func checkShape(_ bytes: ArraySlice<UInt8>, file: String) throws {
        var line = 1
        var column = 0
        var isLeading = true
        var brackets = 0
        var aliases = 0
        var previous: UInt8 = 0x0A
        for byte in bytes {
            switch byte {
            case 0x0A, 0x0D:
                if byte == 0x0A || previous != 0x0D { line += 1 }
                column = 0
                isLeading = true
                previous = byte
                continue
            case UInt8(ascii: "["), UInt8(ascii: "{"): brackets += 1
            case UInt8(ascii: "*") where " \t\n\r,[{:-?".utf8.contains(previous): aliases += 1
            default: break
            }
            isLeading = isLeading && " \t-?:".utf8.contains(byte)
            column += 1
            previous = byte
            if isLeading, column > maximumIndentation {
                throw HoneError(
                    .badFile, "the line is indented by more than \(maximumIndentation) characters",
                    file: file, line: line)
            }
            if brackets > maximumBrackets {
                throw HoneError(
                    .badFile, "the file holds more than \(maximumBrackets) opening brackets and braces",
                    file: file, line: line)
            }
            if aliases > maximumAliases {
                throw HoneError(
                    .badFile, "the file holds more than \(maximumAliases) aliases (`*`); write the values out",
                    file: file, line: line)
            }
        }
    }

    private static func tree(_ node: Node, file: String, depth: Int, budget: inout Int) throws -> SettingTree {
        budget -= 1
        guard budget >= 0, depth <= 64 else {
            throw HoneError(.badFile, "the settings are nested too deep or are too many", file: file)
        }
        let line = node.mark?.line
        switch node {
        case .scalar(let scalar):
            return SettingTree(value: value(of: scalar), line: line)
        case .sequence(let sequence):
            var elements: [SettingTree] = []
            for element in sequence {
                elements.append(try tree(element, file: file, depth: depth + 1, budget: &budget))
            }
            return SettingTree(value: .list(elements), line: line)
        case .mapping(let mapping):
            var pairs: [(key: String, line: Int?, value: SettingTree)] = []
            for (key, element) in mapping {
                guard case .scalar(let name) = key else {
                    throw HoneError(
                        .badFile, "a key is not a plain word", file: file, line: key.mark?.line ?? line)
                }
                let value = try tree(element, file: file, depth: depth + 1, budget: &budget)
                pairs.append((name.string, key.mark?.line ?? line, value))
            }
            return SettingTree(value: .map(pairs), line: line)
        case .alias:
            throw HoneError(.badFile, "an alias stands where a value is needed", file: file, line: line)
        }
    }

    /// A scalar by the core schema of YAML 1.2 (section 10.3.2): `yes` and `on` are strings.
    private static func value(of scalar: Node.Scalar) -> SettingTree.Value {
        let text = scalar.string
        guard scalar.style == .plain || scalar.style == .any else { return .string(text) }
        switch text {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .other(.bool(true), text: text)
        case "false", "False", "FALSE": return .other(.bool(false), text: text)
        default: break
        }
        guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first), text.utf8.count <= 64 else {
            return .string(text)
        }
        if let integer = Int(text) { return .other(.integer(integer), text: text) }
        let isDecimal = text.utf8.allSatisfy { "+-.0123456789eE".utf8.contains($0) }
        if isDecimal, let number = Double(text), number.isFinite { return .other(.number(number), text: text) }
        return .string(text)
    }

    private static func failure(_ error: YamlError, file: String) -> HoneError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            HoneError(
                .badFile, "this is not YAML: \(problem) (column \(mark.column))", file: file, line: mark.line)
        case .duplicatedKeysInMapping(let duplicates, let context):
            HoneError(
                .badFile, "a setting stands twice: \(Wording.columns(duplicates))", file: file,
                line: max(context.mark.line, 1))
        case .reader(let problem, let offset, _, let yaml):
            HoneError(
                .badFile, "this is not YAML: \(problem)", file: file,
                line: offset.map { DataFile.line(of: $0, in: Array(yaml.utf8)) })
        default:
            HoneError(.badFile, "this is not YAML", file: file)
        }
    }
}
