import Foundation
import Hone
import HoneFormats
import HoneMethods
import HoneModels
import Testing

/// What a search leaves behind when it is asked to stop, and when it is done again.
@Suite struct FitTests {
    private func arguments(_ workshop: Workshop, out: String) throws -> [String] {
        [
            "fit", try workshop.tickets(rows: 40), "--model", try workshop.fixture("bert-tiny"), "--methods",
            "probe,bitfit,lora", "--batch-size", "4", "--seed", "7", "--out", out, "--json",
        ]
    }

    @Test("SIGINT and SIGTERM end a search with what has been measured", arguments: [SIGINT, SIGTERM])
    func stopped(_ signal: Int32) throws {
        let workshop = try Workshop()
        let run = workshop.out
        var arguments = try arguments(workshop, out: run)
        // So many rows that no machine is done before it is asked to stop.
        arguments[1] = try workshop.tickets("many.csv", rows: 6000)
        let process = try HoneProcess(arguments + ["--threads", "1"], in: workshop.folder)
        var isTraining = false
        for _ in 0..<20_000 where !isTraining {
            usleep(3000)
            isTraining = process.errors.contains("probe: validation")
        }
        #expect(isTraining)
        usleep(200_000)
        process.signal(signal)
        let result = process.wait(seconds: 120)
        #expect(result.code == 130 && result.signal == 0, "\(result)")
        let summary = try JSON.parse(result.output)
        #expect(summary["interrupted"]?.bool == true)
        #expect(summary["method"]?.string == "probe")
        #expect(FileManager.default.fileExists(atPath: run + "/report.html"))
        Refusal.checkNoTemporaryFiles(below: run)
        let answered = try workshop.hone("predict", run, "ab cd")
        #expect(answered.code == 0, "\(answered.error)")
    }

    @Test("a repeated search gives the same numbers, whatever its budget would have allowed")
    func repeated() throws {
        let workshop = try Workshop()
        let first = try workshop.hone(arguments(workshop, out: workshop.folder + "/first") + ["--budget", "20s"])
        #expect(first.code == 0, "\(first.error)")
        let again = try workshop.hone([
            "fit", try workshop.tickets(rows: 40), "--model", try workshop.fixture("bert-tiny"), "--repeat",
            workshop.folder + "/first", "--budget", "1h", "--out", workshop.folder + "/again", "--json",
        ])
        #expect(again.code == 0, "\(again.error)")
        for name in ["metrics.json", "predictions.jsonl", "log.jsonl"] {
            let figures = try ["first", "again"].map { run in
                try String(contentsOfFile: "\(workshop.folder)/\(run)/\(name)", encoding: .utf8)
                    .split(separator: "\n").filter { !$0.contains("peak_memory") && !$0.contains("seconds\":") }
            }
            #expect(figures[0] == figures[1], "\(name)")
        }
        let plans = try ["first", "again"].map {
            try JSON.read(file: "\(workshop.folder)/\($0)/run.json")["plan"]
        }
        #expect(plans[0] == plans[1])
    }

    @Test("rows of any length are compared over the same targets, with worked examples and without")
    func longRows() throws {
        let workshop = try Workshop()
        let lines = (0..<120).map { row in
            let words = row % 40 == 3 ? String(repeating: "more and more ", count: 60) : "say "
            return #"{"prompt": "\#(words)\#(row % 5)\#(row / 5) = ", "completion": "\#(row % 5)"}"#
        }
        let data = try workshop.write("sayings.jsonl", lines.joined(separator: "\n") + "\n")
        let result = try workshop.hone(
            "fit", data, "--model", try workshop.fixture("llama-tiny"), "--methods", "icl,prompt,lora", "--budget",
            "8s",
            "--batch-size", "8", "--out", workshop.out, "--json")
        #expect(result.code == 0, "\(result.error)")
        let methods = try JSON.read(file: workshop.out + "/metrics.json")["methods"]?.array ?? []
        #expect(methods.first { $0["method"]?.string == "icl" }?["status"]?.string == "completed", "\(methods)")
    }

