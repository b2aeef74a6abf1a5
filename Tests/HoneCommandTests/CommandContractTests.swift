import Foundation
import HoneFormats
import Testing

/// What scripts rely on: verbs, options, files, and the shape of JSON.
@Suite struct CommandContractTests {
    /// The one JSON object on standard output.
    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        let json = try JSON.parse(result.output)
        #expect(json.object != nil)
        return json
    }

    private func lines(_ path: String) throws -> [JSON] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSON.parse(String($0)) }
    }

    private func expectClassificationFigures(_ json: JSON) {
        for name in ["accuracy", "macro_f1", "ece", "loss"] {
            guard let value = json[name]?["value"]?.number, let low = json[name]?["low"]?.number,
                let high = json[name]?["high"]?.number
            else {
                Issue.record("\(name) is not {value, low, high}")
                continue
            }
            #expect(low <= high && value.isFinite)
        }
        #expect((json["n"]?.integer ?? 0) > 0)
    }

    @Test("train leaves a run that predict and eval answer from")
    func trains() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let validation = try workshop.tickets("validation.csv", rows: 10, from: 40)
        let test = try workshop.tickets("test.csv", rows: 8, from: 60)
        let arguments = [
            "train", data, "--method", "lora", "--set", "rank=2", "--set", "targets=query,value", "--model",
            try workshop.fixture("bert-tiny"), "--validation", validation, "--test", test, "--steps", "6",
            "--batch-size", "4", "--max-length", "16", "--learning-rate", "1e-2", "--schedule", "cosine", "--order",
            "file", "--dtype", "f32", "--seed", "3", "--warmup", "0.2", "--weight-decay", "0.01", "--clip", "1",
            "--accumulate", "2", "--evaluate-every", "2", "--checkpoint-every", "2", "--out", workshop.out, "--json",
        ]
        let summary = try json(workshop.hone(arguments))
        #expect(summary["run"]?.string == workshop.out)
        #expect(summary["losses"]?.array?.count == 6)
        expectClassificationFigures(summary)

        let names = Set(try FileManager.default.contentsOfDirectory(atPath: workshop.out))
        #expect(
            names.isSuperset(of: [
                "run.json", "adapter", "metrics.json", "predictions.jsonl", "log.jsonl", "validation.jsonl",
                "report.html", "checkpoints",
            ]))
        #expect(!names.contains { $0.hasPrefix(".") })
        let metrics = try JSON.read(file: workshop.out + "/metrics.json")
        expectClassificationFigures(metrics)
        #expect(metrics["n"]?.integer == 8)
        #expect(metrics["validation"]?["n"]?.integer == 10)
        let log = try lines(workshop.out + "/log.jsonl")
        #expect(log.map { $0["step"]?.integer } == [1, 2, 3, 4, 5, 6])
        for line in log {
            for field in ["loss", "learning_rate", "tokens", "seconds"] {
                #expect(line[field]?.number?.isFinite == true, "\(field)")
            }
        }
        #expect(try lines(workshop.out + "/validation.jsonl").compactMap { $0["step"]?.integer } == [2, 4, 6])
        #expect(try lines(workshop.out + "/predictions.jsonl").count == 8)
        let run = try JSON.read(file: workshop.out + "/run.json")
        #expect(run["seed"]?.integer == 3 && run["method"]?.string == "lora" && run["version"]?.integer == 1)
        #expect(try JSON.read(file: workshop.out + "/adapter/adapter_config.json")["peft_type"]?.string == "LORA")
        #expect(try String(contentsOfFile: workshop.out + "/report.html", encoding: .utf8).contains("</html>"))

        try expectAnswers(workshop)

        let exported = try json(workshop.hone("export", workshop.out, "--out", workshop.folder + "/model", "--json"))
        #expect(exported["method"]?.string == "lora")
        let files = try FileManager.default.contentsOfDirectory(atPath: workshop.folder + "/model")
        #expect(
            Set(files).isSuperset(of: [
                "config.json", "model.safetensors", "tokenizer.json", "classification_head.safetensors",
            ]))
        let again = try workshop.hone("export", workshop.out, "--out", workshop.folder + "/model")
        #expect(again.code == 1 && again.error.contains("model"))
    }

    /// Every way of asking a classifier gives the same answers.
    private func expectAnswers(_ workshop: Workshop) throws {
        let test = workshop.folder + "/test.csv"
        let measured = try json(workshop.hone("eval", workshop.out, "--data", test, "--seed", "3", "--json"))
        expectClassificationFigures(measured)
        let metrics = try JSON.read(file: workshop.out + "/metrics.json")
        #expect(measured["accuracy"] == metrics["accuracy"])
        #expect(measured["loss"] == metrics["loss"])

        let texts = ["ab cd", "zy xw"]
        let asked = try json(workshop.hone(["predict", workshop.out] + texts + ["--json"]))
        let answers = try #require(asked["predictions"]?.array)
        #expect(answers.count == 2)
        for answer in answers {
            #expect(["early", "late"].contains(answer["label"]?.string))
            let all = (answer["probabilities"]?.object?.pairs ?? []).compactMap(\.1.number)
            #expect(abs(all.reduce(0, +) - 1) < 1e-4)
        }
        let piped = try workshop.hone(
            ["predict", workshop.out, "--json"], input: Array("ab cd\n\nzy xw\n".utf8))
        #expect(try json(piped)["predictions"] == asked["predictions"])
        let file = try workshop.write("texts.txt", texts.joined(separator: "\n"))
        #expect(
            try json(workshop.hone("predict", workshop.out, "--file", file, "--json"))["predictions"]
                == asked["predictions"])
        let table = try workshop.write("texts.csv", "text\nab cd\nzy xw\n")
        let plain = try workshop.hone("predict", workshop.out, "--file", table)
        #expect(plain.output.split(separator: "\n").count == 2)
        #expect(plain.output.hasPrefix((answers[0]["label"]?.string ?? "?") + "\t"))
    }

    @Test("two runs of one seed agree in every number and byte", arguments: ["lora", "full", "prompt"])
    func repeats(_ method: String) throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let validation = try workshop.tickets("validation.csv", rows: 8, from: 40)
        let settings = ["lora": ["--set", "dropout=0.2"], "prompt": ["--set", "length=4"]][method] ?? []
        let arguments =
            [
                "train", data, "--method", method, "--model", try workshop.fixture("bert-tiny"), "--validation",
                validation, "--epochs", "1", "--batch-size", "4", "--max-length", "18", "--seed", "11", "--quiet",
            ] + settings
        var figures: [RunFigures] = []
        for name in ["first", "second"] {
            let folder = workshop.folder + "/" + name
            #expect(try workshop.hone(arguments + ["--out", folder]).code == 0)
            figures.append(try RunFigures(folder))
        }
        #expect(figures[0].losses.count == 6)
        #expect(figures[0] == figures[1])
    }

    @Test("a decoder is trained, measured and asked", arguments: ["llama-tiny", "gpt2-tiny"])
    func generates(_ model: String) throws {
        let workshop = try Workshop()
        let data = try workshop.additions()
        let arguments = [
            "train", data, "--method", "lora", "--set", "rank=2", "--model", try workshop.fixture(model), "--test",
            try workshop.write("test.jsonl", #"{"prompt": "9+9=", "completion": "18."}"# + "\n"), "--steps", "3",
            "--batch-size", "4", "--dtype", model == "llama-tiny" ? "bf16" : "f32", "--schedule", "constant",
            "--out", workshop.out, "--json",
        ]
        let summary = try json(workshop.hone(arguments))
        #expect(summary["losses"]?.array?.count == 3)
        for name in ["exact_match", "loss", "perplexity"] {
            #expect(summary[name]?["value"]?.number?.isFinite == true, "\(name)")
        }
        #expect(summary["n"]?.integer == 1)
        let asked = try json(
            workshop.hone("predict", workshop.out, "1+1=", "2+2=", "--max-new-tokens", "3", "--json"))
        #expect(asked["predictions"]?.array?.compactMap { $0["output"]?.string }.count == 2)
        let drawn = try (0..<2).map { _ in
            try workshop.hone("predict", workshop.out, "1+1=", "--temperature", "1", "--seed", "5").output
        }
        #expect(drawn[0] == drawn[1])
        let measured = try json(workshop.hone("eval", workshop.out, "--data", data, "--json"))
        #expect(measured["n"]?.integer == 12)
    }

    @Test("train starts from an adapter of PEFT")
    func startsFromPEFT() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let adapter = try workshop.fixture("adapter-bert-lora")
        let arguments = [
            "train", data, "--method", "lora", "--model", try workshop.fixture("bert-tiny"), "--init-adapter", adapter,
            "--steps", "1", "--learning-rate", "1e-12", "--out", workshop.out, "--json",
        ]
        _ = try json(workshop.hone(arguments))
        let before = try SafetensorsEdit(adapter + "/adapter_model.safetensors").entries
        let after = try SafetensorsEdit(workshop.out + "/adapter/adapter_model.safetensors").entries
        #expect(Set(before.map(\.name)) == Set(after.map(\.name)))
        let name = "base_model.model.encoder.layer.1.output.dense.lora_A.weight"
        func numbers(_ entries: [SafetensorsEdit.Entry]) -> [Float] {
            let bytes = entries.first { $0.name == name }?.bytes ?? []
            return stride(from: 0, to: bytes.count, by: 4).map { start in
                Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) })
            }
        }
        #expect(zip(numbers(before), numbers(after)).allSatisfy { abs($0 - $1) < 1e-6 })
        #expect(!numbers(before).isEmpty)
    }

    @Test("fit tries methods, chooses one and writes a run")
    func fits() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets(rows: 40)
        let arguments = [
            "fit", data, "--model", try workshop.fixture("bert-tiny"), "--methods", "probe,bitfit", "--budget", "3s",
            "--batch-size", "8", "--max-length", "16", "--seed", "2",
        ]
        let plan = try json(workshop.hone(arguments + ["--out", workshop.out, "--dry-run", "--json"]))
        #expect(plan["methods"] == ["probe", "bitfit"] && plan["dry_run"]?.bool == true)
        #expect(!FileManager.default.fileExists(atPath: workshop.out))

        let summary = try json(workshop.hone(arguments + ["--out", workshop.out, "--json", "--quiet"]))
        expectClassificationFigures(summary)
        #expect(["probe", "bitfit"].contains(summary["chosen"]?.string))
        #expect(summary["methods"]?.array?.count == 2)
        let names = Set(try FileManager.default.contentsOfDirectory(atPath: workshop.out))
        #expect(
            names.isSuperset(of: [
                "run.json", "adapter", "metrics.json", "predictions.jsonl", "log.jsonl", "report.html",
            ]))
        let answered = try workshop.hone("predict", workshop.out, "ab cd")
        #expect(answered.code == 0 && answered.output.contains("\t"))
    }

    @Test("without --out runs are numbered")
    func numbersRuns() throws {
        let workshop = try Workshop()
        _ = try workshop.tickets()
        let arguments = [
            "train", "tickets.csv", "--method", "probe", "--model", try workshop.fixture("bert-tiny"), "--quiet",
        ]
        for number in 1...2 {
            let result = try workshop.hone(arguments)
            #expect(result.code == 0, "\(result.error)")
            #expect(result.output.contains("runs/tickets-probe-\(number)"))
            #expect(result.error.isEmpty, "\(result.error)")
        }
    }

    @Test("methods and doctor speak to people and to scripts")
    func lists() throws {
        let workshop = try Workshop()
        let methods = try json(workshop.hone("methods", "--json"))["methods"]?.array ?? []
        let names = Set(methods.compactMap { $0["name"]?.string })
        #expect(
            names.count == methods.count && names.isSuperset(of: ["probe", "icl", "prompt", "bitfit", "lora", "full"]))
        #expect(try workshop.hone("methods").output.contains("lora"))
        #expect(try workshop.hone("methods", "lora").output.contains("rank"))
        let doctor = try workshop.hone("doctor", "--json")
        #expect(try JSON.parse(doctor.output)["processors"]?.integer ?? 0 > 0)
        #expect(doctor.code == 0 || doctor.error.contains("--model"))
        let version = try workshop.hone("--version")
        #expect(version.code == 0 && version.output.split(separator: "\n").count == 1)
    }
}

/// What has to be the same in two runs that should agree, as far as time and machine do not enter.
struct RunFigures: Equatable {
    var losses: [String]
    var validation: String
    var metrics: JSON
    var predictions: String
    var adapter: [String: [UInt8]]

    init(_ run: String) throws {
        losses = try String(contentsOfFile: run + "/log.jsonl", encoding: .utf8).split(separator: "\n").map {
            let line = try JSON.parse(String($0))
            return ["step", "loss", "learning_rate", "tokens"].map { line[$0]?.text() ?? "?" }.joined(separator: " ")
        }
        validation = try String(contentsOfFile: run + "/validation.jsonl", encoding: .utf8)
        var figures = try #require(try JSON.read(file: run + "/metrics.json").object)
        for name in ["training_seconds", "tokens_per_second", "peak_memory_bytes"] { figures[name] = nil }
        metrics = .object(figures)
        predictions = try String(contentsOfFile: run + "/predictions.jsonl", encoding: .utf8)
        adapter = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: run + "/adapter") {
            adapter[file] = try FileBytes.read(run + "/adapter/" + file)
        }
    }
}
