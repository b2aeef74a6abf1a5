import Foundation
import HoneFormats
import Testing

/// `hone graft` as users call it.
@Suite struct GraftCommandTests {
    /// A run with the layers fine-tuned, over a tiny encoder where no model is named.
    private func tuned(
        _ workshop: Workshop, _ name: String, from first: Int = 0, on model: String? = nil
    ) throws -> (run: String, data: String) {
        let data = try workshop.tickets(name + ".csv", from: first)
        let run = workshop.folder + "/" + name
        let model = try model ?? workshop.fixture("bert-tiny")
        let result = try workshop.hone(
            "train", data, "--method", "graft", "--set", "mask=whole", "--model", model, "--steps", "12",
            "--batch-size", "8", "--learning-rate", "0.01", "--out", run, "--quiet")
        #expect(result.code == 0, "\(result.error)")
        return (run, data)
    }

    /// A graft of a fine-tuned run: the coordinates that moved furthest.
    private func graft(_ workshop: Workshop, of tuned: (run: String, data: String)) throws -> String {
        let file = tuned.run + ".graft"
        let made = try workshop.hone(
            "graft", "make", "--finetuned", tuned.run, "--data", tuned.data, "--keep", "0.02", "--no-train", "--quiet",
            "--threads", "1", "--out", file)
        #expect(made.code == 0, "\(made.error)")
        return file
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
        ("--rounds", "-1", "rounds"), ("--batch-size", "0", "--batch-size"), ("--mask-offset", "x", "mask-offset"),
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

    @Test func `a task is measured by its own head after another was learned on top of it`() throws {
        let workshop = try Workshop()
        let test = try workshop.tickets("test.csv", rows: 20, from: 100)
        func measure(_ arguments: String...) throws -> JSON {
            try json(workshop.hone(["graft", "eval"] + arguments + ["--data", test, "--json", "--threads", "1"]))
        }
        let first = try graft(workshop, of: tuned(workshop, "first"))
        let alone = try measure(first)
        let model = workshop.folder + "/grafted"
        _ = try json(workshop.hone("graft", "apply", first, "--out", model, "--json"))
        let later = try graft(workshop, of: tuned(workshop, "later", from: 24, on: model))
        let measured = try measure(later, "--head", first, "--model", model)
        #expect(measured["graft"]?["n"]?.integer == 20 && (measured["k"]?.integer ?? 0) > 0)
        // Without the later graft, the model is the first base with the first graft, and so are its answers.
        let (before, wanted) = (measured["base"], alone["graft"])
        #expect(before?["accuracy"]?.number != nil && before?["accuracy"]?.number == wanted?["accuracy"]?.number)
        let errors = try [before, wanted].map { try #require($0?["ece_percent"]?.number) }
        #expect(abs(errors[0] - errors[1]) < 1e-2)
        // Only the head is free of its base: the coordinates are not.
        let moved = try workshop.hone("graft", "eval", first, "--model", model, "--data", test)
        #expect(moved.code == 1 && moved.error.contains("another base"), "\(moved.error)")
    }

    @Test func `a head for states of another width is refused`() throws {
        let workshop = try Workshop()
        let (own, other) = try (
            graft(workshop, of: tuned(workshop, "own")),
            graft(workshop, of: tuned(workshop, "narrow", on: workshop.fixture("roberta")))
        )
        let refused = try workshop.hone("graft", "eval", own, "--head", other, "--data", workshop.tickets())
        #expect(refused.code == 1 && refused.error.contains("narrow.graft: head.weight"), "\(refused.error)")
        #expect(refused.error.contains("16 numbers") && refused.error.contains("have 24"), "\(refused.error)")
        Refusal.check(refused)
    }

    @Test func `a graft with more labels than its head has rows is refused`() throws {
        let workshop = try Workshop()
        let own = try graft(workshop, of: tuned(workshop, "own"))
        let bytes = try FileBytes.read(own)
        let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
        let changed = header.replacing(#"[\"early\",\"late\"]"#, with: #"[\"early\",\"late\",\"never\"]"#)
        #expect(changed != header)
        let damaged = try workshop.write(
            "damaged.graft", SafetensorsEdit.file(header: Array(changed.utf8), data: Array(bytes[(8 + length)...])))
        let refused = try workshop.hone("graft", "eval", damaged, "--data", workshop.tickets())
        #expect(refused.code == 1 && refused.error.contains("damaged.graft"), "\(refused.error)")
        Refusal.check(refused)
    }
}
