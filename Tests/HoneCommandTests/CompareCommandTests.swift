import Foundation
import Hone
import HoneFormats
import Testing

/// `hone compare` as users call it.
struct CompareCommandTests {
    private func run(_ workshop: Workshop, _ data: String, methods: String, seeds: Int, _ more: String...) throws
        -> HoneProcess.Result
    {
        try workshop.hone(
            [
                "compare", data, "--model", workshop.fixture("bert-tiny"), "--methods", methods, "--rows", "4,all",
                "--seeds",
            ]
                + ["\(seeds)", "--steps", "3-4", "--trials", "2", "--out", workshop.out, "--json"] + more)
    }

    @Test func `every method gets the same rows, and what is measured is not measured again`() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets(rows: 240)
        let words = ["fox dog the lazy over", "abcdefgh zyx", "one two three", "the quick brown", "late early late"]
        let lines = words.map { Array(repeating: $0, count: 8).joined(separator: " ") + "\n" }
        let texts = try workshop.write("other.txt", lines.joined())
        let first = try run(workshop, data, methods: "probe,bitfit,icl", seeds: 1, "--untouched", texts)
        #expect(first.code == 0, "\(first.error)")
        let records = try JSON.parse(first.output)["records"]?.array ?? []
        #expect(records.count == 6)
        for record in records where record["method"]?.string != "icl" {
            let score = try #require(record["score"]?.number)
            let forgetting = try #require(record["forgetting"]?.number)
            #expect((0...1).contains(score))
            #expect(record["rows"]?.string == "all" || record["train_rows"]?.integer == 8)
            // A probe changes nothing of the base.
            #expect((abs(forgetting) < 1e-6) == (record["method"]?.string == "probe"))
        }
        #expect(records.contains { $0["reason"]?.string?.contains("generates text") == true })
        let again = try run(workshop, data, methods: "probe,bitfit,icl", seeds: 2, "--untouched", texts)
        #expect(again.code == 0, "\(again.error)")
        let more = try JSON.parse(again.output)["records"]?.array ?? []
        #expect(more.count == 12)
        #expect(Set(more.filter { $0["seed"]?.integer == 0 }.map { $0.text() }) == Set(records.map { $0.text() }))
        let table = try String(contentsOfFile: workshop.out + "/table.md", encoding: .utf8)
        // The scores of two measured methods and a refused one, and a line for each with each number of rows.
        #expect(table.split(separator: "\n").filter { $0.hasPrefix("| ") }.count == 1 + 3 + 1 + 6)
        #expect(table.contains("±") && table.contains("| 4 rows | all rows |"))
    }

    @Test func `commands at work in one folder share the measurements`() async throws {
        let workshop = try Workshop()
        let data = try workshop.tickets(rows: 240)
        let methods = "probe,bitfit,lora,ia3"
        let both = try await withThrowingTaskGroup(of: HoneProcess.Result.self) { group in
            for _ in 0..<2 { group.addTask { try run(workshop, data, methods: methods, seeds: 2) } }
            return try await group.reduce(into: [HoneProcess.Result]()) { $0.append($1) }
        }
        for result in both { #expect(result.code == 0, "\(result.error)") }
        let lines = try String(contentsOfFile: workshop.out + "/records.jsonl", encoding: .utf8).split(separator: "\n")
        let keys = try lines.map { line in
            let record = try JSON.parse(String(line))
            return ["task", "rows", "method", "seed"].map { record[$0]?.text() ?? "" }
        }
        #expect(keys.count == 16)
        #expect(Set(keys).count == 16)
        let whole = try run(workshop, data, methods: methods, seeds: 2)
        #expect(try JSON.parse(whole.output)["records"]?.array?.count == 16)
        #expect(
            Set(try FileManager.default.contentsOfDirectory(atPath: workshop.out))
                == ["comparison.json", "records.jsonl", "table.md"])
    }

    @Test func `scores that differ surely from the reference are marked`() throws {
        func records(_ method: String, _ scores: [Double]) throws -> [ComparisonRecord] {
            try scores.enumerated().map { seed, score in
                let line: JSON = [
                    "task": "t", "rows": "16", "method": .string(method), "seed": .integer(seed),
                    "score": .number(score),
                ]
                return try ComparisonRecord(json: line, file: "records.jsonl", line: seed + 1)
            }
        }
        let all =
            try records("lora", [0.5, 0.7, 0.6]) + records("better", [0.6, 0.81, 0.7])
            + records("worse", [0.4, 0.59, 0.5])
            + records("alike", [0.6, 0.6, 0.6])
        let table = ComparisonTable(all, reference: "lora")
        let scores = table.scores(of: "t")
        #expect(scores.titles == ["method", "16 rows"])
        // Student's 0.975 quantile for two degrees of freedom is 4.3027.
        #expect(scores.cells[0] == ["lora", "0.600 ± 0.248"])
        #expect(scores.cells[1][1].hasSuffix("▲") && scores.cells[2][1].hasSuffix("▼"))
        #expect(scores.cells[3] == ["alike", "0.600"])
        #expect(table.markdown.contains("to lora, seed by seed"))
    }

    @Test func `methods that only read the training rows read those that were drawn`() throws {
        let workshop = try Workshop()
        let data = try workshop.additions(rows: 120)
        let result = try workshop.hone([
            "compare", data, "--model", workshop.fixture("gpt2-tiny"), "--methods", "tv:shots=2;tv:shots=3;icl:shots=2",
            "--rows", "3", "--seeds", "1", "--out", workshop.out, "--json",
        ])
        #expect(result.code == 0, "\(result.error)")
        let records = try JSON.parse(result.output)["records"]?.array ?? []
        #expect(records.count == 3)
        #expect(records[0]["score"]?.number != nil && records[0]["train_rows"]?.integer == 3, "\(records[0].text())")
        // Three worked examples and a question need four rows, and there are three.
        #expect(records[1]["reason"]?.string != nil, "\(records[1].text())")
    }

    @Test func `settings, wrong options and another comparison's folder are told apart`() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets(rows: 120)
        let settings = try run(workshop, data, methods: "lora:rank=2,targets=query,value;lora:rank=1", seeds: 1)
        #expect(settings.code == 0, "\(settings.error)")
        let counts = (try JSON.parse(settings.output)["records"]?.array ?? []).compactMap {
            $0["trained_parameters"]?.integer
        }
        #expect(Set(counts).count == 2)
        let other = try run(workshop, data, methods: "probe", seeds: 1, "--epochs", "3")
        #expect(other.code == 1 && other.error.contains("epochs"), "\(other.error)")
        let wrong: [([String], String)] = [
            (["--methods", "nosuch"], "nosuch"), (["--methods", "lora:rank"], "--methods"),
            (["--methods", "probe", "--rows", "many"], "--rows"),
            (["--methods", "probe", "--steps", "9-3"], "--steps"),
            (["--methods", "probe", "--reference", "lora"], "--reference"), (["--methods", "probe,probe"], "twice"),
        ]
        for (arguments, word) in wrong {
            let result = try workshop.hone(
                ["compare", data, "--model", workshop.fixture("bert-tiny"), "--out", workshop.folder + "/x"] + arguments
            )
            #expect(result.code == 2 && result.error.contains(word), "\(arguments): \(result.error)")
        }
    }
}
