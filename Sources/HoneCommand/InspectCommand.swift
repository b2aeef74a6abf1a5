import ArgumentParser
import Hone
import HoneFormats
import HoneMethods
import HoneModels
import HoneReports
import HoneTorch

/// `hone inspect`
struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what a run or an adapter holds, and what its method learned.",
        discussion: """
              hone inspect runs/tickets-1
              hone inspect adapters/mine --model DIR        an adapter folder of PEFT, or of Hone
            """)

    @Argument(help: ArgumentHelp("The folder of a run or of an adapter.", valueName: "folder")) var folder: String
    @Option(help: "The base model's folder or name, where the folder does not say, or it has moved.") var model: String?
    @Flag(help: "List every tensor.") var tensors = false
    @Flag(help: "Print one JSON object on standard output.") var json = false

    func run() throws {
        try Engine.start(threads: nil)
        let inspection = try AdapterInspection(path: folder, model: model)
        if json {
            Console.print(json: inspection.json)
            return
        }
        for fact in inspection.facts { Console.print("\(TerminalText.padded(fact.name, to: 12)) \(fact.value)") }
        if tensors {
            var table = TextTable(["tensor", "shape", "group"])
            for parameter in inspection.parameters.all {
                table.add([parameter.name, "\(parameter.tensor.shape)", parameter.group.rawValue])
            }
            Console.print("\n" + table.text())
        }
        for figure in inspection.figures { Console.print("\n" + FigureText.text(figure)) }
    }
}

/// A method's figure in a terminal.
enum FigureText {
    /// The figure under its heading.
    static func text(_ figure: MethodFigure) -> String {
        ([figure.title] + body(figure.content) + (figure.note.isEmpty ? [] : [figure.note])).joined(separator: "\n")
    }

    private static func body(_ content: MethodFigure.Content) -> [String] {
        switch content {
        case .sentences(let sentences): return sentences
        case .table(let titles, let rows):
            var table = TextTable(titles)
            for row in rows { table.add(row) }
            return [table.text()]
        case .curves(let curves, let horizontal, let vertical):
            var table = TextTable(["curve", "first \(vertical)", "last \(vertical)", "from \(horizontal)", "to"])
            for curve in curves {
                guard let first = curve.points.first, let last = curve.points.last else { continue }
                table.add([curve.name, short(first.y), short(last.y), short(first.x), short(last.x)])
            }
            return [table.text()]
        case .map(let rows, let columns, let values): return map(rows, columns, values)
        }
    }

    /// Values where there are few columns; otherwise a shade a value.
    private static func map(_ rows: [String], _ columns: [String], _ values: [[Double]]) -> [String] {
        if columns.count <= 12 {
            var table = TextTable([""] + columns)
            for (name, line) in zip(rows, values) { table.add([name] + line.map(short)) }
            return [table.text()]
        }
        let largest = values.flatMap { $0 }.filter(\.isFinite).map(abs).max() ?? 0
        let shades = [" ", "·", "░", "▒", "▓", "█"]
        let width = rows.map(TerminalText.width).max() ?? 0
        let lines = zip(rows, values).map { name, line in
            let cells = line.map { value -> String in
                guard value.isFinite, largest > 0 else { return " " }
                return shades[min(5, Int((abs(value) / largest * 5).rounded(.up)))]
            }
            return TerminalText.padded(name, to: width) + "  " + cells.joined()
        }
        let ends = columns.first.flatMap { first in columns.last.map { "columns \(first) to \($0)" } } ?? ""
        return lines + ["\(ends); darkest: \(short(largest))"]
    }

    private static func short(_ value: Double) -> String { value.isFinite ? String(format: "%.4g", value) : "–" }
}
