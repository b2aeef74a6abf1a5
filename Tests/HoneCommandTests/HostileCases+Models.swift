import Foundation
import HoneFormats

extension HostileCase {
    /// A training run over a damaged copy of bert-tiny.
    private static func model(
        _ name: String, code: Int32 = 1, says: [String], of fixture: String = "bert-tiny",
        _ damage: @escaping @Sendable (Workshop, _ folder: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, code: code, says: says) { workshop in
            let folder = try workshop.fixture(fixture)
            try damage(workshop, folder)
            if fixture != "bert-tiny" {
                return [
                    "train", try workshop.additions(), "--method", "lora", "--model", folder, "--steps", "1", "--out",
                    workshop.out, "--quiet",
                ]
            }
            return try workshop.training(workshop.tickets())
        }
    }

    private static func tensors(
        _ name: String, says: [String], _ change: @escaping @Sendable (inout SafetensorsEdit) throws -> Void
    ) -> HostileCase {
        model(name, says: says) { _, folder in
            var edit = try SafetensorsEdit(folder + "/model.safetensors")
            try change(&edit)
            try edit.write(to: folder + "/model.safetensors")
        }
    }

    private static func bytes(
        _ name: String, says: [String], _ change: @escaping @Sendable ([UInt8]) -> [UInt8]
    ) -> HostileCase {
        model(name, says: ["model.safetensors"] + says) { workshop, folder in
            let old = try FileBytes.read(folder + "/model.safetensors")
            try workshop.write("bert-tiny/model.safetensors", change(old))
        }
    }

