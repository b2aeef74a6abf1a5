import Foundation
import HoneFormats
import Testing

/// A picture of what a method has learned, of a short run.
struct DrawnMethod: Sendable, CustomTestStringConvertible {
    let method: String
    let settings: [String]
    /// Whether the run has two tasks, `first` and `second`.
    var hasTasks = false
    /// The picture's title, and what its rows and its first columns are called.
    let title: String
    let rows: [String]
    let columns: [String]

    var testDescription: String { "\(method): \(title)" }

    /// The arguments of the run.
    func arguments(_ workshop: Workshop) throws -> [String] {
        let first = try workshop.tickets("first.csv")
        let second = try workshop.tickets("second.csv", from: 24)
        let data = hasTasks ? "first=\(first),second=\(second)" : first
        return [
            "train", data, "--method", method, "--model", try workshop.fixture("bert-tiny"), "--steps", "4",
            "--batch-size", "8", "--out", workshop.out, "--quiet",
        ] + settings.flatMap { ["--set", $0] }
    }

    static let all = [
        // It grows after every step, so that there are several times to show.
        DrawnMethod(
            method: "triadaptlora", settings: ["reference-rank=4", "interval=1"], title: "Mean rank of every layer",
            rows: ["layers.0", "layers.1"], columns: ["0", "1"]),
        DrawnMethod(
            method: "mhr", settings: ["splits=4", "skills=2"], hasTasks: true, title: "How second mixes skills",
            rows: ["layers.0", "layers.1"], columns: ["skill 1", "skill 2"]),
        DrawnMethod(
            method: "mhr", settings: ["splits=4", "skills=2"], hasTasks: true, title: "How alike tasks mix",
            rows: ["first", "second"], columns: ["first", "second"]),
        DrawnMethod(
            method: "lofit", settings: ["top=2"], title: "What the task wants changed", rows: ["layer 0", "layer 1"],
            columns: ["head 0", "head 1", "head 2", "head 3"]),
    ]
}

struct MethodFigureTests {
    /// The figure of a title in a page.
    private func figure(_ title: String, in page: String) -> String? {
        page.components(separatedBy: "<figure>").first { $0.contains("<h3>\(title)</h3>") }?
            .components(separatedBy: "</figure>").first
    }

    @Test(arguments: DrawnMethod.all)
    func `the report of a run draws what its method has learned, and inspect tells the same`(_ drawn: DrawnMethod)
        throws
    {
        let workshop = try Workshop()
        let trained = try workshop.hone(drawn.arguments(workshop))
        #expect(trained.code == 0, "\(trained.error)")
        let shown = try workshop.hone("inspect", workshop.out, "--json")
        #expect(shown.code == 0, "\(shown.error)")
        let told = try #require(
            try JSON.parse(shown.output)["figures"]?.array?.first { $0["title"]?.string == drawn.title })
        #expect(told["rows"]?.array?.compactMap(\.string) == drawn.rows)
        let columns = try #require(told["columns"]?.array).compactMap(\.string)
        #expect(Array(columns.prefix(drawn.columns.count)) == drawn.columns)
        let values = (told["values"]?.array ?? []).map { ($0.array ?? []).compactMap(\.number) }
        #expect(values.map(\.count) == drawn.rows.map { _ in columns.count }, "a number for every place")
        let page = try String(contentsOfFile: workshop.out + "/report.html", encoding: .utf8)
        let picture = try #require(figure(drawn.title, in: page), "\(drawn.title)")
        #expect(picture.contains("Map of \(drawn.rows.count) by \(columns.count) values."))
        for name in drawn.rows + drawn.columns { #expect(picture.contains("<title>\(name)</title>"), "\(name)") }
        // What is zero is left empty; of each of these, something is not.
        #expect(picture.contains("fill-opacity"))
        if drawn.hasTasks { #expect(figure("How the gradients of tasks agree", in: page)?.contains("<svg") == true) }
    }
}
