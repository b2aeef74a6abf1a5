import Foundation
import HoneFormats

extension Workshop {
    /// A generator of adapters for one task, `early`, in `out`, learned from a single adapter that does its task well. Its data is
    /// `early.csv`, its adapter lies in `one/early/adapters`, its vector in `vectors`. Made once for the tests that need one.
    static let sharedGenerator: Swift.Result<Workshop, any Error> = Swift.Result {
        let workshop = try Workshop()
        let (data, model) = (try workshop.tickets("early.csv"), try workshop.fixture("bert-tiny"))
        func hone(_ arguments: String...) throws {
            let result = try HoneProcess.run(arguments + ["--threads", "1"], in: workshop.folder)
            guard result.code == 0 else { throw HoneProcess.StartFailure(description: result.error) }
        }
        try hone(
            "train", data, "--method", "lora", "--set", "rank=1", "--model", model, "--seed", "1", "--steps", "40",
            "--batch-size", "8", "--learning-rate", "0.03", "--keep-adapters", "1", "--out",
            workshop.folder + "/one/early", "--quiet")
        try FileManager.default.createDirectory(
            atPath: workshop.folder + "/vectors", withIntermediateDirectories: true)
        try hone(
            "taskvec", "--model", model, "--data", data, "--examples", "10", "--out",
            workshop.folder + "/vectors/early.safetensors")
        try hone(
            "generator", "train", "--adapters", workshop.folder + "/one/*/adapters/step-*", "--taskvecs",
            workshop.folder + "/vectors", "--latent", "2", "--beta", "0", "--learning-rate", "0.01", "--epochs", "60",
            "--out", workshop.out, "--quiet")
        return workshop
    }
}

extension HostileCase {
    /// An adapter asked of a damaged copy of a generator's folder.
    private static func generator(
        _ name: String, says: [String], _ damage: @escaping @Sendable (Workshop, _ folder: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            let folder = workshop.folder + "/generator"
            try FileManager.default.copyItem(atPath: Workshop.sharedGenerator.get().out, toPath: folder)
            try damage(workshop, folder)
            return ["generator", "sample", folder, "--task", "early", "--out", workshop.out]
        }
    }

    private static func field(_ name: String) -> HostileCase {
        generator("a generator without its field \(name)", says: ["generator/generator.json", name]) {
            workshop, folder in
            try workshop.edit(folder + "/generator.json") { $0[name] = nil }
        }
    }

    private static func shape(_ name: String, _ shape: [JSON]) -> HostileCase {
        generator(name, says: ["generator/generator.json", "tensors", "damaged"]) { workshop, folder in
            try workshop.edit(folder + "/generator.json") { description in
                var tensors = description["tensors"]?.array ?? []
                var first = tensors.first?.object ?? JSONObject()
                first["shape"] = .array(shape)
                tensors[0] = .object(first)
                description["tensors"] = .array(tensors)
            }
        }
    }

    private static func tensors(
        _ name: String, says: [String], _ change: @escaping @Sendable (inout SafetensorsEdit) throws -> Void
    ) -> HostileCase {
        generator(name, says: ["generator/generator.safetensors"] + says) { _, folder in
            var edit = try SafetensorsEdit(folder + "/generator.safetensors")
            try change(&edit)
            try edit.write(to: folder + "/generator.safetensors")
        }
    }

    /// Folders of generators.
    static let generators: [HostileCase] = [
        HostileCase("a generator that is not there", code: 2, says: ["nowhere"]) { workshop in
            ["generator", "sample", workshop.folder + "/nowhere", "--task", "early", "--out", workshop.out]
        },
        generator("a generator without its description", says: ["generator/generator.json"]) { _, folder in
            try FileManager.default.removeItem(atPath: folder + "/generator.json")
        },
        generator("a generator without its tensors", says: ["generator/generator.safetensors"]) { _, folder in
            try FileManager.default.removeItem(atPath: folder + "/generator.safetensors")
        },
        field("version"), field("latent"), field("scaling"), field("tensors"), field("tasks"),
        // Their products are more than a whole number of 64 bits holds.
        shape("a generated tensor of 2^96 numbers", Array(repeating: .integer(1 << 24), count: 4)),
        shape("a generated tensor of 2^189 numbers", Array(repeating: .integer(.max), count: 3)),
        shape("a generated tensor of 2^40 numbers", [.integer(1 << 20), .integer(1 << 20)]),
        shape("a generated tensor of no numbers", [0, 24]),
        shape("a generated tensor of fewer than no numbers", [.integer(-1), 24]),
        shape("a generated tensor whose size is a text", ["many", 24]),
        generator("latent vectors of 2^32 numbers", says: ["generator.safetensors", "hidden.weight", "misshapen"]) {
            workshop, folder in
            try workshop.edit(folder + "/generator.json") { $0["latent"] = .integer(1 << 32) }
        },
        generator("a generator whose variances are negative", says: ["lora_", "finite", "damaged"]) { _, folder in
            var edit = try SafetensorsEdit(folder + "/generator.safetensors")
            try edit.change("decoder.0.norm.variance") { entry in
                let minusOne: [UInt8] = [0, 0, 0x80, 0xBF]
                entry.bytes = Array(repeating: minusOne, count: entry.bytes.count / 4).flatMap { $0 }
            }
            try edit.write(to: folder + "/generator.safetensors")
        },
        generator("a generator of a task beside its folder", says: ["generator/generator.json", "../early"]) {
            workshop, folder in
            try workshop.edit(folder + "/generator.json") { description in
                var task = description["tasks"]?.array?.first?.object ?? JSONObject()
                task["name"] = "../early"
                description["tasks"] = .array([.object(task)])
            }
            var edit = try SafetensorsEdit(folder + "/generator.safetensors")
            for place in edit.entries.indices {
                edit.entries[place].name.replace("task.early.", with: "task.../early.")
            }
            try edit.write(to: folder + "/generator.safetensors")
        },
        tensors("a generator that lacks a tensor", says: ["mean.weight", "missing"]) {
            try $0.remove("network.mean.weight")
        },
        tensors("a generator that is not finite", says: ["mean.weight", "finite"]) {
            try $0.change("network.mean.weight") {
                $0.bytes.replaceSubrange(0..<4, with: SafetensorsEdit.notANumber)
            }
        },
    ]
}
