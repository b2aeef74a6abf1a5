import Foundation
import HoneEvaluation
import HoneFormats
import Testing

@testable import HoneReports

#if canImport(FoundationXML)
import FoundationXML
#endif

/// Whether a text is well-formed XML, which the pages and drawings are on top of being HTML.
func isWellFormed(_ text: String) -> Bool {
    XMLParser(data: Data(text.utf8)).parse()
}

struct ReportTests {
    @Test(arguments: [2, 3, 12, 30, 150]) func `writes a well-formed page for any number of classes`(classes: Int)
        throws
    {
        let html = HTMLReport(try SampleReports.classification(classCount: classes, examples: 400)).html
        #expect(isWellFormed(html))
        #expect(!html.contains("<script"))
        #expect(html.utf8.count < 400_000)
        for heading in [
            "Methods tried", "Result on the test examples", "Training", "Calibration", "Confusion", "Use it",
        ] {
            #expect(html.contains(">\(heading)</h2>"))
        }
    }

    @Test func `shows generation and leaves out what there is nothing for`() {
        let html = HTMLReport(SampleReports.generation()).html
        #expect(isWellFormed(html))
        #expect(html.contains("Sample outputs") && html.contains("Perplexity"))
        for heading in ["Confusion", "Calibration", "Data", "Use it", "Do it again", "Result on the test examples"] {
            #expect(!html.contains("\(heading)</h2>"))
        }
        let bare = HTMLReport(ReportContent(title: "t", kind: "k", verdict: "v")).html
        #expect(isWellFormed(bare) && !bare.contains("<section") && !bare.contains("<nav"))
    }

    @Test func `shows what a method learned`() {
        var content = SampleReports.generation()
        content.figures = [
            .init(title: "In words <1>", content: .sentences(["Rank 3 & 4."])),
            .init(title: "A table", content: .table(titles: ["name", "value"], rows: [["a<", "1.5"], ["b"]])),
            .init(
                title: "A map", note: "Darker is more.",
                content: .map(
                    rows: (0..<60).map { "layer \($0)" }, columns: (0..<40).map { "head \($0)" },
                    values: (0..<60).map { row in (0..<40).map { Double(row * $0) - 100 } })),
            .init(
                title: "Curves",
                content: .curves(
                    [.init(name: "rank", points: [.init(x: 0, y: 1), .init(x: 10, y: 4)])], horizontal: "step",
                    vertical: "rank")),
        ]
        let html = HTMLReport(content).html
        #expect(isWellFormed(html))
        #expect(html.contains(">What was learned</h2>") && html.contains("In words &lt;1&gt;"))
        #expect(html.contains("Largest: layer 59, head 39 with 2,201"))
    }

    @Test func `escapes every text`() throws {
        var content = try SampleReports.classification(classCount: 12, examples: 200)
        content.title = "<script>alert('title')</script> & \"co\" \u{1b}[31m"
        content.methods[0].name = "</style><img src=x onerror=\"1\">"
        content.curves[0].method = content.methods[0].name
        content.settings = "</code></pre><script>"
        let html = HTMLReport(content).html
        #expect(isWellFormed(html))
        #expect(!html.contains("<script") && !html.contains("<img") && !html.contains("\u{1b}"))
        #expect(html.contains("&lt;script&gt;alert(&#39;title&#39;)&lt;/script&gt; &amp; &quot;co&quot;"))
    }

    @Test func `leaves out the user's texts on request`() throws {
        let content = try SampleReports.classification(classCount: 3, examples: 100)
        let text = "what now?"
        #expect(HTMLReport(content).html.contains(text))
        #expect(HTMLReport(content).html.contains("are your data"))
        #expect(!HTMLReport(content, includesExamples: false).html.contains(text))
        #expect(!HTMLReport(SampleReports.generation(), includesExamples: false).html.contains("Hummus"))
    }

    @Test func `gives the same bytes for the same content, also after JSON`() throws {
        var content = try SampleReports.classification(classCount: 4, examples: 100)
        content.methods[0].validation[0].interval = .none
        content.curves[0].points[3].y = .nan
        let again = try JSONDecoder().decode(ReportContent.self, from: JSONEncoder().encode(content))
        #expect(HTMLReport(content).html == HTMLReport(again).html)
    }

    @Test func `writes files and names those that it cannot write`() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "hone-report-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "report.html").path
        try HTMLReport(SampleReports.generation()).write(to: path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == HTMLReport(SampleReports.generation()).html)
        #expect(throws: HoneError.self) {
            try HTMLReport(SampleReports.generation()).write(to: folder.path + "/missing/report.html")
        }
    }

    /// Writes pages to look at: HONE_SAMPLE_REPORTS=folder swift test --filter "sample pages"
    @Test(.enabled(if: ProcessInfo.processInfo.environment["HONE_SAMPLE_REPORTS"] != nil))
    func `writes sample pages to look at`() throws {
        let folder = try #require(ProcessInfo.processInfo.environment["HONE_SAMPLE_REPORTS"])
        for classes in [2, 12, 30, 150] {
            let examples = classes > 100 ? 3000 : 1000
            let content = try SampleReports.classification(classCount: classes, examples: examples)
            try HTMLReport(content).write(to: "\(folder)/classification-\(classes).html")
        }
        try HTMLReport(SampleReports.generation()).write(to: "\(folder)/generation.html")
    }

    @Test func `writes dates and learning rates`() {
        #expect(HTMLReport.text(of: Date(timeIntervalSince1970: 1_795_467_900)) == "23 November 2026, 21:05 UTC")
        #expect(HTMLReport.rate(0.0002) == "2e−4")
        #expect(HTMLReport.rate(0.00015) == "1.5e−4")
        #expect(HTMLReport.rate(0.1) == "1e−1")
        #expect(HTMLReport.rate(.nan) == "–")
        #expect(HTMLReport.shortened("abcdef", limit: 3) == "abc …")
        #expect(HTMLReport.shortened("abc", limit: 3) == "abc")
    }
}
