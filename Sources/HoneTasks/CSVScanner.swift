import HoneFormats

/// Goes through the bytes of a separated file, row by row.
struct CSVScanner {
    let bytes: [UInt8]
    var position: Int
    let delimiter: UInt8
    /// Whether a quote inside an unquoted field stands for itself.
    let allowsBareQuotes: Bool
    let file: String
    let limits: TableLimits
    /// The line at `position`, counted from 1.
    private var line = 1

    private static let quote: UInt8 = 0x22
    private static let lineFeed: UInt8 = 0x0A
    private static let carriageReturn: UInt8 = 0x0D

    init(bytes: [UInt8], position: Int, delimiter: Delimiter, file: String, limits: TableLimits) {
        self.bytes = bytes
        self.position = position
        self.delimiter = delimiter.rawValue
        allowsBareQuotes = delimiter == .tab
        self.file = file
        self.limits = limits
    }

    /// Gives the fields of the next row that is not empty; returns the line on which it starts, `nil` at the end.
    mutating func nextRow(_ field: (String) -> Void) throws -> Int? {
        while position < bytes.count, isLineEnd(bytes[position]) { skipLineEnd() }
        guard position < bytes.count else { return nil }
        let rowLine = line
        let rowStart = position
        // Past this position the row is longer than the limit.
        let end = rowStart > bytes.count - limits.rowBytes ? bytes.count : rowStart + limits.rowBytes
        var fields = 0
        while true {
            guard fields < limits.columns else {
                throw failure("the row has more than \(grouped(limits.columns)) fields", line: rowLine)
            }
            if position < bytes.count, bytes[position] == Self.quote {
                field(try quotedField(rowLine: rowLine, end: end))
            } else {
                field(try bareField(rowLine: rowLine, end: end))
            }
            fields += 1
            guard position < bytes.count else { return rowLine }
            if bytes[position] == delimiter {
                position += 1
            } else {
                skipLineEnd()
                return rowLine
            }
        }
    }

    private func isLineEnd(_ byte: UInt8) -> Bool { byte == Self.lineFeed || byte == Self.carriageReturn }

    private mutating func skipLineEnd() {
        let isReturn = bytes[position] == Self.carriageReturn
        position += 1
        if isReturn, position < bytes.count, bytes[position] == Self.lineFeed { position += 1 }
        line += 1
    }

    /// A field without quotes around it; ends before a separator, a line end or the end of the file.
    private mutating func bareField(rowLine: Int, end: Int) throws -> String {
        let start = position
        let separator = delimiter
        while position < end {
            let byte = bytes[position]
            if byte == separator || byte == Self.lineFeed || byte == Self.carriageReturn { break }
            if byte == Self.quote, !allowsBareQuotes {
                throw failure(
                    "a quote stands inside a field that does not begin with one; put quotes around the whole field and "
                        + "write each quote inside it twice", line: rowLine)
            }
            position += 1
        }
        try checkLength(end, line: rowLine, openQuote: nil)
        return try text(bytes[start..<position], rowLine: rowLine)
    }

    /// A field with quotes around it; ends behind the closing quote.
    private mutating func quotedField(rowLine: Int, end: Int) throws -> String {
        let quoteLine = line
        position += 1
        var start = position
        var unescaped: [UInt8] = []
        while position < end {
            let byte = bytes[position]
            if byte == Self.quote {
                let next = position + 1
                if next < bytes.count, bytes[next] == Self.quote {
                    // A doubled quote stands for one.
                    unescaped.append(contentsOf: bytes[start...position])
                    position = next + 1
                    start = position
                    continue
                }
                let piece = bytes[start..<position]
                position = next
                if next < bytes.count, bytes[next] != delimiter, !isLineEnd(bytes[next]) {
                    throw failure(
                        "text follows a closing quote (of the quote opened on line \(grouped(quoteLine))); write each "
                            + "quote inside a quoted field twice", line: rowLine)
                }
                if unescaped.isEmpty { return try text(piece, rowLine: rowLine) }
                unescaped.append(contentsOf: piece)
                return try text(unescaped[...], rowLine: rowLine)
            }
            if isLineEnd(byte) {
                if byte == Self.lineFeed || position + 1 >= bytes.count || bytes[position + 1] != Self.lineFeed {
                    line += 1
                }
            }
            position += 1
        }
        try checkLength(end, line: rowLine, openQuote: quoteLine)
        throw failure("the quote opened on line \(grouped(quoteLine)) is never closed", line: rowLine)
    }

    private func checkLength(_ end: Int, line: Int, openQuote: Int?) throws {
        guard position >= end, end < bytes.count else { return }
        let quote = openQuote.map { "; the quote opened on line \(grouped($0)) may lack its end" } ?? ""
        throw failure("the row is longer than \(grouped(limits.rowBytes)) bytes\(quote)", line: line)
    }

    private func text(_ slice: ArraySlice<UInt8>, rowLine: Int) throws -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw failure("the row is not valid UTF-8; save the file as UTF-8", line: rowLine)
        }
        return text
    }

    private func failure(_ message: String, line: Int) -> HoneError {
        HoneError(.badFile, message, file: file, line: line)
    }
}
