import Foundation
import HoneFormats

extension HostileCase {
    /// A question to a damaged copy of a finished run.
    private static func run(
        _ name: String, code: Int32 = 1, says: [String],
        _ damage: @escaping @Sendable (Workshop, _ run: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, code: code, says: says) { workshop in
            let run = try workshop.finishedRun()
            try damage(workshop, run)
            return ["predict", run, "a b"]
        }
    }

    private static func resume(
        _ name: String, code: Int32 = 1, says: [String], changing: String...
    ) -> HostileCase {
        HostileCase(name, code: code, says: says) { workshop in
            try workshop.resuming(workshop.unfinishedRun(), changing: changing)
        }
    }

    /// Run folders.
    static let runs: [HostileCase] = [
        HostileCase("a run that is not there", code: 2, says: ["nowhere"]) { _ in ["predict", "nowhere", "a"] },
        HostileCase("a folder that is no run", says: ["bert-tiny", "run.json"]) { workshop in
            ["eval", try workshop.fixture("bert-tiny"), "--data", try workshop.tickets()]
        },
        HostileCase("a run that is not finished", says: ["not finished", "--resume"]) { workshop in
            ["eval", try workshop.unfinishedRun(), "--data", try workshop.tickets()]
        },
        run("a truncated run.json", says: ["run/run.json"]) { workshop, run in
            try workshop.write("run/run.json", Array(FileBytes.read(run + "/run.json").dropLast(200)))
        },
        run("a run.json of nothing", says: ["run/run.json"]) { workshop, _ in try workshop.write("run/run.json", "") },
        run("a run.json without a version", says: ["run/run.json", "version"]) { workshop, run in
            try workshop.edit(run + "/run.json") { $0["version"] = nil }
        },
        run("a run of a newer version", says: ["run/run.json", "newer"]) { workshop, run in
            try workshop.edit(run + "/run.json") { $0["version"] = 99 }
        },
        run("a run without its task", says: ["run/run.json", "task"]) { workshop, run in
            try workshop.edit(run + "/run.json") { $0["task"] = nil }
        },
        run("a run of a kind that is not there", code: 2, says: ["run/run.json", "kind"]) { workshop, run in
            try workshop.edit(run + "/run.json") { $0["task"] = ["definition": ["kind": "translation"]] }
        },
        run("a run whose base model has moved", says: ["/nowhere", "--model"]) { workshop, run in
            try workshop.edit(run + "/run.json") { $0["model"] = ["folder": "/nowhere/bert-tiny"] }
        },
        run("a run without its adapter", says: ["run/adapter"]) { _, run in
            try FileManager.default.removeItem(atPath: run + "/adapter")
        },
        run("a run with a truncated adapter", says: ["adapter_model.safetensors"]) { workshop, run in
            let file = run + "/adapter/adapter_model.safetensors"
            try workshop.write("run/adapter/adapter_model.safetensors", Array(FileBytes.read(file).dropLast(64)))
        },
        HostileCase("a run over another base model", says: ["another base"]) { workshop in
            let base = try workshop.fixture("bert-tiny")
            var edit = try SafetensorsEdit(base + "/model.safetensors")
            try edit.change("layer.0.output.dense.bias") { $0.bytes[0] ^= 1 }
            try edit.write(to: base + "/model.safetensors")
            return ["predict", try workshop.finishedRun(), "a b", "--model", base]
        },
        HostileCase("a finished run resumed", code: 2, says: ["run", "finished"]) { workshop in
            try workshop.resuming(workshop.finishedRun())
        },
        resume("another learning rate on resuming", says: ["learning_rate"], changing: "--learning-rate", "0.5"),
        resume("other settings on resuming", says: ["rank"], changing: "--set", "rank=3"),
        resume("another seed on resuming", says: ["seed"], changing: "--seed", "9"),
        resume("another type on resuming", says: ["dtype"], changing: "--dtype", "bf16"),
        HostileCase("another method on resuming", says: ["method", "lora", "bitfit"]) { workshop in
            var arguments = try workshop.resuming(workshop.unfinishedRun())
            if let place = arguments.firstIndex(of: "lora") { arguments[place] = "bitfit" }
            if let place = arguments.firstIndex(of: "--set") { arguments.removeSubrange(place...place + 1) }
            return arguments + ["--learning-rate", "1e-3"]
        },
        HostileCase("other data on resuming", says: ["data"]) { workshop in
            let run = try workshop.unfinishedRun()
            let data = try workshop.tickets("other.csv", rows: 20, from: 3)
            var arguments = try workshop.resuming(run)
            arguments[1] = data
            return arguments
        },
        HostileCase("a checkpoint of another version", says: ["state.json", "version"]) { workshop in
            let run = try workshop.unfinishedRun()
            for step in ["00000002", "00000004"] {
                let folder = run + "/checkpoints/step-" + step
                guard FileManager.default.fileExists(atPath: folder) else { continue }
                try workshop.edit(folder + "/state.json") { $0["version"] = 99 }
                try Manifest.write(folder: folder, files: ["state.safetensors", "state.json"])
            }
            return try workshop.resuming(run)
        },
    ]

