import Foundation
import Testing

/// Standard streams that cannot be read or written, as shells arrange them.
struct StandardStreamTests {
    /// The exit code and the words on standard error of a command under a shell's redirection.
    private func hone(_ arguments: [String], _ redirection: String, in folder: String) throws -> (Int32, String) {
        let result = try HoneProcess(arguments, in: folder, redirection: redirection).wait()
        return (result.code, result.error)
    }

    @Test(arguments: ["< .", "<&-"])
    func `standard input that cannot be read is an error of one sentence`(redirection: String) throws {
        let workshop = try Workshop()
        for arguments in try [["embed", workshop.fixture("bert-tiny")], ["predict", workshop.finishedRun()]] {
            let (code, words) = try hone(arguments, redirection, in: workshop.folder)
            #expect(code == 1 && words.hasPrefix("hone: standard input: cannot be read"), "\(words)")
            #expect(words.split(separator: "\n").count == 1)
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/dev/full")), arguments: ["> /dev/full", ">&-"])
    func `output that is lost makes a command fail, not a reader that went away`(redirection: String) throws {
        let workshop = try Workshop()
        let tokenizer = try workshop.fixture("bert-tiny")
        for arguments in [["methods"], ["methods", "--json"], ["tokenize", tokenizer, "a b"], ["--version"]] {
            let (code, words) = try hone(arguments, redirection, in: workshop.folder)
            #expect(code == 1 && words.hasPrefix("hone: standard output cannot be written: "), "\(words)")
            #expect(words.split(separator: "\n").count == 1)
            let silence = try hone(arguments, "| true", in: workshop.folder).1
            #expect(silence.isEmpty, "\(silence)")
        }
    }

    @Test func `files of a run do not become streams that are closed`() throws {
        let workshop = try Workshop()
        let (data, model) = try (workshop.tickets(), workshop.fixture("bert-tiny"))
        // One thread in both, and steps: the log of them is open all the while.
        let arguments = [
            "train", data, "--method", "lora", "--set", "rank=2", "--model", model, "--steps", "2", "--batch-size", "8",
            "--threads", "1",
        ]
        let (code, words) = try hone(
            arguments + ["--out", workshop.folder + "/quiet"], "<&- >&- 2>&-", in: workshop.folder)
        #expect(code == 1 && words.isEmpty)
        #expect(try workshop.hone(arguments + ["--out", workshop.folder + "/told"]).code == 0)
        for name in ["metrics.json", "log.jsonl"] {
            let files = [workshop.folder + "/quiet/" + name, workshop.folder + "/told/" + name]
            let lines = files.map { (FileManager.default.contents(atPath: $0) ?? Data()).split(separator: 10).count }
            #expect(lines[0] == lines[1] && lines[0] > 1, "\(name)")
        }
    }
}