    /// Weight files.
    static let weights: [HostileCase] = [
        bytes("truncated weights", says: []) { Array($0.dropLast(1000)) },
        bytes("weights of seven bytes", says: []) { Array($0.prefix(7)) },
        bytes("weights of no bytes", says: ["0 bytes"]) { _ in [] },
        bytes("weights with bytes after the end", says: []) { $0 + [0] },
        bytes("a flipped bit in the header", says: []) {
            var copy = $0; copy[9] ^= 0x40; return copy
        },
        bytes("a header that claims 2^60 bytes", says: []) {
            SafetensorsEdit.file(header: Array($0[8...100]), claiming: 1 << 60)
        },
        bytes("a header that claims 2^64 - 1 bytes", says: []) {
            SafetensorsEdit.file(header: Array($0[8...100]), claiming: .max)
        },
        bytes("a tensor that claims 2^62 elements", says: []) { _ in
            SafetensorsEdit.file(
                header: Array(
                    #"{"a": {"dtype": "F32", "shape": [2147483648, 2147483648], "data_offsets": [0, 4]}}"#.utf8),
                data: [0, 0, 0, 0])
        },
        bytes("a shape below zero", says: ["a"]) { _ in
            SafetensorsEdit.file(
                header: Array(#"{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}"#.utf8),
                data: [0, 0, 0, 0])
        },
        bytes("tensors that overlap", says: []) { _ in
            SafetensorsEdit.file(
                header: Array(
                    (#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},"#
                        + #""b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}"#).utf8), data: [0, 0, 0, 0])
        },
        bytes("a pickle under the name of safetensors", says: ["pickle"]) { _ in
            [0x80, 0x02, 0x7D, 0x71, 0, 0x2E, 0, 0, 0, 0]
        },
        bytes("a Git LFS pointer", says: ["LFS"]) { _ in Array("version https://git-lfs.github.com/spec/v1\n".utf8) },
        bytes("a web page under the name of safetensors", says: ["web page"]) { _ in Array("<!DOCTYPE html><html>".utf8)
        },
        model("weights as pickle only", says: ["bert-tiny", "pickle"]) { workshop, folder in
            try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
            try workshop.write("bert-tiny/pytorch_model.bin", [0x80, 0x02])
        },
        model("no weights", says: ["bert-tiny", "model.safetensors"]) { _, folder in
            try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
        },
        model("a missing shard", says: ["model-00002-of-00002.safetensors"]) { workshop, folder in
            try FileManager.default.moveItem(
                atPath: folder + "/model.safetensors", toPath: folder + "/model-00001-of-00002.safetensors")
            try workshop.write(
                "bert-tiny/model.safetensors.index.json",
                #"{"weight_map": {"embeddings.LayerNorm.bias": "model-00002-of-00002.safetensors"}}"#)
        },
        model("an index that leads out of its folder", says: ["index.json"]) { workshop, folder in
            try FileManager.default.removeItem(atPath: folder + "/model.safetensors")
            try workshop.write(
                "bert-tiny/model.safetensors.index.json", #"{"weight_map": {"a": "../../../etc/passwd"}}"#)
        },
        tensors("weights that are not finite", says: ["layers.1.attention.key.weight", "finite"]) {
            try $0.change("layer.1.attention.self.key.weight") {
                $0.bytes.replaceSubrange(8..<12, with: SafetensorsEdit.notANumber)
            }
        },
        tensors("a missing weight", says: ["encoder.layer.1.attention.self.key.weight", "missing"]) {
            try $0.remove("layer.1.attention.self.key.weight")
        },
        tensors("a misshapen weight", says: ["encoder.layer.1.attention.self.key.weight", "[12, 48]"]) {
            try $0.change("layer.1.attention.self.key.weight") { $0.shape = [12, 48] }
        },
        tensors("a weight too many", says: ["encoder.layer.2.attention.self.key.weight", "no place"]) {
            $0.entries.append(
                .init(name: "encoder.layer.2.attention.self.key.weight", dtype: "F32", shape: [1], bytes: [0, 0, 0, 0]))
        },
        tensors("a weight of whole numbers", says: ["encoder.layer.1.attention.self.key.weight", "type"]) {
            try $0.change("layer.1.attention.self.key.weight") { $0.dtype = "I32" }
        },
    ]

    private static func config(
        _ name: String, says: [String], of fixture: String = "bert-tiny", file: String = "config.json",
        _ change: @escaping @Sendable (inout JSONObject) -> Void
    ) -> HostileCase {
        model(name, says: [file] + says, of: fixture) { workshop, folder in
            try workshop.edit(folder + "/" + file, change)
        }
    }

    /// Configurations and tokenizers.
    static let models: [HostileCase] = [
        HostileCase("a model that is not there", says: ["nowhere", "Hub cache", "HF_HUB_OFFLINE"]) { workshop in
            try workshop.training(workshop.tickets(), more: []).map { $0.hasSuffix("/bert-tiny") ? "nowhere" : $0 }
        },
        config("a model type that is not read", says: ["model_type", "mamba", "bert"]) { $0["model_type"] = "mamba" },
        config("no model type", says: ["model_type"]) { $0["model_type"] = nil },
        config("a missing size", says: ["hidden_size", "missing"]) { $0["hidden_size"] = nil },
        config("a size that is a text", says: ["hidden_size"]) { $0["hidden_size"] = "24" },
        config("a size of 2^62", says: ["hidden_size"]) { $0["hidden_size"] = .integer(1 << 62) },
        config("no layers", says: ["num_hidden_layers"]) { $0["num_hidden_layers"] = 0 },
        config("heads that do not divide the width", says: ["num_attention_heads"]) { $0["num_attention_heads"] = 7 },
        config("an activation that is not read", says: ["hidden_act", "waves"]) { $0["hidden_act"] = "waves" },
        config("quantised weights", says: ["quantization_config"]) { $0["quantization_config"] = ["bits": 4] },
        config("rotary scaling that is not read", says: ["rope", "spiral"], of: "llama-tiny") {
            $0["rope_parameters"] = ["rope_type": "spiral", "factor": 4]
        },
        config("heads that cannot be shared", says: ["num_key_value_heads"], of: "llama-tiny") {
            $0["num_key_value_heads"] = 3
        },
        model("a config that is no JSON", says: ["config.json:1"]) { workshop, _ in
            try workshop.write("bert-tiny/config.json", "{\"model_type\": \"bert\",")
        },
        model("a config that is a list", says: ["config.json", "model_type"]) { workshop, _ in
            try workshop.write("bert-tiny/config.json", "[]")
        },
        model("no tokenizer", says: ["tokenizer.json"]) { _, folder in
            try FileManager.default.removeItem(atPath: folder + "/tokenizer.json")
        },
        model("a tokenizer that is no JSON", says: ["tokenizer.json"]) { workshop, _ in
            try workshop.write("bert-tiny/tokenizer.json", "{\"model\": ")
        },
        model("a tokenizer without a model", says: ["tokenizer.json", "model"]) { workshop, _ in
            try workshop.write("bert-tiny/tokenizer.json", "{\"version\": \"1.0\"}")
        },
        config("a tokenizer model that is not read", says: ["WordSalad"], file: "tokenizer.json") {
            $0["model"] = ["type": "WordSalad", "vocab": []]
        },
        config("a normalizer that is not read", says: ["normalizer", "Strange"], file: "tokenizer.json") {
            $0["normalizer"] = ["type": "Strange"]
        },
        config("sequences nested without end", says: ["normalizer"], file: "tokenizer.json") { object in
            object["normalizer"] = (0..<20).reduce(["type": "Lowercase"]) { inner, _ in
                ["type": "Sequence", "normalizers": [inner]]
            }
        },
        model("a tokenizer with more tokens than the model", says: ["bert-tiny", "tokens"]) { workshop, folder in
            try workshop.edit(folder + "/tokenizer.json") { object in
                var added = object["added_tokens"]?.array ?? []
                added += (100..<200).map { ["id": .integer($0), "content": .string("<\($0)>"), "special": true] }
                object["added_tokens"] = .array(added)
            }
        },
        model("a token whose number the model has not", says: ["bert-tiny", "59999"]) { workshop, folder in
            try workshop.edit(folder + "/tokenizer.json") { object in
                var model = object["model"]?.object ?? JSONObject()
                var vocabulary = model["vocab"]?.object ?? JSONObject()
                vocabulary["a"] = 59999
                model["vocab"] = .object(vocabulary)
                object["model"] = .object(model)
            }
        },
        model("a padding number that the model has not", says: ["bert-tiny", "pad", "59999"]) { workshop, folder in
            try FileManager.default.removeItem(atPath: folder + "/tokenizer_config.json")
            try workshop.edit(folder + "/config.json") { $0["pad_token_id"] = 59999 }
        },
        model("a merge of a piece that is no token", says: ["tokenizer.json"], of: "llama-tiny") { workshop, folder in
            try workshop.edit(folder + "/tokenizer.json") { object in
                var model = object["model"]?.object ?? JSONObject()
                model["merges"] = [["q", "zzz"]]
                object["model"] = .object(model)
            }
        },
    ]
}
