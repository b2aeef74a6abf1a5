import Foundation
import HoneFormats

extension HostileCase {
    /// A training run with more options.
    private static func train(_ name: String, code: Int32 = 2, says: [String], _ more: String...) -> HostileCase {
        HostileCase(name, code: code, says: says) { try $0.training($0.tickets(), more: more) }
    }

    private static func fit(_ name: String, code: Int32 = 2, says: [String], _ more: String...) -> HostileCase {
        HostileCase(name, code: code, says: says) { workshop in
            ["fit", try workshop.tickets(), "--model", try workshop.fixture("bert-tiny"), "--out", workshop.out] + more
        }
    }

    private static func only(_ name: String, says: [String], _ arguments: String...) -> HostileCase {
        HostileCase(name, code: 2, says: says) { _ in arguments }
    }

    /// Options that cannot be used as given.
    static let options: [HostileCase] = [
        only("an unknown verb", says: ["blend"], "blend"),
        only("train without data", says: ["data"], "train", "--method", "lora"),
        only("train without a method", says: ["--method"], "train", "rows.csv"),
        only("eval without data", says: ["--data"], "eval", "run"),
        train("an unknown option", says: ["--magic"], "--magic"),
        train("an option without its value", says: ["--seed"], "--seed"),
        train("steps that are no number", says: ["--steps", "many"], "--steps", "many"),
        train("no steps", says: ["--steps", "0"], "--steps", "0"),
        train("steps below zero", says: ["--steps"], "--steps=-3"),
        train("steps and epochs", says: ["--steps", "--epochs"], "--epochs", "2"),
        train("a learning rate below zero", says: ["--learning-rate"], "--learning-rate=-1"),
        train("a learning rate of zero", says: ["--learning-rate"], "--learning-rate", "0"),
        train("a learning rate that is no number", says: ["--learning-rate"], "--learning-rate", "nan"),
        train("an infinite learning rate", says: ["--learning-rate"], "--learning-rate", "inf"),
        train("rows of no length", says: ["--max-length", "0"], "--max-length", "0"),
        train("batches of no rows", says: ["--batch-size", "0"], "--batch-size", "0"),
        train("batches of 2^40 rows", says: ["--batch-size"], "--batch-size", "1099511627776"),
        train("more pieces than rows", says: ["--accumulate"], "--accumulate", "99"),
        train("no pieces", says: ["--accumulate"], "--accumulate", "0"),
        train("a warm-up above one", says: ["--warmup"], "--warmup", "2"),
        train("weight decay below zero", says: ["--weight-decay"], "--weight-decay=-1"),
        train("a limit that is no number", says: ["--clip"], "--clip", "nan"),
        train("patience below zero", says: ["--patience"], "--patience=-1"),
        train("checkpoints after -1 steps", says: ["--checkpoint-every"], "--checkpoint-every=-1"),
        train("validation after -1 steps", says: ["--evaluate-every"], "--evaluate-every=-1"),
        train("a schedule that is none", says: ["--schedule", "stairs"], "--schedule", "stairs"),
        train("an order that is none", says: ["--order", "sorted"], "--order", "sorted"),
        train("a type that is none", says: ["--dtype", "f8"], "--dtype", "f8"),
        train("a seed below zero", says: ["--seed"], "--seed=-1"),
        train("no threads", says: ["threads", "0"], "--threads", "0"),
        train("threads below zero", says: ["threads"], "--threads=-4"),
        train("a million threads", says: ["threads"], "--threads", "1000000"),
        fit("a budget that is no time", says: ["--budget", "soon"], "--budget", "soon"),
        fit("a budget of nothing", says: ["--budget"], "--budget", "0"),
        fit("a budget that is no number", says: ["--budget"], "--budget", "nan"),
        fit("a method to try that is not there", says: ["magic", "lora"], "--methods", "lora,magic"),
        HostileCase("epochs that are no number", code: 2, says: ["--epochs"]) { workshop in
            [
                "train", try workshop.tickets(), "--method", "lora", "--model", try workshop.fixture("bert-tiny"),
                "--epochs", "nan", "--out", workshop.out,
            ]
        },
        HostileCase("resuming nowhere", code: 2, says: ["--resume", "--out"]) { workshop in
            [
                "train", try workshop.tickets(), "--method", "lora", "--model", try workshop.fixture("bert-tiny"),
                "--resume",
            ]
        },
        HostileCase("an output folder that holds something", code: 2, says: ["--out", "holds something"]) { workshop in
            try workshop.write("out/notes.txt", "mine")
            return try workshop.training(workshop.tickets())
        },
        HostileCase("an output folder that is a file", code: 2, says: ["--out", "file"]) { workshop in
            try workshop.write("out", "mine")
            return try workshop.training(workshop.tickets())
        },
        HostileCase("an output folder below a file", says: ["notes.txt/run"]) { workshop in
            let file = try workshop.write("notes.txt", "mine")
            return try workshop.training(workshop.tickets(), more: ["--out", file + "/run"])
        },
        HostileCase("an output folder where nothing can be made", says: ["/proc/hone-run"]) { workshop in
            try workshop.training(workshop.tickets(), more: ["--out", "/proc/hone-run"])
        },
    ]

