import Foundation
import HoneFormats

extension HostileCase {
    /// A training run from a damaged copy of a PEFT adapter for bert-tiny.
    private static func adapter(
        _ name: String, says: [String], of fixture: String = "adapter-bert-lora", method: String = "lora",
        _ damage: @escaping @Sendable (Workshop, _ folder: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            let folder = try workshop.fixture(fixture)
            try damage(workshop, folder)
            return [
                "train", try workshop.tickets(), "--method", method, "--model", try workshop.fixture("bert-tiny"),
                "--init-adapter", folder, "--steps", "2", "--batch-size", "4", "--out", workshop.out, "--quiet",
            ]
        }
    }

    private static func configuration(
        _ name: String, says: [String], _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) -> HostileCase {
        adapter(name, says: ["adapter_config.json"] + says) { workshop, folder in
            try workshop.edit(folder + "/adapter_config.json", change)
        }
    }

    private static func tensors(
        _ name: String, says: [String], of fixture: String = "adapter-bert-lora", method: String = "lora",
        _ change: @escaping @Sendable (inout SafetensorsEdit) throws -> Void
    ) -> HostileCase {
        adapter(name, says: says, of: fixture, method: method) { _, folder in
            var edit = try SafetensorsEdit(folder + "/adapter_model.safetensors")
            try change(&edit)
            try edit.write(to: folder + "/adapter_model.safetensors")
        }
    }

    /// Adapter folders of PEFT.
    static let adapters: [HostileCase] = [
        adapter("an adapter for another base", says: ["base model"], of: "adapter-llama-lora") { _, _ in },
        adapter("an adapter of another method", says: ["prompt", "lora"], of: "adapter-bert-prompt") { _, _ in },
        HostileCase("an adapter that is not there", says: ["nowhere", "adapter"]) { workshop in
            try workshop.training(workshop.tickets(), more: ["--init-adapter", workshop.folder + "/nowhere"])
        },
        HostileCase("an empty adapter folder", says: ["adapter_config.json"]) { workshop in
            try FileManager.default.createDirectory(
                atPath: workshop.folder + "/bare", withIntermediateDirectories: true)
            return try workshop.training(workshop.tickets(), more: ["--init-adapter", workshop.folder + "/bare"])
        },
        adapter("an adapter without its tensors", says: ["adapter_model.safetensors", "missing"]) { _, folder in
            try FileManager.default.removeItem(atPath: folder + "/adapter_model.safetensors")
        },
        adapter("an adapter as pickle", says: ["pickle"]) { workshop, folder in
            try FileManager.default.removeItem(atPath: folder + "/adapter_model.safetensors")
            try workshop.write("adapter-bert-lora/adapter_model.bin", [0x80, 0x02])
        },
        adapter("a damaged adapter_config.json", says: ["adapter_config.json:3"]) { workshop, _ in
            try workshop.write("adapter-bert-lora/adapter_config.json", "{\n\"peft_type\": \"LORA\",\n\"r\": ,\n")
        },
        configuration("no peft_type", says: ["peft_type"]) { $0["peft_type"] = nil },
        configuration("a peft_type that is not read", says: ["LOHA"]) { $0["peft_type"] = "LOHA" },
        configuration("weight-decomposed LoRA without lengths", says: ["use_dora", "DoRA"]) {
            $0["use_dora"] = true
        },
        configuration("a rank of zero", says: ["r", "0"]) { $0["r"] = 0 },
        configuration("a rank that is a text", says: ["r"]) { $0["r"] = "four" },
        configuration("an alpha that is infinite", says: ["lora_alpha"]) { $0["lora_alpha"] = 1e300 },
        configuration("dropout above one", says: ["lora_dropout"]) { $0["lora_dropout"] = 1.5 },
        configuration("trained biases", says: ["bias"]) { $0["bias"] = "all" },
        configuration("modules that are saved whole", says: ["modules_to_save"]) { $0["modules_to_save"] = ["pooler"] },
        configuration("a variant of LoRA that is not computed", says: ["layer_replication"]) {
            $0["layer_replication"] = [[0, 2], [1, 2]]
        },
        configuration("a pattern that takes forever", says: ["alpha_pattern"]) {
            $0["alpha_pattern"] = ["(((((e+)+)+)+)+)+!": 4]
        },
        tensors("an adapter that is not finite", says: ["layer.0.attention.self.key.lora_A.weight", "finite"]) {
            try $0.change("layer.0.attention.self.key.lora_A.weight") {
                $0.bytes.replaceSubrange(0..<4, with: SafetensorsEdit.notANumber)
            }
        },
        tensors("a misshapen lora_A", says: ["layer.0.attention.self.key.lora_A.weight", "[8, 12]"]) {
            try $0.change("layer.0.attention.self.key.lora_A.weight") { $0.shape = [8, 12] }
        },
        tensors("a lora_B of another rank", says: ["adapter_model.safetensors", "rank"]) {
            try $0.change("layer.0.attention.self.key.lora_B.weight") {
                $0.shape = [24, 2]
                $0.bytes.removeLast($0.bytes.count / 2)
            }
        },
        tensors("a pair of rank zero", says: ["layer.0.attention.self.key.lora_A.weight", "[0, 24]"]) {
            try $0.change("layer.0.attention.self.key.lora_A.weight") { ($0.shape, $0.bytes) = ([0, 24], []) }
            try $0.change("layer.0.attention.self.key.lora_B.weight") { ($0.shape, $0.bytes) = ([24, 0], []) }
        },
        tensors("a missing lora_B", says: ["adapter_model.safetensors", "encoder.layer.0.attention.self.key"]) {
            try $0.remove("layer.0.attention.self.key.lora_B.weight")
        },
        tensors("a missing lora_A", says: ["adapter_model.safetensors", "encoder.layer.0.attention.self.key"]) {
            try $0.remove("layer.0.attention.self.key.lora_A.weight")
        },
        tensors("a tensor that is no LoRA", says: ["lora_magnitude_vector"]) {
            $0.entries.append(
                .init(name: "base_model.model.lora_magnitude_vector", dtype: "F32", shape: [1], bytes: [0, 0, 0, 0]))
        },
        tensors("no tensors", says: ["adapter_model.safetensors"]) { $0.entries = [] },
        tensors(
            "a prompt of another width", says: ["prompt_embeddings", "[4, 30]"], of: "adapter-bert-prompt",
            method: "prompt"
        ) {
            try $0.change("prompt_embeddings") { $0.shape = [4, 30] }
        },
        tensors(
            "a prompt longer than the model", says: ["prompt", "24 positions"], of: "adapter-bert-prompt",
            method: "prompt"
        ) {
            try $0.change("prompt_embeddings") {
                $0.shape = [40, 24]
                $0.bytes = [UInt8](repeating: 0, count: 40 * 24 * 4)
            }
        },
        tensors("a prompt of 2,000 vectors", says: ["prompt"], of: "adapter-bert-prompt", method: "prompt") {
            try $0.change("prompt_embeddings") {
                $0.shape = [2000, 24]
                $0.bytes = [UInt8](repeating: 0, count: 2000 * 24 * 4)
            }
        },
    ]

