import HoneFormats

/// The rows of one data file: named columns, and for each row its values and the line on which it starts.
///
/// Values from CSV are strings; values from JSON keep their kind. A row of JSON that lacks a column has `null` there.
/// The memory is proportional to the file, also where each row of a JSON Lines file has keys of its own.
public struct Table: Sendable {
    /// The file, as the user named it.
    public let file: String
    /// The column names: of the header, or the keys of all rows in the order in which they first appear.
    public private(set) var columns: [String]
    private var positions: [String: Int]
    private var lines: [Int] = []
    private var rowStarts: [Int] = [0]
    private var cells: [JSON] = []
    /// The column of each cell; empty for rows which all have all columns.
    private var cellColumns: [Int32] = []
    private let isRagged: Bool

    /// One row: a view that keeps the table alive.
    public struct Row: Sendable {
        let table: Table
        /// Which row, counted from 0.
        public let index: Int
        /// The line of the file on which the row starts, counted from 1.
        public var line: Int { table.line(ofRow: index) }
        /// The value in a column by its name; `null` where the row or the table has none.
        public subscript(column: String) -> JSON {
            table.position(of: column).map { table[index, $0] } ?? .null
        }
        /// The values in the order of the table's columns.
        public var values: [JSON] { table.columns.indices.map { table[index, $0] } }
    }

    /// An empty table whose rows all have these columns.
    init(file: String, columns: [String]) {
        self.file = file
        self.columns = columns
        positions = Dictionary(columns.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        isRagged = false
    }

    /// An empty table whose columns are found as rows are added.
    init(file: String) {
        self.file = file
        columns = []
        positions = [:]
        isRagged = true
    }

    /// How many rows there are.
    public var count: Int { lines.count }

    /// The rows in the order of the file.
    public var rows: some RandomAccessCollection<Row> { (0..<count).lazy.map { Row(table: self, index: $0) } }

    /// The row at an index from 0.
    public func row(_ index: Int) -> Row { Row(table: self, index: index) }

    /// The line of the file on which a row starts, counted from 1.
    public func line(ofRow index: Int) -> Int { lines.indices.contains(index) ? lines[index] : 0 }

    /// Where a column stands, counted from 0.
    public func position(of column: String) -> Int? { positions[column] }

    /// The value in a row and a column, both counted from 0; `null` where there is none.
    public subscript(row: Int, column: Int) -> JSON {
        guard row >= 0, row < lines.count, column >= 0, column < columns.count else { return .null }
        let start = rowStarts[row]
        let end = rowStarts[row + 1]
        let usual = start + column
        if !isRagged { return usual < end ? cells[usual] : .null }
        // Rows mostly have the same keys in the same order.
        if usual < end, cellColumns[usual] == Int32(column) { return cells[usual] }
        for index in start..<end where cellColumns[index] == Int32(column) { return cells[index] }
        return .null
    }

    /// Gives all values of the table, row by row, with the column of each; values that rows lack are not given.
    func forEachCell(_ body: (_ column: Int, _ value: JSON) -> Void) {
        guard !isRagged else {
            for index in cells.indices { body(Int(cellColumns[index]), cells[index]) }
            return
        }
        for index in cells.indices { body(index % columns.count, cells[index]) }
    }

    /// Adds the next value of the row being read, in a table with fixed columns.
    mutating func append(cell: JSON) { cells.append(cell) }

    /// How many values the row being read has so far.
    var openCells: Int { cells.count - (rowStarts.last ?? 0) }

    /// Ends the row being read.
    mutating func endRow(line: Int) {
        lines.append(line)
        rowStarts.append(cells.count)
    }

    /// Adds a row given as an object; new keys become columns.
    mutating func append(object: JSONObject, line: Int, limits: TableLimits) throws {
        for key in object.keys {
            let position: Int
            if let known = positions[key] {
                position = known
            } else {
                guard columns.count < limits.columns else {
                    throw HoneError(
                        .badFile,
                        "the rows have more than \(grouped(limits.columns)) different keys; a table of examples has a few",
                        file: file, line: line)
                }
                position = columns.count
                columns.append(key)
                positions[key] = position
            }
            cells.append(object[key] ?? .null)
            cellColumns.append(Int32(position))
        }
        endRow(line: line)
    }
}

/// What a reader of tables accepts at most.
public struct TableLimits: Sendable, Hashable {
    /// The length of a row in bytes: 16 MiB.
    public var rowBytes = 16 << 20
    /// The number of columns: 4,096.
    public var columns = 4_096
    /// The length of a file in bytes: 8 GiB.
    public var fileBytes = 8 << 30

    /// The usual limits.
    public init() {}
}
