import Foundation
import HoneEvaluation
import HoneFormats

/// One HTML file that holds a whole report: it opens offline, prints, adapts to dark ground and to a phone, and runs no
/// script.
///
/// The same content gives the same bytes. A content security policy inside the page forbids scripts and every request.
public struct HTMLReport: Sendable {
    /// What the report shows.
    public var content: ReportContent
    /// Whether examples and outputs, which are the user's data, are shown.
    public var includesExamples: Bool
    /// How many examples of each kind are shown at most.
    public var exampleLimit: Int

    /// A report.
    public init(_ content: ReportContent, includesExamples: Bool = true, exampleLimit: Int = 24) {
        self.content = content
        self.includesExamples = includesExamples
        self.exampleLimit = exampleLimit
    }

    /// A part of the page with a heading, which the contents at the top link to.
    struct Section {
        var identifier: String
        var title: String
        var body: Markup
    }

    /// The whole page.
    public var html: String {
        let sections = [
            methodSection, resultSection, curveSection, calibrationSection, confusionSection, classSection,
            errorSection,
            sampleSection, figureSection, dataSection, usageSection, reproducibilitySection,
        ].compactMap { $0 }
        let links = sections.map { section -> Markup in
            "<a href=\"#\(section.identifier)\">\(section.title)</a>"
        }.joined()
        let parts = sections.map { section -> Markup in
            """
            <section id="\(section.identifier)" aria-labelledby="\(section.identifier)-title">
            <h2 id="\(section.identifier)-title">\(section.title)</h2>
            \(section.body)
            </section>

            """
        }.joined()
        let page: Markup = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8"/>
            <meta name="viewport" content="width=device-width, initial-scale=1"/>
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"/>
            <meta name="referrer" content="no-referrer"/>
            <meta name="color-scheme" content="light dark"/>
            <title>\(content.title) – Hone report</title>
            <style>
            \(Markup(trusted: ChartStyle.css))
            \(Markup(trusted: ReportStyle.css))
            </style>
            </head>
            <body>
            <main>
            \(header)
            \(sections.count > 2 ? "<nav aria-label=\"Contents\">\(links)</nav>" : Markup.empty)
            \(parts)</main>
            <footer>Written by Hone. Ranges after a figure are its 95 % interval unless told otherwise.</footer>
            </body>
            </html>

            """
        return page.text
    }

    /// Writes the page to a file, which appears whole or not at all.
    /// - Throws: `HoneError` of kind `fileSystem` if the file cannot be written.
    public func write(to path: String) throws {
        try AtomicFile.write(html, to: path)
    }

    private var header: Markup {
        let tiles = content.headlines.map { headline -> Markup in
            let note: Markup = headline.note.isEmpty ? "" : "<dd class=\"note\">\(headline.note)</dd>"
            return "<div><dt>\(headline.name)</dt><dd class=\"figure\">\(headline.value)</dd>\(note)</div>\n"
        }.joined()
        let warnings = content.warnings.map { warning -> Markup in "<li>\(warning)</li>" }.joined()
        let date: Markup = content.date.map { "<span>\(Self.text(of: $0))</span>" } ?? ""
        let warningBox: Markup = """
            <aside class="warning" aria-label="Warnings"><h2>Before you trust these figures</h2><ul>\(warnings)</ul></aside>
            """
        return """
            <header>
            <p class="eyebrow"><span>\(content.kind)</span>\(date)</p>
            <h1>\(content.title)</h1>
            <p class="verdict">\(content.verdict)</p>
            \(content.headlines.isEmpty ? Markup.empty : "<dl class=\"tiles\">\(tiles)</dl>")
            \(content.warnings.isEmpty ? Markup.empty : warningBox)
            </header>
            """
    }

    /// A date as "23 November 2026, 21:05 UTC".
    static func text(of date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        guard let zone = TimeZone(secondsFromGMT: 0) else { return "" }
        calendar.timeZone = zone
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute], from: date)
        let months = [
            "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November",
            "December",
        ]
        let month = months.indices.contains((parts.month ?? 1) - 1) ? months[(parts.month ?? 1) - 1] : ""
        let padded = { (number: Int) in number < 10 ? "0\(number)" : "\(number)" }
        return
            "\(parts.day ?? 0) \(month) \(parts.year ?? 0), \(padded(parts.hour ?? 0)):\(padded(parts.minute ?? 0)) UTC"
    }

    /// Facts as a list of names and values; empty where there are none.
    static func list(_ facts: [ReportContent.Fact]) -> Markup {
        guard !facts.isEmpty else { return .empty }
        let rows = facts.map { fact -> Markup in "<div><dt>\(fact.name)</dt><dd>\(fact.value)</dd></div>\n" }.joined()
        return "<dl class=\"facts\">\(rows)</dl>"
    }

    /// A chart with its caption.
    static func figure(_ title: String, _ chart: Markup, note: String = "") -> Markup {
        let note: Markup = note.isEmpty ? "" : "<p class=\"note\">\(note)</p>"
        return "<figure><figcaption><h3>\(title)</h3></figcaption>\(chart)\(note)</figure>\n"
    }

    /// The text of a figure in its style.
    static func text(_ metric: ReportContent.Metric) -> (Double) -> String {
        switch metric.style {
        case .share: NumberText.share
        case .number: { NumberText.significant($0, 4) }
        }
    }
}
