import HoneEvaluation

extension ReportContent {
    /// Something that a method has to show of what it learned.
    public struct Figure: Codable, Hashable, Sendable {
        /// A curve by name.
        public struct Curve: Codable, Hashable, Sendable {
            /// What the legend calls it.
            public var name: String
            /// Its points.
            public var points: [ChartPoint]

            /// A curve from its points.
            public init(name: String, points: [ChartPoint]) {
                self.name = name
                self.points = points
            }
        }

        /// What is shown.
        public enum Content: Codable, Hashable, Sendable {
            /// Facts in words.
            case sentences([String])
            /// Rows of as many cells as there are titles.
            case table(titles: [String], rows: [[String]])
            /// A map of values.
            case map(rows: [String], columns: [String], values: [[Double]])
            /// Curves over a common axis.
            case curves([Curve], horizontal: String, vertical: String)
        }

        /// What it shows, as a heading.
        public var title: String
        /// How to read it.
        public var note: String
        /// What is shown.
        public var content: Content

        /// A figure.
        public init(title: String, note: String = "", content: Content) {
            self.title = title
            self.note = note
            self.content = content
        }
    }
}

extension HTMLReport {
    /// What the chosen method learned, as it shows it.
    var figureSection: Section? {
        guard !content.figures.isEmpty else { return nil }
        let parts = content.figures.map { figure -> Markup in
            Self.figure(figure.title, Self.body(of: figure.content), note: figure.note)
        }.joined()
        return Section(identifier: "learned", title: "What was learned", body: parts)
    }

    private static func body(of content: ReportContent.Figure.Content) -> Markup {
        switch content {
        case .sentences(let sentences):
            return sentences.map { sentence -> Markup in "<p>\(sentence)</p>" }.joined()
        case .table(let titles, let rows):
            let heads = titles.map { title -> Markup in "<th scope=\"col\">\(title)</th>" }.joined()
            let lines = rows.map { row -> Markup in
                let cells = titles.indices.map { column -> Markup in
                    let text = row.indices.contains(column) ? row[column] : ""
                    return TextTable.looksNumeric(text) ? "<td class=\"n\">\(text)</td>" : "<td>\(text)</td>"
                }.joined()
                return "<tr>\(cells)</tr>"
            }.joined()
            return
                "<div class=\"scroll\"><table><thead><tr>\(heads)</tr></thead><tbody>\(lines)</tbody></table></div>"
        case .map(let rows, let columns, let values):
            return "<div class=\"scroll\">\(ValueMap(rows: rows, columns: columns, values: values).markup)</div>"
        case .curves(let curves, let horizontal, let vertical):
            let series = curves.enumerated().map { place, curve in
                LineChart.Series(name: curve.name, points: curve.points, colour: place)
            }
            return LineChart(series: series, horizontalTitle: horizontal, verticalTitle: vertical).markup
        }
    }
}
