import HoneFormats

/// What separates the fields of a row.
public enum Delimiter: UInt8, Sendable, CaseIterable {
    /// `,` as in RFC 4180.
    case comma = 0x2C
    /// A tab, as in TSV files.
    case tab = 0x09
    /// `;` as spreadsheets write where the comma is the decimal mark.
    case semicolon = 0x3B

    /// The name for messages.
    public var name: String {
        switch self {
        case .comma: "comma"
        case .tab: "tab"
        case .semicolon: "semicolon"
        }
    }
}

/// Reads comma-, tab- and semicolon-separated files with a header (RFC 4180).
///
/// Beyond RFC 4180: lines may end in LF, CRLF or CR; a UTF-8 mark at the start is skipped; empty lines are skipped; in
/// tab-separated files a quote inside an unquoted field stands for itself, because most such files know no quoting.
/// Everything else that RFC 4180 does not allow is an error with the line on which the row starts.
public struct CSVReader: Sendable {
    /// The separator; `nil` finds it: a tab for `.tsv` and `.tab`, else from the first rows.
    public var delimiter: Delimiter?
    /// What is accepted at most.
    public var limits: TableLimits

    /// A reader with a separator, or one that finds the separator.
    public init(delimiter: Delimiter? = nil, limits: TableLimits = .init()) {
        self.delimiter = delimiter
        self.limits = limits
    }

    /// The table in a file.
    ///
    /// - Throws: `HoneError` with the file and, where one is concerned, the line on which the row starts.
    public func read(file path: String) throws -> Table {
        try table(from: DataFile.bytes(path: path, limit: limits.fileBytes), file: path)
    }

    /// The table in the bytes of a file.
    ///
    /// - Parameter file: The file's name for messages; its ending helps to find the separator.
    /// - Throws: `HoneError` with the file and, where one is concerned, the line on which the row starts.
    public func table(from bytes: [UInt8], file: String) throws -> Table {
        let start = try DataFile.startOfText(bytes, file: file)
        guard bytes[start...].contains(where: { !isBlank($0) }) else {
            throw HoneError(.badFile, "the file is empty; a header and rows are needed", file: file)
        }
        if let position = bytes.firstIndex(of: 0) {
            throw HoneError(
                .badFile, "the file holds a NUL byte; it is not text in UTF-8",
                file: file, line: DataFile.line(of: position, in: bytes))
        }
        let delimiter = delimiter ?? Self.detect(bytes, from: start, file: file, limits: limits)
        var scanner = CSVScanner(bytes: bytes, position: start, delimiter: delimiter, file: file, limits: limits)

        var names: [String] = []
        guard let headerLine = try scanner.nextRow({ names.append($0) }) else {
            throw HoneError(.badFile, "the file is empty; a header and rows are needed", file: file)
        }
        let columns = try Self.columns(names, file: file, line: headerLine)
        var table = Table(file: file, columns: columns)
        while let line = try scanner.nextRow({ table.append(cell: .string($0)) }) {
            let fields = table.openCells
            guard fields == columns.count else {
                throw HoneError(
                    .badFile,
                    "the row has \(counted(fields, "field")), the header has \(grouped(columns.count)) "
                        + "(separator: \(delimiter.name)); a field that holds a \(delimiter.name) or a line break needs "
                        + "quotes around it",
                    file: file, line: line)
            }
            table.endRow(line: line)
        }
        guard table.count > 0 else {
            throw HoneError(.badFile, "the file has a header and no rows", file: file, line: headerLine)
        }
        return table
    }

    private func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D }

    /// The names of a header, checked: distinct, and with a stand-in for an index column without a name.
    private static func columns(_ header: [String], file: String, line: Int) throws -> [String] {
        var seen: Set<String> = []
        return try header.enumerated().map { index, name in
            let trimmed = name.trimmedOfWhitespace()
            let name = trimmed.isEmpty ? "column \(index + 1)" : trimmed
            guard seen.insert(name).inserted else {
                throw HoneError(
                    .badFile, "the header names \(Wording.column(name, at: index)) twice; rename one of them",
                    file: file, line: line, item: Wording.looksLikeName(name) ? name : nil)
            }
            return name
        }
    }

    /// The separator of a file: by its ending, else the one that cuts the first rows into the most equal fields.
    static func detect(_ bytes: [UInt8], from start: Int, file: String, limits: TableLimits) -> Delimiter {
        if ["tsv", "tab"].contains(DataFile.ending(of: file)) { return .tab }
        var best: (delimiter: Delimiter, score: Int) = (.comma, 0)
        for candidate in Delimiter.allCases {
            var scanner = CSVScanner(bytes: bytes, position: start, delimiter: candidate, file: file, limits: limits)
            var counts: [Int] = []
            while counts.count < 20 {
                var fields = 0
                guard let line = try? scanner.nextRow({ _ in fields += 1 }), line > 0 else { break }
                counts.append(fields)
            }
            guard let header = counts.first, header > 1 else { continue }
            let equal = counts.allSatisfy { $0 == header }
            let score = (equal ? 1_000_000 : 0) + header
            if score > best.score { best = (candidate, score) }
        }
        return best.delimiter
    }
}

extension String {
    /// The string without white space at both ends.
    func trimmedOfWhitespace() -> String {
        var view = self[...]
        while let first = view.first, first.isWhitespace { view.removeFirst() }
        while let last = view.last, last.isWhitespace { view.removeLast() }
        return String(view)
    }
}