    @Test("learning rates are those that are given, and belong to what is repeated")
    func learningRates() throws {
        let workshop = try Workshop()
        func trials(_ name: String, _ more: [String]) throws -> [[Double?]] {
            let out = workshop.folder + "/" + name
            let result = try workshop.hone(
                [
                    "fit", try workshop.tickets(rows: 40), "--model", try workshop.fixture("bert-tiny"), "--out", out,
                    "--json",
                ] + more)
            #expect(result.code == 0, "\(result.error)")
            let methods = try JSON.read(file: out + "/metrics.json")["methods"]?.array ?? []
            return methods.map { ($0["trials"]?.array ?? []).map { $0["setting"]?.number } }
        }
        let chosen = ["--methods", "lora,bitfit", "--learning-rates", "0.001, 1e-4,0.02", "--budget", "6s"]
        let wanted = [[0.001, 1e-4, 0.02], [0.001, 1e-4, 0.02]]
        #expect(try trials("first", chosen) == wanted)
        #expect(try trials("again", ["--repeat", workshop.folder + "/first"]) == wanted)
        for wrong in ["0.1,x", "0.1,-1", "0"] {
            let refused = try workshop.hone("fit", workshop.tickets(), "--learning-rates", wrong)
            #expect(refused.code == 2 && refused.error.contains("--learning-rates"), "\(refused.error)")
        }
    }

    @Test("a method whose own work takes longer than the budget is left out and told of, also when it is repeated")
    func workAroundTraining() throws {
        let workshop = try Workshop()
        // A mask is learned in ten rounds over a thousand rows: as much as thousands of steps.
        let data = try workshop.tickets(rows: 1200)
        let arguments = [
            "fit", data, "--model", try workshop.fixture("bert-tiny"), "--methods", "probe,bitfit,graft",
            "--batch-size", "4", "--json",
        ]
        func fit(_ more: [String], _ name: String) throws -> (plan: JSON?, graft: JSON?) {
            let out = workshop.folder + "/" + name
            let result = try workshop.hone(arguments + more + ["--out", out])
            #expect(result.code == 0, "\(result.error)")
            let methods = try JSON.read(file: out + "/metrics.json")["methods"]?.array ?? []
            return (
                try JSON.read(file: out + "/run.json")["plan"], methods.first { $0["method"]?.string == "graft" }
            )
        }
        let first = try fit(["--budget", "2s"], "first")
        #expect(first.plan?["left_out"]?.array?.compactMap(\.string) == ["graft"], "\(first)")
        #expect(first.graft?["status"]?.string == "dropped")
        #expect(first.graft?["reason"]?.string?.contains("--budget") == true, "\(first)")
        let again = try fit(["--repeat", workshop.folder + "/first"], "again")
        #expect(again.plan == first.plan)
        #expect(again.graft?["status"]?.string == "dropped")
    }

    @Test("every method that fits a model can be asked for at once", arguments: ["bert-tiny", "llama-tiny"])
    func everyMethod(_ name: String) throws {
        let workshop = try Workshop()
        let folder = try workshop.fixture(name)
        let configuration = try BaseModel(DefaultModel.location(folder)).configuration
        let shape = name == "bert-tiny" ? TaskShape.classification(classes: 2) : .generation
        let names = Methods.all.map { $0.card.name }.filter { name in
            (try? Methods.make(name).checkFit(configuration, shape)) != nil
        }
        #expect(names.count > 12)
        let data = try name == "bert-tiny" ? workshop.tickets(rows: 40) : workshop.additions(rows: 60)
        let result = try workshop.hone(
            "fit", data, "--model", folder, "--methods", names.joined(separator: ","), "--budget", "4s",
            "--batch-size", "4", "--out", workshop.out, "--json")
        #expect(result.code == 0, "\(result.error)")
        let methods = try JSON.read(file: workshop.out + "/metrics.json")["methods"]?.array ?? []
        #expect(methods.compactMap { $0["method"]?.string } == names)
        for method in methods {
            let (status, reason) = (method["status"]?.string, method["reason"]?.string ?? "")
            #expect(status == "completed" || !reason.isEmpty, "\(method)")
            #expect(status != "failed", "\(method)")
        }
    }

    @Test("only a run of fit can be repeated")
    func notRepeatable() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let missing = try workshop.hone("fit", data, "--repeat", workshop.folder + "/nowhere")
        #expect(missing.code == 2 && missing.error.contains("--repeat"), "\(missing)")
        let trained = try workshop.hone("fit", data, "--repeat", workshop.finishedRun())
        #expect(trained.code == 2 && trained.error.contains("no run of `hone fit`"), "\(trained)")
    }
}