    private static func method(
        _ name: String, code: Int32 = 2, says: [String], _ method: String, on model: String = "bert-tiny",
        _ more: String...
    ) -> HostileCase {
        HostileCase(name, code: code, says: says) { workshop in
            [
                "train", model == "bert-tiny" ? try workshop.tickets() : try workshop.additions(), "--method", method,
                "--model", try workshop.fixture(model), "--steps", "2", "--out", workshop.out,
            ] + more
        }
    }

    /// Methods, their settings, and models that they do not fit.
    static let methodChoices: [HostileCase] = [
        method("a method that is not there", says: ["magic", "lora"], "magic"),
        method("a setting that is not there", says: ["lora", "rnak", "rank"], "lora", "--set", "rnak=4"),
        method("a setting without a value", says: ["--set", "rank"], "lora", "--set", "rank"),
        method("a setting without a name", says: ["--set"], "lora", "--set", "=4"),
        method("a setting that is no number", says: ["lora rank", "four"], "lora", "--set", "rank=four"),
        method("a setting out of bounds", says: ["lora rank", "4096"], "lora", "--set", "rank=0"),
        method("a setting that is not finite", says: ["lora alpha"], "lora", "--set", "alpha=nan"),
        method(
            "a choice that is none", says: ["prompt initialisation", "vocabulary"], "prompt", "--set",
            "initialisation=zeros"),
        method("a rank above the matrix", code: 1, says: ["rank 25", "24"], "lora", "--set", "rank=25"),
        method("a map that the model has not", code: 1, says: ["gate", "query"], "lora", "--set", "targets=gate"),
        method("a prompt that fills the model", code: 1, says: ["24 positions"], "prompt", "--set", "length=24"),
        method(
            "bias tuning of a model without biases", code: 1, says: ["bitfit", "biases"], "bitfit", on: "llama-tiny"),
        method("a probe for generation", code: 1, says: ["probe", "classify"], "probe", on: "llama-tiny"),
        method("in-context examples for an encoder", code: 1, says: ["icl", "generates"], "icl"),
        HostileCase("generation with an encoder", says: ["bert-tiny", "--model"]) { workshop in
            try workshop.training(workshop.additions())
        },
        HostileCase("a method to show that is not there", code: 2, says: ["magic", "lora"]) { _ in ["methods", "magic"]
        },
        HostileCase("rows too short for their completions", says: ["--max-length"]) { workshop in
            [
                "train", try workshop.additions(), "--method", "lora", "--model", try workshop.fixture("llama-tiny"),
                "--steps", "2", "--max-length", "2", "--out", workshop.out, "--quiet",
            ]
        },
        method("more heads than there are", code: 1, says: ["lofit top", "9999", "8"], "lofit", "--set", "top=9999"),
        method("a vector for no head", code: 2, says: ["lofit top", "`0`"], "lofit", "--set", "top=0"),
        method("heads below zero", code: 2, says: ["lofit top", "`-1`"], "lofit", "--set", "top=-1"),
        method("a share of heads above all", code: 2, says: ["lofit top", "101%"], "lofit", "--set", "top=101%"),
        method("two numbers of heads", code: 2, says: ["lofit top", "one number"], "lofit", "--set", "top=1,2"),
        method(
            "a learning rate that explodes", code: 1, says: ["learning rate"], "full", on: "llama-tiny",
            "--learning-rate", "1e30",
            "--steps", "9", "--quiet"),
    ]
    /// A run that takes its heads from a file.
    private static func headList(_ name: String, says: [String], _ heads: String) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            let file = try workshop.write("heads.json", heads)
            return [
                "train", try workshop.tickets(), "--method", "lofit", "--set", "top=2", "--set", "heads=" + file,
                "--model", try workshop.fixture("bert-tiny"), "--steps", "2", "--out", workshop.out, "--quiet",
            ]
        }
    }

    /// A question to a run whose list of heads was damaged afterwards.
    private static func keptHeads(
        _ name: String, says: [String], _ damage: @escaping @Sendable (_ heads: String) throws -> Void
    ) -> HostileCase {
        HostileCase(name, says: says) { workshop in
            let run = workshop.folder + "/lofit"
            let trained = try workshop.hone(
                "train", workshop.tickets(), "--method", "lofit", "--set", "top=2", "--model",
                workshop.fixture("bert-tiny"), "--steps", "2", "--batch-size", "8", "--out", run, "--quiet")
            guard trained.code == 0 else { throw HoneProcess.StartFailure(description: trained.error) }
            try damage(run + "/adapter/heads.json")
            return ["predict", run, "a b"]
        }
    }

    /// Lists of attention heads: bert-tiny has two layers with four heads each.
    static let headLists: [HostileCase] = [
        headList("a list without heads", says: ["heads.json", "0 heads"], #"{"version": 1, "heads": []}"#),
        headList(
            "heads of a deeper model", says: ["heads.json", "heads.1", "layers.7.attention.heads", "another model"],
            #"""
            {"version": 1, "heads": [{"site": "layers.0.attention.heads", "head": 1, "score": 2},
            {"site": "layers.7.attention.heads", "head": 0, "score": 1}]}
            """#),
        headList(
            "heads of a model with more of them", says: ["heads.json", "heads.0", "head 4", "another model"],
            #"{"version": 1, "heads": [{"site": "layers.0.attention.heads", "head": 4}]}"#),
        headList(
            "a head that comes twice", says: ["heads.json", "twice"],
            #"""
            {"version": 1, "heads": [{"site": "layers.0.attention.heads", "head": 1},
            {"site": "layers.0.attention.heads", "head": 1}]}
            """#),
        headList(
            "fewer heads than wanted", says: ["heads.json", "lofit top", "2"],
            #"{"version": 1, "heads": [{"site": "layers.0.attention.heads", "head": 1}]}"#),
        headList(
            "a head without a place", says: ["heads.json", "heads.0"], #"{"version": 1, "heads": [{"head": 1}]}"#),
        headList("a list of heads of a newer version", says: ["heads.json"], #"{"version": 2, "heads": []}"#),
        headList("a list of heads that ends too soon", says: ["heads.json:1"], #"{"version": 1, "heads": ["#),
        HostileCase("a list of heads that is not there", says: ["nowhere.json"]) { workshop in
            [
                "train", try workshop.tickets(), "--method", "lofit", "--set",
                "heads=" + workshop.folder + "/nowhere.json", "--model", try workshop.fixture("bert-tiny"), "--steps",
                "2", "--out", workshop.out, "--quiet",
            ]
        },
        keptHeads("an adapter whose list of heads is empty", says: ["adapter", "heads.json"]) { file in
            try #"{"version": 1, "heads": []}"#.write(toFile: file, atomically: true, encoding: .utf8)
        },
        keptHeads("an adapter without its list of heads", says: ["adapter/heads.json"]) { file in
            try FileManager.default.removeItem(atPath: file)
        },
    ]
}
