import Foundation
import Testing

/// The help pages as users see them; a change of one shows in the diff.
///
/// `HONE_WRITE_HELP=1 swift test --filter HelpTests` writes them anew.
@Suite struct HelpTests {
    @Test(
        "the help page is the one that was reviewed",
        arguments: [
            "", "fit", "train", "predict", "eval", "export", "score", "generate", "chat", "embed", "methods", "pull",
            "doctor",
        ])
    func page(_ verb: String) throws {
        let workshop = try Workshop()
        let result = try workshop.hone(
            verb.isEmpty ? ["--help"] : ["help", verb], environment: ["COLUMNS": "100"])
        #expect(result.code == 0 && result.error.isEmpty, "\(result.error)")
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/help/\(verb.isEmpty ? "hone" : verb).txt")
        if ProcessInfo.processInfo.environment["HONE_WRITE_HELP"] == "1" {
            try result.output.write(to: file, atomically: true, encoding: .utf8)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == result.output)
    }

    @Test("`hone` alone explains itself")
    func alone() throws {
        let result = try Workshop().hone([])
        #expect(result.code == 0 && result.output.contains("USAGE: hone <subcommand>"))
    }
}
