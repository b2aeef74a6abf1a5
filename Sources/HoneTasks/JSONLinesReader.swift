import HoneFormats

/// Reads JSON Lines (one object a line) and JSON files that hold one array of objects.
///
/// A UTF-8 mark at the start and blank lines are skipped; lines end in LF or CRLF.
public struct JSONLinesReader: Sendable {
    /// What is accepted at most.
    public var limits: TableLimits

    /// A reader with limits.
    public init(limits: TableLimits = .init()) {
        self.limits = limits
    }

    /// The table in a file: an array of objects if its first character is `[`, else one object a line.
    ///
    /// - Throws: `HoneError` with the file and, where one is concerned, the line.
    public func read(file path: String) throws -> Table {
        try table(from: DataFile.bytes(path: path, limit: limits.fileBytes), file: path)
    }

    /// The table in the bytes of a file: an array of objects if the first character is `[`, else one object a line.
    ///
    /// - Parameter file: The file's name for messages.
    /// - Throws: `HoneError` with the file and, where one is concerned, the line.
    public func table(from bytes: [UInt8], file: String) throws -> Table {
        let start = try DataFile.startOfText(bytes, file: file)
        guard let first = bytes[start...].firstIndex(where: { !isBlank($0) }) else {
            throw HoneError(.badFile, "the file is empty; rows are needed", file: file)
        }
        if let position = bytes.firstIndex(of: 0) {
            throw HoneError(
                .badFile, "the file holds a NUL byte; it is not text in UTF-8",
                file: file, line: DataFile.line(of: position, in: bytes))
        }
        let table =
            bytes[first] == UInt8(ascii: "[")
            ? try array(bytes, from: first, file: file) : try lines(bytes, from: start, file: file)
        guard table.count > 0 else { throw HoneError(.badFile, "the file holds no rows", file: file) }
        return table
    }

    private func lines(_ bytes: [UInt8], from start: Int, file: String) throws -> Table {
        var table = Table(file: file)
        var position = start
        var line = 0
        while position < bytes.count {
            line += 1
            let end = bytes[position...].firstIndex(of: 0x0A) ?? bytes.count
            let slice = bytes[position..<end]
            position = end + 1
            try append(slice, to: &table, line: line, what: "line")
        }
        return table
    }

    private func append(_ slice: ArraySlice<UInt8>, to table: inout Table, line: Int, what: String) throws {
        guard slice.count <= limits.rowBytes else {
            throw HoneError(
                .badFile, "the \(what) is longer than \(grouped(limits.rowBytes)) bytes", file: table.file, line: line)
        }
        guard slice.contains(where: { !isBlank($0) }) else { return }
        let value = try JSON.parse(line: slice, number: line, file: table.file)
        guard case .object(let object) = value else {
            throw HoneError(
                .badFile, "the \(what) holds \(value.kind), an object with the fields of one example is needed",
                file: table.file, line: line)
        }
        try table.append(object: object, line: line, limits: limits)
    }

    /// The elements of an array are cut apart first, so that each is parsed on its own and knows its line.
    private func array(_ bytes: [UInt8], from open: Int, file: String) throws -> Table {
        var table = Table(file: file)
        var position = open + 1
        var line = DataFile.line(of: open, in: bytes)
        var elementStart = position
        var elementLine = line
        var depth = 0
        var inString = false
        var isFresh = true
        while position < bytes.count {
            let byte = bytes[position]
            if byte == 0x0A { line += 1 }
            if isFresh, !isBlank(byte) {
                isFresh = false
                elementStart = position
                elementLine = line
            }
            if inString {
                if byte == UInt8(ascii: "\\") { position += 1 } else if byte == UInt8(ascii: "\"") { inString = false }
            } else if byte == UInt8(ascii: "\"") {
                inString = true
            } else if byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[") {
                depth += 1
            } else if depth == 0, byte == UInt8(ascii: ",") || byte == UInt8(ascii: "]") {
                let element = bytes[elementStart..<position]
                let isLast = byte == UInt8(ascii: "]")
                if !element.contains(where: { !isBlank($0) }), !(isLast && table.count == 0) {
                    throw HoneError(.badFile, "an element of the array is missing", file: file, line: line)
                }
                try append(element, to: &table, line: elementLine, what: "element")
                if isLast {
                    try checkEnd(bytes, from: position + 1, file: file, line: line)
                    return table
                }
                isFresh = true
                elementStart = position + 1
            } else if byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") {
                depth -= 1
                guard depth >= 0 else {
                    throw HoneError(.badFile, "a bracket is closed that was not opened", file: file, line: line)
                }
            }
            position += 1
        }
        throw HoneError(
            .badFile, "the array, or the element that starts here, is never closed", file: file, line: elementLine)
    }

    private func checkEnd(_ bytes: [UInt8], from position: Int, file: String, line: Int) throws {
        guard position >= bytes.count || !bytes[position...].contains(where: { !isBlank($0) }) else {
            throw HoneError(.badFile, "text follows the end of the array", file: file, line: line)
        }
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) }
}

/// Reads any of the tables that Hone knows, by the file's ending.
public enum TableReader {
    /// The endings of file names that are read.
    public static let endings = ["jsonl", "ndjson", "json", "csv", "tsv"]

    /// The table in a file: CSV (`.csv`), TSV (`.tsv`, `.tab`), JSON Lines (`.jsonl`, `.ndjson`) or JSON (`.json`).
    ///
    /// - Throws: `HoneError` with the file and, where one is concerned, the line.
    public static func read(file path: String, limits: TableLimits = .init()) throws -> Table {
        try table(from: DataFile.bytes(path: path, limit: limits.fileBytes), file: path, limits: limits)
    }

    /// The table in the bytes of a file, by the ending of its name.
    ///
    /// - Throws: `HoneError` with the file and, where one is concerned, the line.
    public static func table(from bytes: [UInt8], file: String, limits: TableLimits = .init()) throws -> Table {
        switch DataFile.ending(of: file) {
        case "csv", "tsv", "tab": try CSVReader(limits: limits).table(from: bytes, file: file)
        case "jsonl", "ndjson", "json": try JSONLinesReader(limits: limits).table(from: bytes, file: file)
        default:
            throw HoneError(
                .badFile,
                "the file's ending does not tell its format; "
                    + endings.map { "." + $0 }.joined(separator: ", ") + " are read",
                file: file)
        }
    }
}
