import Foundation
import HoneFormats
import Testing

/// `hone taskvec` and `hone generator` as users call them.
@Suite struct GeneratorCommandTests {
    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        return try JSON.parse(result.output)
    }

    /// Two tasks with kept adapters and vectors.
    private func tasks(_ workshop: Workshop, kept: String = "3") throws -> [String: String] {
        var data: [String: String] = [:]
        for (place, name) in ["early", "later"].enumerated() {
            let rows = try workshop.tickets(name + ".csv", rows: 24, from: 24 * place)
            data[name] = rows
            let trained = try workshop.hone(
                "train", rows, "--method", "lora", "--set", "rank=2", "--model", workshop.fixture("bert-tiny"),
                "--steps",
                "8", "--batch-size", "8", "--seed", String(place), "--keep-adapters", kept, "--keep-every", "2",
                "--out",
                workshop.folder + "/runs/" + name, "--quiet")
            #expect(trained.code == 0, "\(trained.error)")
            try FileManager.default.createDirectory(
                atPath: workshop.folder + "/vectors", withIntermediateDirectories: true)
            let vector = try json(
                workshop.hone(
                    "taskvec", "--model", workshop.fixture("bert-tiny"), "--data", rows, "--examples", "10", "--out",
                    workshop.folder + "/vectors/\(name).safetensors", "--json"))
            #expect(vector["examples"]?.integer == 10)
        }
        return data
    }

    private func train(_ workshop: Workshop, _ more: String...) throws -> HoneProcess.Result {
        try workshop.hone(
            [
                "generator", "train", "--adapters", workshop.folder + "/runs/*/adapters/step-*", "--taskvecs",
                workshop.folder + "/vectors", "--latent", "4", "--epochs", "3", "--out", workshop.out, "--json",
                "--threads", "1",
            ] + more)
    }

    @Test func `adapters are kept, a generator is learned, and what it makes is an adapter as any other`() throws {
        let workshop = try Workshop()
        let data = try tasks(workshop)
        let kept = try FileManager.default.contentsOfDirectory(atPath: workshop.folder + "/runs/early/adapters")
            .sorted()
        #expect(kept == ["step-000004", "step-000006", "step-000008"])
        let learned = try json(train(workshop))
        #expect(learned["tasks"]?.array?.count == 2 && learned["epochs"]?.integer == 3)
        let made = workshop.folder + "/made"
        let sampled = try json(
            workshop.hone("generator", "sample", workshop.out, "--task", "later", "--out", made, "--json"))
        #expect(sampled["like"]?.string == "later")
        let rank = try JSON.read(file: made + "/adapter_config.json")["r"]?.integer
        #expect(rank == 2)
        for entry in try SafetensorsEdit(made + "/adapter_model.safetensors").entries {
            #expect(entry.shape[entry.name.contains("lora_A") ? 0 : 1] == rank, "\(entry.name)")
        }
        // It can be inspected, and training goes on from it.
        #expect(try workshop.hone("inspect", made, "--model", workshop.fixture("bert-tiny")).code == 0)
        let more = try workshop.hone(
            "train", #require(data["later"]), "--method", "lora", "--set", "rank=2", "--model",
            workshop.fixture("bert-tiny"),
            "--steps", "2", "--batch-size", "8", "--init-adapter", made, "--out", workshop.folder + "/more", "--quiet")
        #expect(more.code == 0, "\(more.error)")
        // Several, from a vector.
        let several = try json(
            workshop.hone(
                "generator", "sample", workshop.out, "--taskvec", workshop.folder + "/vectors/early.safetensors", "--n",
                "2",
                "--out", workshop.folder + "/some", "--json"))
        #expect(several["like"]?.string == "early" && several["adapters"]?.array?.count == 2)
        let measured = try json(
            workshop.hone(
                "generator", "eval", workshop.out, "--adapters", workshop.folder + "/runs/*/adapters/step-*", "--data",
                "early=" + #require(data["early"]), "--n", "2", "--json"))
        #expect(measured["errors"]?.array?.count == 2)
        let row = try #require(measured["metrics"]?.array?.first)
        #expect(row["generated"]?.array?.count == 2 && row["wrong_task"]?["later"] != nil)
        #expect(row["base"]?["accuracy"] != nil && row["mean_of_all"]?["accuracy"] != nil)
        #expect(measured["storage"]?["generator"]?.integer ?? 0 > 0)
    }

    @Test func `a generator is measured on a task that it has not learned, by that task's vector and head`() throws {
        let workshop = try Workshop()
        let data = try tasks(workshop)
        let learned = try json(
            workshop.hone(
                "generator", "train", "--adapters", workshop.folder + "/runs/early/adapters/step-*", "--taskvecs",
                workshop.folder + "/vectors", "--latent", "4", "--epochs", "2", "--out", workshop.out, "--json"))
        #expect(learned["tasks"]?.array?.count == 1)
        let arguments = try [
            "generator", "eval", workshop.out, "--adapters", workshop.folder + "/runs/*/adapters/step-*", "--data",
            "later=" + #require(data["later"]), "--n", "1", "--json",
        ]
        let unknown = try workshop.hone(arguments)
        #expect(unknown.code == 2 && unknown.error.contains("knows no task `later`"), "\(unknown.error)")
        let measured = try json(workshop.hone(arguments + ["--taskvecs", workshop.folder + "/vectors"]))
        #expect(measured["errors"]?.array?.count == 1)
        let row = try #require(measured["metrics"]?.array?.first)
        #expect(row["is_learned"]?.bool == false && row["like"]?.string == "early")
        for way in ["trained", "base", "mean_of_all"] { #expect(row[way]?["accuracy"] != nil, "\(way)") }
        #expect(row["wrong_task"]?["early"]?["accuracy"] != nil && row["generated"]?.array?.count == 1)
    }

    @Test func `adapters and vectors of different base models are told apart`() throws {
        let workshop = try Workshop()
        _ = try tasks(workshop)
        let folder = workshop.folder + "/runs/later/adapters/step-000004/hone.json"
        let other = try String(contentsOfFile: folder, encoding: .utf8)
        let fingerprint = try #require(try JSON.parse(other)["base"]?["sha256"]?.string)
        try other.replacing(fingerprint, with: String(fingerprint.reversed())).write(
            toFile: folder, atomically: true, encoding: .utf8)
        let mixed = try train(workshop)
        #expect(mixed.code == 1 && mixed.error.contains("is of another base model than"), "\(mixed.error)")
        #expect(mixed.error.contains("later/adapters/step-000004"))
        #expect(!FileManager.default.fileExists(atPath: workshop.out))
    }

    @Test func `what does not fit is refused with its name, and a single adapter is warned of`() throws {
        let workshop = try Workshop()
        _ = try tasks(workshop, kept: "1")
        let single = try train(workshop)
        #expect(single.code == 0 && single.error.contains("single adapter"), "\(single.error)")
        let none = try workshop.hone(
            "generator", "sample", workshop.out, "--task", "nothing", "--out", workshop.folder + "/x")
        #expect(none.code == 2 && none.error.contains("early, later"))
        let both = try workshop.hone("generator", "sample", workshop.out, "--out", workshop.folder + "/x")
        #expect(both.code == 2)
        let pattern = try workshop.hone(
            "generator", "train", "--adapters", workshop.folder + "/no/*", "--taskvecs", workshop.folder, "--out",
            workshop.folder + "/x")
        #expect(pattern.code == 2 && pattern.error.contains("names no folder"))
        try FileManager.default.removeItem(atPath: workshop.folder + "/vectors/later.safetensors")
        try FileManager.default.removeItem(atPath: workshop.out)
        let vector = try train(workshop)
        #expect(vector.code == 2 && vector.error.contains("`later`"))
        // A vector of another width.
        let short = SafetensorsTensor(name: "vector", dtype: .float32, shape: [3]) { sink in
            try [Float(1), 2, 3].withUnsafeBytes { try sink($0) }
        }
        try SafetensorsWriter.write([short], metadata: nil, to: workshop.folder + "/vectors/later.safetensors")
        let width = try train(workshop)
        #expect(width.code == 1 && width.error.contains("later: the task vector has 3 numbers"), "\(width.error)")
    }

    @Test func `adapters of other shapes are refused by the first tensor that differs`() throws {
        let workshop = try Workshop()
        let data = try tasks(workshop)
        let trained = try workshop.hone(
            "train", #require(data["early"]), "--method", "lora", "--set", "rank=3", "--model",
            workshop.fixture("bert-tiny"),
            "--steps", "2", "--batch-size", "8", "--keep-adapters", "1", "--out", workshop.folder + "/runs/other",
            "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        try FileManager.default.copyItem(
            atPath: workshop.folder + "/vectors/early.safetensors",
            toPath: workshop.folder + "/vectors/other.safetensors")
        let result = try train(workshop)
        #expect(
            result.code == 1 && result.error.contains("lora_A") && result.error.contains("shape"), "\(result.error)")
    }

    /// The figures of the shared generator's task, with one generated adapter.
    private func figures(_ workshop: Workshop) throws -> (trained: JSON, base: JSON, generated: JSON) {
        let shared = try Workshop.sharedGenerator.get()
        let measured = try json(
            workshop.hone(
                "generator", "eval", shared.out, "--adapters", shared.folder + "/one/*/adapters/step-*", "--data",
                "early=" + shared.folder + "/early.csv", "--n", "1", "--json", "--threads", "1"))
        let row = try #require(measured["metrics"]?.array?.first)
        return (
            try #require(row["trained"]), try #require(row["base"]), try #require(row["generated"]?.array?.first)
        )
    }

    private func value(_ figures: JSON, _ name: String) throws -> Double {
        try #require(figures[name]?["value"]?.number, "\(name)")
    }

    @Test func `what is generated of a single task does it as the adapter that was learned from`() throws {
        let workshop = try Workshop()
        let (trained, base, generated) = try figures(workshop)
        // Every row is far from where the answer changes; the losses differ by what the latent vector that is drawn leaves.
        #expect(try value(generated, "accuracy") == value(trained, "accuracy"))
        #expect(try abs(value(generated, "loss") - value(trained, "loss")) < 0.05)
        // Had it learned nothing, it would be the base with the head alone.
        #expect(try value(base, "loss") > value(trained, "loss") + 0.3)
    }

    @Test func `a generated adapter is measured, asked and exported as any other`() throws {
        let workshop = try Workshop()
        let (_, _, generated) = try figures(workshop)
        let shared = try Workshop.sharedGenerator.get()
        let (data, made) = (shared.folder + "/early.csv", workshop.folder + "/made")
        let sampled = try workshop.hone("generator", "sample", shared.out, "--task", "early", "--out", made)
        #expect(sampled.code == 0, "\(sampled.error)")
        let model = try workshop.fixture("bert-tiny")
        let evaluated = try json(workshop.hone("eval", made, "--model", model, "--data", data, "--json"))
        #expect(try value(evaluated, "accuracy") == value(generated, "accuracy"))
        #expect(try abs(value(evaluated, "loss") - value(generated, "loss")) < 1e-3)
        let asked = try json(workshop.hone("predict", made, "ab", "--model", model, "--json"))
        #expect(asked["predictions"]?.array?.first?["label"]?.string != nil)
        let lora = workshop.folder + "/lora"
        #expect(try workshop.hone("export", made, "--model", model, "--as", "lora", "--out", lora).code == 0)
        let (own, exported) = try (
            SafetensorsEdit(made + "/adapter_model.safetensors"), SafetensorsEdit(lora + "/adapter_model.safetensors")
        )
        #expect(Set(exported.entries.map(\.name)) == Set(own.entries.map(\.name)))
        // `graft make` measures a model folder that has a head beside it.
        let merged = workshop.folder + "/merged"
        #expect(try workshop.hone("export", made, "--model", model, "--out", merged).code == 0)
        let whole = try json(
            workshop.hone(
                "graft", "make", "--base", model, "--finetuned", merged, "--data", data, "--keep", "0.5", "--no-train",
                "--out", workshop.folder + "/merged.graft", "--json", "--quiet", "--threads", "1"))
        let accuracy = whole["scores"]?["train"]?["finetuned"]?["accuracy"]?.number
        #expect(try accuracy == value(generated, "accuracy"))
    }

    @Test func `the vector of a task of writing repeats, and is another with an adapter`() throws {
        let workshop = try Workshop()
        let (data, model) = (try workshop.additions(), try workshop.fixture("llama-tiny"))
        let trained = try workshop.hone(
            "train", data, "--method", "lora", "--set", "rank=2", "--model", model, "--steps", "3", "--batch-size", "4",
            "--learning-rate", "0.01", "--out", workshop.out, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        func vector(_ name: String, _ source: String...) throws -> [UInt8] {
            let file = workshop.folder + "/" + name + ".safetensors"
            let told = try json(
                workshop.hone(
                    ["taskvec", "--data", data, "--examples", "6", "--out", file, "--json", "--threads", "1"] + source))
            #expect(told["examples"]?.integer == 6 && told["length"]?.integer == 24)
            return try #require(try SafetensorsEdit(file).entries.first { $0.name == "vector" }).bytes
        }
        let bare = try vector("bare", "--model", model)
        #expect(try vector("bare-again", "--model", model) == bare)
        #expect(try vector("others", "--model", model, "--seed", "1") != bare, "the examples are drawn by the seed")
        let adapter = workshop.out + "/adapter"
        let adapted = try vector("adapted", "--adapter", adapter)
        #expect(adapted != bare)
        #expect(try vector("adapted-again", "--adapter", workshop.out) == adapted, "a run stands for its adapter")
        let labelled = try workshop.hone(
            "taskvec", "--adapter", adapter, "--data", workshop.tickets(), "--out", workshop.folder + "/v.safetensors")
        #expect(labelled.code == 1 && labelled.error.contains("writes text"), "\(labelled.error)")
        Refusal.check(labelled)
        let foreign = try workshop.hone(
            "taskvec", "--adapter", adapter, "--model", workshop.fixture("gpt2-tiny"), "--data", data, "--out",
            workshop.folder + "/foreign.safetensors")
        #expect(foreign.code == 1 && foreign.error.contains("another base model"), "\(foreign.error)")
        Refusal.check(foreign)
    }
}