    private static func own(
        _ name: String, says: [String], _ damage: @escaping @Sendable (Workshop, _ run: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            let run = try workshop.finishedRun()
            try damage(workshop, run)
            return ["predict", run, "a b"]
        }
    }

    /// The parts of an adapter folder that Hone writes itself.
    static let heads: [HostileCase] = [
        own("a missing hone.json", says: ["run/adapter", "hone.json"]) { _, run in
            try FileManager.default.removeItem(atPath: run + "/adapter/hone.json")
        },
        own("a missing head", says: ["head.safetensors"]) { _, run in
            try FileManager.default.removeItem(atPath: run + "/adapter/head.safetensors")
        },
        own("a head for other classes", says: ["head.safetensors", "shape"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") { $0["labels"] = ["a", "b", "c"] }
        },
        own("no labels", says: ["hone.json", "labels"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") { $0["labels"] = [] }
        },
        own("no labels for in-context examples", says: ["hone.json", "labels"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") {
                $0["labels"] = []
                $0["method"] = "icl"
                $0["settings"] = nil
            }
        },
        own("a method that is not there", says: ["hone.json", "magic"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") { $0["method"] = "magic" }
        },
        own("a maximum length below one", says: ["hone.json", "maximum_length"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") { $0["maximum_length"] = -5 }
        },
        own("an adapter of a newer version", says: ["hone.json", "newer"]) { workshop, run in
            try workshop.edit(run + "/adapter/hone.json") { $0["version"] = 99 }
        },
        own("a head that is not finite", says: ["head.safetensors", "finite"]) { _, run in
            let file = run + "/adapter/head.safetensors"
            var edit = try SafetensorsEdit(file)
            edit.entries[0].bytes.replaceSubrange(0..<4, with: SafetensorsEdit.notANumber)
            try edit.write(to: file)
        },
    ]
}
