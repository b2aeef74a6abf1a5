import Foundation
import HoneFormats
import HoneTesting
import Testing

/// Several tasks at once, and new ones from an inventory of skills: `train`, `predict`, `eval`, `export`, `generate`, `inspect`.
@Suite struct MultiTaskCommandTests {
    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        return try JSON.parse(result.output)
    }

    /// Two files that give the same letters opposite labels.
    private func files(_ workshop: Workshop) throws -> (first: String, second: String) {
        func table(_ labels: [String]) -> String {
            "text,label\n" + (0..<24).map { "\($0 % 2 == 0 ? "a" : "b") \($0 / 2),\(labels[$0 % 2])\n" }.joined()
        }
        return try (
            workshop.write("straight.csv", table(["yes", "no"])), workshop.write("crossed.csv", table(["no", "yes"]))
        )
    }

    @Test func `tasks are routed by name from training to prediction, and one is exported`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("bert-tiny")
        let (first, second) = try files(workshop)
        let trained = try workshop.hone(
            "train", "straight=\(first),crossed=\(second)", "--model", model, "--method", "mhr", "--set", "splits=4",
            "--set", "skills=2", "--steps", "4", "--out", workshop.out, "--json")
        let summary = try json(trained)
        #expect(trained.error.contains("48 rows of 2 tasks"))
        #expect(summary["gradient_alignment"]?.number.map { abs($0) <= 1 } == true)
        let run = try JSON.read(file: workshop.out + "/run.json")
        #expect(run["tasks"]?.array?.compactMap(\.string) == ["straight", "crossed"])
        #expect(try JSON.read(file: workshop.out + "/adapter/hone.json")["tasks"] == run["tasks"])

        let asked = try workshop.hone("predict", workshop.out, "a 1")
        #expect(
            asked.code == 1
                && asked.error.contains("does not say which task it belongs to; the tasks are straight, crossed"))
        let unknown = try workshop.hone("predict", workshop.out, "--task", "other", "a 1")
        #expect(
            unknown.code == 2 && unknown.error.contains("there is no task `other`; the tasks are straight, crossed"))
        #expect(try workshop.hone("predict", workshop.out, "--task", "crossed", "a 1").code == 0)
        let table = try workshop.write("new.csv", "task,text\nstraight,a 1\ncrossed,a 1\n")
        // The files had no column of tasks: a table may be of one task.
        #expect(try workshop.hone("predict", workshop.out, "--file", table).code == 1)
        #expect(
            try json(workshop.hone("predict", workshop.out, "--file", "crossed=\(second)", "--json"))["predictions"]?
                .array?.count == 24)

        let measured = try json(
            workshop.hone("eval", workshop.out, "--data", "straight=\(first),crossed=\(second)", "--json"))
        #expect(measured["n"]?.integer == 48 && measured["tasks"]?["crossed"]?["n"]?.integer == 24)
        let exported = workshop.folder + "/exported"
        #expect(try workshop.hone("export", workshop.out, "--out", exported).code == 1)
        #expect(try workshop.hone("export", workshop.out, "--task", "crossed", "--out", exported).code == 0)
        let shown = try workshop.hone("inspect", workshop.out)
        #expect(shown.code == 0 && shown.output.contains("How crossed mixes skills"))
    }

    @Test func `a new task goes on from an inventory in three ways`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("bert-tiny")
        let (first, second) = try files(workshop)
        func train(_ data: String, _ out: String, _ more: String...) throws -> HoneProcess.Result {
            try workshop.hone(
                [
                    "train", data, "--model", model, "--method", "poly", "--steps", "2", "--out",
                    workshop.folder + "/" + out, "--json",
                ]
                    + more)
        }
        #expect(try train(first, "inventory", "--set", "skills=3").code == 0)
        let inventory = workshop.folder + "/inventory/adapter"
        let z = try json(
            train("new=\(second)", "z", "--init-adapter", inventory, "--set", "tune=z", "--keep-head"))
        // Twelve maps with three logits each.
        #expect(z["trained_parameters"]?.integer == 36)
        let mu = try json(train(second, "mu", "--init-adapter", inventory, "--set", "tune=mu"))
        #expect(mu["method"]?.string == "lora")
        #expect(try JSON.read(file: workshop.folder + "/mu/adapter/adapter_config.json")["peft_type"]?.string == "LORA")
        #expect(try train(second, "all", "--init-adapter", inventory).code == 0)
        let bare = try train(second, "bare", "--set", "tune=z")
        #expect(bare.code == 2 && bare.error.contains("name its folder with --init-adapter"))
        let wrong = try train(second, "wrong", "--init-adapter", workshop.folder + "/mu/adapter", "--set", "tune=z")
        #expect(wrong.code == 1 && wrong.error.contains("`tune=z` needs an inventory of skills"))
        let headless = try train(second, "headless", "--keep-head")
        #expect(headless.code == 2 && headless.error.contains("--keep-head"))
    }
}
