import Foundation
import HoneFormats
import Testing

/// `hone graft` as users call it.
@Suite struct GraftCommandTests {
    /// A run with the layers fine-tuned, over a tiny encoder.
    private func tuned(_ workshop: Workshop, _ name: String, from first: Int = 0) throws -> (run: String, data: String)
    {
        let data = try workshop.tickets(name + ".csv", from: first)
        let run = workshop.folder + "/" + name
        let result = try workshop.hone(
            "train", data, "--method", "graft", "--set", "mask=whole", "--model", workshop.fixture("bert-tiny"),
            "--steps",
            "12", "--batch-size", "8", "--learning-rate", "0.01", "--out", run, "--quiet")
        #expect(result.code == 0, "\(result.error)")
        return (run, data)
    }

    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        return try JSON.parse(result.output)
    }

    @Test func `a graft is made of a run, measured, joined, compared and put in`() throws {
        let workshop = try Workshop()
        let (first, data) = try tuned(workshop, "first")
        let (second, other) = try tuned(workshop, "second", from: 24)
        let test = try workshop.tickets("test.csv", rows: 20, from: 100)
        var files: [String] = []
        for (run, rows) in [(first, data), (second, other)] {
            let out = run + ".graft"
            let made = try json(
                workshop.hone(
                    "graft", "make", "--finetuned", run, "--data", rows, "--test", test, "--keep", "0.02", "--rounds",
                    "2",
                    "--out", out, "--json", "--quiet", "--threads", "1"))
            let (count, total) = try (#require(made["k"]?.integer), #require(made["n"]?.integer))
            // The search may turn ones off, and never has more.
            #expect((1...total / 50).contains(count))
            for split in ["train", "test"] {
                let scores = made["scores"]?[split]
                for key in ["base", "finetuned", "graft", "rest_zeroed"] {
                    let accuracy = try #require(scores?[key]?["accuracy"]?.number)
                    #expect((0...1).contains(accuracy) && scores?[key]?["ece_percent"]?.number != nil)
                }
                #expect((0...1).contains(scores?["agreement"]?.number ?? -1))
            }
            files.append(out)
        }
        let union = workshop.folder + "/both.graft"
        let joined = try json(workshop.hone("graft", "union", files[0], files[1], "--out", union, "--json"))
        let overlap = try json(workshop.hone("graft", "overlap", files[0], files[1], "--json"))
        let common = try #require(overlap["pairs"]?.array?.first?["common"]?.integer)
        let size = try #require(overlap["pairs"]?.array?.first?["chance"]?.number)
        #expect(abs(size - 0.02) < 0.005 && overlap["pairs"]?.array?.count == 2)
        let sizes = (overlap["pairs"]?.array ?? []).compactMap { pair -> Int? in
            guard let share = pair["share"]?.number, share > 0 else { return nil }
            return Int((Double(common) / share).rounded())
        }
        #expect(try #require(joined["k"]?.integer) == sizes.reduce(0, +) - common)
        let places = try json(workshop.hone("graft", "where", files[0], "--json"))
        let sum = (places["kinds"]?.array ?? []).reduce(0) { $0 + ($1["count"]?.integer ?? 0) }
        #expect(sum > 0 && sum == places["k"]?.integer)
        let measured = try json(
            workshop.hone("graft", "eval", union, "--head", files[0], "--data", test, "--json", "--threads", "1"))
        #expect(measured["graft"]?["n"]?.integer == 20)
        // A graft that is put in is a model of its own; a graft of it is a graft on another base.
        let model = workshop.folder + "/grafted"
        _ = try json(workshop.hone("graft", "apply", files[0], "--out", model, "--json"))
        let again = try workshop.hone("graft", "eval", files[0], "--model", model, "--data", test)
        #expect(again.code == 1 && again.error.contains("another base"))
        let from = try json(
            workshop.hone(
                "graft", "make", "--base", workshop.fixture("bert-tiny"), "--finetuned", model, "--data", data,
                "--keep",
                "0.5", "--no-train", "--out", workshop.folder + "/again.graft", "--json", "--quiet"))
        #expect(from["k"]?.integer == places["k"]?.integer, "as many coordinates as the first graft moved")
        for text in [["graft", "where", files[0]], ["graft", "overlap", files[0], files[1]]] {
            #expect(try workshop.hone(text).code == 0)
        }
    }

    @Test func `a run of the method itself is a graft`() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let trained = try workshop.hone(
            "train", data, "--method", "graft", "--set", "keep=0.03", "--set", "mask=movement", "--model",
            workshop.fixture("bert-tiny"), "--steps", "6", "--batch-size", "8", "--out", workshop.out, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        let places = try json(workshop.hone("graft", "where", workshop.out, "--json"))
        #expect(try #require(places["k"]?.integer) == (places["n"]?.integer ?? 0) * 3 / 100)
        let measured = try json(workshop.hone("graft", "eval", workshop.out, "--data", data, "--json"))
        let evaluated = try json(workshop.hone("eval", workshop.out, "--data", data, "--json"))
        #expect(measured["graft"]?["accuracy"]?.number == evaluated["accuracy"]?["value"]?.number)
    }

    @Test func `label words of a generator are its completions, and have to be one token each`() throws {
        let workshop = try Workshop()
        let rows = (0..<12).map { #"{"prompt": "the \#($0 % 3) cat", "completion": "\#($0 % 2 == 0 ? "a" : "b")"}"# }
        let data = try workshop.write("rows.jsonl", rows.joined(separator: "\n") + "\n")
        let trained = try workshop.hone(
            "train", data, "--method", "graft", "--set", "mask=whole", "--model", workshop.fixture("llama-tiny"),
            "--steps",
            "4", "--batch-size", "6", "--out", workshop.out, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        let arguments = [
            "graft", "make", "--finetuned", workshop.out, "--data", data, "--keep", "0.01", "--no-train", "--out",
            workshop.folder + "/a.graft", "--json", "--quiet",
        ]
        let made = try workshop.hone(arguments)
        #expect(made.code == 0, "\(made.error)")
        #expect(try JSON.parse(made.output)["scores"]?["train"]?["graft"]?["n"]?.integer == 12)
        let long = try workshop.hone(arguments + ["--labels", "a,a b c d e f g"])
        #expect(long.code == 1 && long.error.contains("a label word has to be one"), "\(long.error)")
    }

    @Test(arguments: [
        ("--keep", "0", "--keep"), ("--keep", "1", "--keep"), ("--keep", "x", "--keep"), ("--mask", "whole", "--mask"),
        ("--rounds", "-1", "rounds"), ("--batch-size", "0", "--batch-size"),
    ])
    func `what cannot be is refused by name`(option: String, value: String, named: String) throws {
        let workshop = try Workshop()
        let result = try workshop.hone(
            "graft", "make", "--finetuned", workshop.finishedRun(), "--data", workshop.tickets(), "--out",
            workshop.out, option + "=" + value)
        #expect(result.code == 2 && result.error.contains(named), "\(result.error)")
        #expect(!FileManager.default.fileExists(atPath: workshop.out))
    }

    @Test func `models that are the same, other models and missing heads are refused`() throws {
        let workshop = try Workshop()
        let (bert, gpt) = try (workshop.fixture("bert-tiny"), workshop.fixture("gpt2-tiny"))
        let data = try workshop.tickets()
        func make(_ base: String, _ tuned: String) throws -> String {
            let result = try workshop.hone(
                "graft", "make", "--base", base, "--finetuned", tuned, "--data", data, "--out", workshop.out)
            #expect(result.code == 1, "\(result.error)")
            return result.error
        }
        #expect(try make(bert, gpt).contains("different models"))
        #expect(try make(bert, bert).contains("classification_head.safetensors"))
        let none = try workshop.hone("graft", "where", data, "--model", bert)
        #expect(none.code == 1)
    }
}
