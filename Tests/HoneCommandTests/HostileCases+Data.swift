import Foundation

extension HostileCase {
    /// A training run over a table with these bytes.
    private static func table(
        _ name: String, _ file: String = "rows.csv", says: [String], code: Int32 = 1,
        _ bytes: @escaping @Sendable () -> [UInt8]
    ) -> HostileCase {
        HostileCase(name, code: code, says: [file] + says) { workshop in
            try workshop.training(workshop.write(file, bytes()))
        }
    }

    private static func table(
        _ name: String, _ file: String = "rows.csv", says: [String], code: Int32 = 1, text: String
    ) -> HostileCase { table(name, file, says: says, code: code) { Array(text.utf8) } }

    private static let good = "text,label\n" + Workshop.ticketRows(6)
    private static let secret = Workshop.secret

    /// Tables that cannot be read.
    static let tables: [HostileCase] = [
        table("an empty CSV", says: ["empty"], text: ""),
        table("a CSV of blank lines", says: ["empty"], text: "\n\n  \n"),
        table("a CSV with a header only", says: ["rows.csv:1", "no rows"], text: "text,label\n"),
        table(
            "a quote that is never closed", says: ["rows.csv:8", "never closed"], text: good + "\"\(secret),early\n"),
        table("a row with a field too many", says: ["rows.csv:8", "3 fields"], text: good + "a,early,\(secret)\n"),
        table("a row with a field too few", says: ["rows.csv:8", "1 field"], text: good + "\(secret)\nb c,late\n"),
        table("text after a closing quote", says: ["rows.csv:8", "quote"], text: good + "\"a\"\(secret),early\n"),
        table("a quote within a bare field", says: ["rows.csv:8", "quote"], text: good + "\(secret)\"a\",early\n"),
        table("a header that names a column twice", says: ["rows.csv:1", "twice"], text: "text,label,text\na,b,c\n"),
        table("a CSV that is not UTF-8", says: ["rows.csv:8", "UTF-8"]) {
            Array(good.utf8) + [0xFF, 0xFE] + Array(",late\n".utf8)
        },
        table("NUL bytes", says: ["rows.csv:8", "NUL"]) { Array(good.utf8) + [0x61, 0, 0x2C, 0x62, 0x0A] },
        table("UTF-16", says: ["UTF-16"]) {
            [0xFF, 0xFE] + good.utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        },
        table("a spreadsheet under the name of a CSV", says: ["spreadsheet"]) { [0x50, 0x4B, 0x03, 0x04, 0, 0, 0] },
        table("a gzip file under the name of a CSV", says: ["gzip"]) { [0x1F, 0x8B, 8, 0, 0, 0] },
        table("a row of 5,000 fields", says: ["rows.csv:1", "4,096"]) {
            Array((0..<5000).map { "c\($0)" }.joined(separator: ",").utf8)
        },
        table("an ending that tells no format", "rows.xlsx", says: ["ending"], text: good),
        table("an empty JSONL", "rows.jsonl", says: ["empty"], text: "  \n"),
        table(
            "a line that is no JSON", "rows.jsonl", says: ["rows.jsonl:2"],
            text: #"{"text": "a", "label": "x"}"# + "\n{\"text\": \"\(secret)\n"),
        table(
            "a line that holds a list", "rows.jsonl", says: ["rows.jsonl:2", "object"],
            text: #"{"text": "a", "label": "x"}"# + "\n[\"\(secret)\"]\n"),
        table(
            "a line with a key twice", "rows.jsonl", says: ["rows.jsonl:1", "twice"],
            text: #"{"text": "a", "label": "x", "label": "y"}"# + "\n"),
        table("a line of 17 MB", "rows.jsonl", says: ["rows.jsonl:1", "longer than"]) {
            Array(#"{"text": ""#.utf8) + [UInt8](repeating: 0x61, count: 17 << 20) + Array(#"", "label": "x"}"#.utf8)
        },
        table("a line nested a million deep", "rows.jsonl", says: ["rows.jsonl:1"]) {
            Array(#"{"text": "#.utf8) + [UInt8](repeating: 0x5B, count: 1_000_000)
        },
        table(
            "a text that is a list", "rows.jsonl", says: ["rows.jsonl:2", "text"],
            text: #"{"text": "a", "label": "x"}"# + "\n" + #"{"text": ["b"], "label": "y"}"# + "\n"
                + (0..<6).map { #"{"text": "c \#($0)", "label": "x"}"# + "\n" }.joined()),
        table("a JSON array that is never closed", "rows.json", says: ["never closed"], text: "[{\"text\": \"a\"}, "),
        table(
            "a label of an unpaired surrogate", "rows.jsonl", says: ["rows.jsonl:1"],
            text: #"{"text": "a", "label": "\ud800"}"#),
    ]

    /// Tables that read well and cannot be learned from.
    static let rows: [HostileCase] = [
        table("one class", says: ["label"], text: "text,label\na b,x\nc d,x\ne f,x\n"),
        table(
            "no label column", says: ["label"], text: "text,other thing\na \(secret),b \(secret) c\nd,e f g \(secret)\n"
        ),
        table("labels mostly empty", says: ["label"], text: "text,label\na \(secret),\nb,\nc,x\nd,\n"),
        HostileCase("data that is not there", says: ["nowhere.csv", "no such file"]) {
            try $0.training($0.folder + "/nowhere.csv")
        },
        HostileCase("a folder without a train file", says: ["empty-folder", "train"]) { workshop in
            try workshop.write("empty-folder/notes.txt", "nothing")
            return try workshop.training(workshop.folder + "/empty-folder")
        },
        HostileCase("a device as data", says: ["/dev/zero", "regular file"]) { try $0.training("/dev/zero") },
        HostileCase("a validation file of other columns", says: ["other.csv", "label", "team"]) { workshop in
            let other = try workshop.write("other.csv", "message,team\n\(secret),early\nb,late\n")
            return try workshop.training(workshop.tickets(), more: ["--validation", other])
        },
        HostileCase("a validation file that is the data", code: 2, says: ["same file"]) { workshop in
            let data = try workshop.tickets()
            return try workshop.training(data, more: ["--validation", data])
        },
        HostileCase("a test file that is not there", says: ["nowhere.csv", "no such file"]) { workshop in
            try workshop.training(workshop.tickets(), more: ["--test", workshop.folder + "/nowhere.csv"])
        },
        HostileCase("an unknown label where the labels are given", says: ["late.csv:3", "label"]) { workshop in
            let rows = try workshop.write("late.csv", "text,label\na b,early\nc \(secret),never\n")
            let task = try workshop.write("task.yaml", "data: late.csv\nlabels: [early, late]\n")
            _ = rows
            return try workshop.training(task)
        },
        HostileCase("too few rows to search on", says: ["validation"]) { workshop in
            let data = try workshop.write("few.csv", "text,label\na b,x\nc d,y\n")
            return ["fit", data, "--model", try workshop.fixture("bert-tiny"), "--out", workshop.out, "--quiet"]
        },
    ]

    private static func definition(_ name: String, code: Int32 = 2, says: [String], _ yaml: String) -> HostileCase {
        HostileCase(name, code: code, says: ["task.yaml"] + says) { workshop in
            _ = try workshop.tickets()
            return try workshop.training(workshop.write("task.yaml", yaml))
        }
    }

    /// Descriptions of tasks.
    static let definitions: [HostileCase] = [
        definition("an unknown key", says: [":2", "lables"], "data: tickets.csv\nlables: [a, b]\n"),
        definition("a key twice", code: 1, says: ["twice"], "data: tickets.csv\ndata: other.csv\n"),
        definition("YAML that is none", code: 1, says: [":2", "YAML"], "data: tickets.csv\n\t- [\n"),
        definition("a template without its end", says: [":2", "template"], "data: tickets.csv\ntemplate: \"{text\"\n"),
        definition("a share above one", says: [":2", "splits"], "data: tickets.csv\nsplits: {test: 1.5}\n"),
        definition("an empty task.yaml", code: 1, says: ["no settings"], "# nothing\n"),
        definition(
            "aliases that multiply", code: 1, says: ["aliases"],
            "a: &a [x]\n" + (0..<40).map { "k\($0): [*a, *a]\n" }.joined()),
        definition(
            "brackets ten thousand deep", code: 1, says: ["brackets"], "data: " + String(repeating: "[", count: 10_000)),
        definition("a kind that is none", says: [":1", "kind"], "kind: translation\ndata: tickets.csv\n"),
        HostileCase("a column that is not there", says: ["tickets.csv", "message", "text"]) { workshop in
            _ = try workshop.tickets()
            return try workshop.training(
                workshop.write("task.yaml", "data: tickets.csv\ncolumns: {text: message, label: label}\n"))
        },
        HostileCase("a task.yaml whose data are not there", says: ["nowhere.csv"]) { workshop in
            try workshop.training(workshop.write("task.yaml", "data: nowhere.csv\n"))
        },
    ]
}