    private static func predict(
        _ name: String, code: Int32 = 1, says: [String], input: [UInt8] = [],
        _ more: @escaping @Sendable (Workshop) throws -> [String]
    ) -> HostileCase {
        HostileCase(name, code: code, says: says, input: input) { workshop in
            ["predict", try workshop.finishedRun()] + (try more(workshop))
        }
    }

    private static func evaluate(_ name: String, says: [String], _ rows: String) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            ["eval", try workshop.finishedRun(), "--data", try workshop.write("new.csv", rows)]
        }
    }

    /// Questions to a run.
    static let predictions: [HostileCase] = [
        predict("texts and a file", code: 2, says: ["--file"]) { ["a b", "--file", try $0.tickets()] },
        predict("nothing on standard input", code: 2, says: ["nothing to answer"]) { _ in [] },
        predict("blank lines on standard input", code: 2, says: ["nothing to answer"], input: Array(" \n\n".utf8)) {
            _ in []
        },
        predict("bytes on standard input", says: ["standard input", "UTF-8"], input: [0xFF, 0xFE, 0x0A]) { _ in [] },
        predict("a file that is not there", says: ["nowhere.csv", "no such file"]) { _ in ["--file", "nowhere.csv"] },
        predict("a text file that is not there", says: ["nowhere.txt", "no such file"]) { _ in
            ["--file", "nowhere.txt"]
        },
        predict("a text file that is not UTF-8", says: ["bytes.txt", "UTF-8"]) {
            ["--file", try $0.write("bytes.txt", [0xFF, 0xFE, 0x0A])]
        },
        predict("a file without the columns of the task", says: ["other.csv", "text"]) {
            ["--file", try $0.write("other.csv", "message\n\(Workshop.secret)\n")]
        },
        predict("no new tokens", code: 2, says: ["--max-new-tokens"]) { _ in ["a", "--max-new-tokens", "0"] },
        predict("a temperature below zero", code: 2, says: ["--temperature"]) { _ in ["a", "--temperature=-1"] },
        predict("a temperature that is no number", code: 2, says: ["--temperature"]) { _ in
            ["a", "--temperature", "nan"]
        },
        evaluate("rows without labels", says: ["new.csv", "label"], "text\n\(Workshop.secret)\n"),
        evaluate(
            "an unknown label", says: ["new.csv:3", "label"], "text,label\na b,early\n\(Workshop.secret),never\n"),
        evaluate("a field too many", says: ["new.csv:2"], "text,label\na b,early,\(Workshop.secret)\n"),
        evaluate("nothing to measure on", says: ["new.csv"], "text,label\n"),
    ]
}
