import Foundation
import HoneFormats
import Testing

/// `hone embed` as users call it.
struct EmbedCommandTests {
    private func vectors(_ json: JSON) -> [[Double]] {
        (json["embeddings"]?.array ?? []).map { ($0.array ?? []).compactMap(\.number) }
    }

    @Test func `vectors come as JSON, as lines, and in both kinds of files`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("bert-tiny")
        let json = try JSON.parse(workshop.hone("embed", model, "a b", "the fox", "--json").output)
        let expected = vectors(json)
        #expect(expected.map(\.count) == [24, 24] && json["width"]?.integer == 24)
        let plain = try workshop.hone("embed", model, input: "a b\nthe fox\n").output
        let rows = plain.split(separator: "\n").map { $0.split(separator: " ").compactMap { Double($0) } }
        for (row, wanted) in zip(rows, expected) { #expect(zip(row, wanted).allSatisfy { abs($0 - $1) < 1e-5 }) }
        #expect(rows.map(\.count) == [24, 24])
        let file = try workshop.write("texts.csv", "id,text\n1,a b\n2,the fox\n")
        let lines = workshop.folder + "/v.jsonl"
        let made = try workshop.hone("embed", model, "--file", file, "--out", lines)
        #expect(made.code == 0 && made.output == "2 texts, 24 numbers each, in \(lines)\n", "\(made.error)")
        let read = try String(contentsOfFile: lines, encoding: .utf8).split(separator: "\n").map {
            try JSON.parse(String($0))
        }
        #expect(read.map { $0["text"]?.string } == ["a b", "the fox"])
        #expect(read.map { ($0["embedding"]?.array ?? []).compactMap(\.number) } == expected)
        let tensors = workshop.folder + "/v.safetensors"
        #expect(try workshop.hone("embed", model, "--file", file, "--out", tensors, "--json").code == 0)
        let entry = try #require(try SafetensorsFile(path: tensors).entry(named: "embeddings"))
        #expect(entry.shape == [2, 24] && entry.dtype == .float32)
    }

    @Test func `a run's adapter changes the vectors`() throws {
        let workshop = try Workshop()
        let run = try workshop.finishedRun()
        let own = try workshop.hone("embed", run, "a b", "--json")
        #expect(own.code == 0, "\(own.error)")
        let base = try workshop.hone("embed", workshop.fixture("bert-tiny"), "a b", "--json")
        #expect(try vectors(JSON.parse(own.output)) != vectors(JSON.parse(base.output)))
    }

    @Test func `what cannot be done is said in one sentence`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("bert-tiny")
        for (arguments, code, word) in [
            (["embed", "nowhere", "a"], 2, "folder"), (["embed", model], 2, "nothing"),
            (["embed", model, "a", "--out", "x.bin"], 2, "--out"),
            (["embed", model, "a", "--file", "b.txt"], 2, "--file"),
            (["embed", model, "a", "--prompt-name", "query"], 2, "--prompt-name"),
            (["embed", try workshop.fixture("gpt2-tiny"), "a"], 1, "modules.json"),
        ] as [([String], Int32, String)] {
            let result = try workshop.hone(arguments)
            #expect(result.code == code && result.error.contains(word), "\(arguments): \(result.code) \(result.error)")
            #expect(result.error.split(separator: "\n").count == 1 && result.output.isEmpty)
        }
    }
}
