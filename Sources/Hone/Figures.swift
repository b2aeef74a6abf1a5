import HoneMethods
import HoneModels
import HoneReports

extension ReportContent.Figure {
    /// A method's figure as the report draws it.
    init(_ figure: MethodFigure) {
        let content: Content =
            switch figure.content {
            case .sentences(let sentences): .sentences(sentences)
            case .table(let titles, let rows): .table(titles: titles, rows: rows)
            case .map(let rows, let columns, let values): .map(rows: rows, columns: columns, values: values)
            case .curves(let curves, let horizontal, let vertical):
                .curves(
                    curves.map { .init(name: $0.name, points: $0.points.map { ChartPoint(x: $0.x, y: $0.y) }) },
                    horizontal: horizontal, vertical: vertical)
            }
        self.init(title: figure.title, note: figure.note, content: content)
    }
}

extension Adapter {
    /// What the method shows of what it learned on a base.
    public func figures(of model: BaseModel) throws -> [MethodFigure] {
        try method.figures(parameters, of: model.part(for: task, type(of: method)))
    }
}
