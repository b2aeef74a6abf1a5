import Foundation
import HoneFormats
import Testing

/// Commands that are given an adapter's folder where others are given a run's.
struct AdapterFolderCommandTests {
    private func json(_ result: HoneProcess.Result) throws -> JSON {
        #expect(result.code == 0, "\(result.error)")
        return try JSON.parse(result.output)
    }

    @Test func `an adapter alone is measured, asked, exported and grafted as its run is`() throws {
        let workshop = try Workshop()
        let data = try workshop.tickets()
        let run = workshop.out
        let trained = try workshop.hone(
            "train", data, "--method", "lora", "--set", "rank=2", "--model", workshop.fixture("bert-tiny"), "--steps",
            "8",
            "--learning-rate", "0.01", "--out", run, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        let adapter = workshop.folder + "/alone"
        try FileManager.default.copyItem(atPath: run + "/adapter", toPath: adapter)
        for arguments in [["eval", "--data", data, "--json"], ["predict", "early in the day", "late", "--json"]] {
            let found = try [run, adapter].map { folder in
                var words = arguments
                words.insert(folder, at: 1)
                return try json(workshop.hone(words + ["--threads", "1"]))
            }
            #expect(found[0] == found[1], "\(arguments)")
        }
        for form in ["model", "lora"] {
            let copies = try [run, adapter].enumerated().map { place, folder in
                let out = "\(workshop.folder)/\(form)-\(place)"
                _ = try json(workshop.hone("export", folder, "--as", form, "--out", out, "--json"))
                return out
            }
            let name = form == "model" ? "/model.safetensors" : "/adapter_model.safetensors"
            let bytes = try copies.map { try FileBytes.read($0 + name) }
            #expect(bytes[0] == bytes[1])
        }
        let made = try json(
            workshop.hone(
                "graft", "make", "--finetuned", adapter, "--data", data, "--keep", "0.01", "--no-train", "--out",
                workshop.folder + "/a.graft", "--json", "--quiet"))
        #expect(try #require(made["k"]?.integer) > 0)
    }

    @Test func `an adapter of PEFT alone answers with its base, which has to write text`() throws {
        let workshop = try Workshop()
        let (model, adapter) = try (workshop.fixture("llama-tiny"), workshop.fixture("adapter-llama-lora"))
        func written(_ folder: String, _ more: String...) throws -> [JSON] {
            let found = try json(
                workshop.hone(
                    ["generate", folder, "the quick", "--max-tokens", "6", "--json", "--threads", "1"] + more))
            return found["generations"]?.array ?? []
        }
        let own = try written(adapter, "--model", model)
        let bare = try written(model)
        #expect(own.count == 1 && own != bare)
        let asked = try json(
            workshop.hone(
                "predict", adapter, "the quick", "--model", model, "--max-new-tokens", "6", "--json", "--threads", "1"))
        #expect(asked["predictions"]?.array?.count == 1)
        let rows = try workshop.additions()
        let measured = try json(workshop.hone("eval", adapter, "--model", model, "--data", rows, "--json"))
        #expect(measured["exact_match"] != nil, "\(measured.text())")
        let merged = workshop.folder + "/merged"
        _ = try json(workshop.hone("export", adapter, "--model", model, "--out", merged, "--json"))
        let folded = try written(merged)
        #expect(folded == own)

        let encoder = try workshop.hone(
            "predict", workshop.fixture("adapter-bert-lora"), "the quick", "--model", workshop.fixture("bert-tiny"))
        #expect(encoder.code == 1 && encoder.error.contains("--init-adapter"), "\(encoder.error)")
        Refusal.check(encoder)
        // The base that the folder names is in no such place.
        let lost = try workshop.hone("predict", workshop.fixture("adapter-gpt2-lora"), "the quick")
        #expect(lost.code != 0 && lost.error.contains("gpt2-tiny"), "\(lost.error)")
        Refusal.check(lost)
    }
}
