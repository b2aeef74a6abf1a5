import Foundation
import HoneFormats
import Testing

@testable import HoneTasks

/// A file as a stranger might send it, and what must be said about it.
struct HostileFile: Sendable, CustomTestStringConvertible {
    var name: String
    var file: String
    var bytes: [UInt8]
    /// What follows the folder in the error's description: file, line and item, and the start of the sentence.
    var expected: String
    var testDescription: String { name }

    init(_ name: String, _ file: String, _ text: String, _ expected: String) {
        self.init(name, file, Array(text.utf8), expected)
    }

    init(_ name: String, _ file: String, _ bytes: [UInt8], _ expected: String) {
        (self.name, self.file, self.bytes, self.expected) = (name, file, bytes, expected)
    }

    private static let rows = (0..<10).map { "text \($0),\($0 % 2)\n" }.joined()

    static let all: [HostileFile] = [
        .init("empty CSV", "a.csv", "", "a.csv: the file is empty"),
        .init("only line ends", "a.csv", "\r\n\n\n", "a.csv: the file is empty"),
        .init("only a UTF-8 mark", "a.csv", "\u{FEFF}", "a.csv: the file is empty"),
        .init("header only", "a.csv", "text,label\n", "a.csv:1: the file has a header and no rows"),
        .init(
            "too few fields", "a.csv", "text,label\nx,0\n\"two\nlines\"\n", "a.csv:3: the row has 1 field, the header"),
        .init(
            "too many fields", "a.csv", "text,label\nx,0\na, b,1\n", "a.csv:3: the row has 3 fields, the header has 2"),
        .init("stray quote", "a.csv", "text,label\nx,0\nsay \"no\",1\n", "a.csv:3: a quote stands inside a field"),
        .init("text after quote", "a.csv", "text,label\n\"x\" y,0\n", "a.csv:2: text follows a closing quote"),
        .init(
            "unterminated quote", "a.csv", "text,label\nx,0\n\"y,1\nz,0\n",
            "a.csv:3: the quote opened on line 3 is never"),
        .init("duplicate names", "a.csv", "text,label,text\nx,0,y\n", "a.csv:1: text: the header names `text` twice"),
        .init("NUL in CSV", "a.csv", "text,label\nx,0\ny\u{0},1\n", "a.csv:3: the file holds a NUL byte"),
        .init(
            "Latin-1", "a.csv", Array("text,label\nx,0\ncaf".utf8) + [0xE9, 0x2C, 0x31],
            "a.csv:3: the row is not valid UTF-8"),
        .init(
            "overlong UTF-8", "a.csv", Array("text,label\n".utf8) + [0xC0, 0x80, 0x2C, 0x31],
            "a.csv:2: the row is not valid"),
        .init(
            "surrogate in UTF-8", "a.csv", Array("t,l\n".utf8) + [0xED, 0xA0, 0x80, 0x2C, 0x31],
            "a.csv:2: the row is not"),
        .init("UTF-16", "a.csv", [0xFF, 0xFE, 0x61, 0x00], "a.csv: this is a UTF-16 file; save it as UTF-8"),
        .init("gzip", "a.jsonl", [0x1F, 0x8B, 0x08, 0x00], "a.jsonl: this is a gzip file; decompress it first"),
        .init("spreadsheet", "a.csv", [0x50, 0x4B, 0x03, 0x04], "a.csv: this is a zip archive or a spreadsheet"),
        .init("Parquet", "a.jsonl", "PAR1....", "a.jsonl: this is a Parquet file"),
        .init("unknown ending", "a.txt", "text,label\nx,0\n", "a.txt: the file's ending does not tell its format"),
        .init(
            "many columns", "a.csv", String(repeating: "a,", count: 5_000) + "\n",
            "a.csv:1: the row has more than 4,096"),
        .init(
            "one class", "a.csv", "text,label\nx,same\ny,same\nz,same\nw,same\n",
            "a.csv:2: label: all 4 rows have the label `same`"),
        .init(
            "label column empty", "a.csv", "text,label\nx,\ny,\n", "a.csv:2: label: the label column `label` is empty"),
        .init(
            "texts empty", "a.csv", "text,label\n ,0\n ,1\nx,0\n", "a.csv:2: text: 2 of 3 rows have no text in `text`"),
        .init(
            "labels mostly empty", "a.csv", "text,label\nx,0\ny,\nz,\n", "a.csv:3: label: 2 of 3 rows have no label in"),
        .init("empty JSON Lines", "a.jsonl", "\n \n", "a.jsonl: the file is empty"),
        .init("array in JSON Lines", "a.jsonl", "{\"a\": 1}\n[1]\n", "a.jsonl:2: the line holds an array, an object"),
        .init("string in JSON Lines", "a.jsonl", "\"x\"\n", "a.jsonl:1: the line holds a string"),
        .init("cut JSON", "a.jsonl", "{\"a\": 1}\n{\"a\": \n", "a.jsonl:2: "),
        .init("two values", "a.jsonl", "{\"a\": 1} {\"a\": 2}\n", "a.jsonl:1: "),
        .init("duplicate keys", "a.jsonl", "{\"a\": 1, \"a\": 2}\n", "a.jsonl:1: "),
        .init("not a number", "a.jsonl", "{\"a\": NaN}\n", "a.jsonl:1: "),
        .init("NUL in JSON", "a.jsonl", "{\"a\": 1}\n{\"a\u{0}\": 1}\n", "a.jsonl:2: the file holds a NUL byte"),
        .init("not UTF-8 in JSON", "a.jsonl", Array("{\"a\": \"".utf8) + [0xFF] + Array("\"}".utf8), "a.jsonl:1: "),
        .init("deep JSON", "a.jsonl", "{\"a\": " + String(repeating: "[", count: 100_000) + "\n", "a.jsonl:1: "),
        .init("empty array", "a.json", "[]", "a.json: the file holds no rows"),
        .init("array of numbers", "a.json", "[\n1, 2]", "a.json:2: the element holds a number"),
        .init(
            "open array", "a.json", "[{\"a\": 1},\n{\"a\": 2}", "a.json:2: the array, or the element that starts here"),
        .init("hole in array", "a.json", "[{\"a\": 1},,{\"a\": 2}]", "a.json:1: an element of the array is missing"),
        .init("after the array", "a.json", "[{\"a\": 1}]\n x", "a.json:1: text follows the end of the array"),
        .init("closed too often", "a.json", "[}", "a.json:1: a bracket is closed that was not opened"),
        .init("list as text", "a.jsonl", "{\"text\": [1], \"label\": 1}\n", "a.jsonl: "),
        .init(
            "object in a text column", "a.csv.jsonl", mixed("{\"a\": 1}"),
            "a.csv.jsonl:21: text: the value is an object"),
        .init(
            "turn without role", "a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {}]}",
            "a.jsonl:1: messages: turn 2"),
        .init(
            "a picture in a turn", "a.jsonl",
            "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {}}]}]}",
            "a.jsonl:1: messages: the content of turn 1 has a part of `image_url`"),
        .init(
            "tools that are none", "a.jsonl",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [1]}",
            "a.jsonl:1: tools: tools are a list of objects"),
        .init(
            "unknown role", "a.jsonl", "{\"messages\": [{\"role\": \"king\", \"content\": \"x\"}]}",
            "a.jsonl:1: messages: turn 1 has an unknown"),
        .init(
            "no answer", "a.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}",
            "a.jsonl:1: messages: 1 of 1 rows have no"),
        .init(
            "unknown setting", "task.yaml", "data: a.csv\nlable: x\n",
            "task.yaml:2: there is no setting `lable`; did you"),
        .init("data missing", "task.yaml", "data: nowhere.csv\n", "nowhere.csv: there is no such file"),
        .init("data is a task", "task.yaml", "data: task.yaml\n", "task.yaml: `data` names another task.yaml"),
        .init(
            "same file twice", "task.yaml", "data: x.csv\ntest: ./x.csv\n",
            "x.csv: the same file is given as data and as"),
    ]

    private static func mixed(_ value: String) -> String {
        (0..<20).map { "{\"text\": \"t\($0)\", \"label\": \($0 % 2)}\n" }.joined()
            + "{\"text\": \(value), \"label\": 1}\n"
    }
}

@Suite struct HostileInputTests {
    @Test(arguments: HostileFile.all)
    func `names file and place`(hostile: HostileFile) throws {
        let folder = try TemporaryFolder()
        try folder.write("x.csv", "text,label\n" + (0..<10).map { "text \($0),\($0 % 2)\n" }.joined())
        let path = try folder.write(hostile.file, hostile.bytes)
        let error = honeError { _ = try TaskData.load(path: path) }
        let description = error?.description.replacing(folder.path + "/", with: "") ?? ""
        #expect(description.hasPrefix(hostile.expected), "\(description)")
        #expect(!description.contains("text 3"))
    }

    @Test func `says what is wrong with a path`() throws {
        let folder = try TemporaryFolder()
        func message(_ path: String) -> String {
            (honeError { _ = try TaskData.load(path: path) }?.description ?? "").replacing(folder.path, with: "DIR")
        }
        #expect(message(folder.path + "/none.csv") == "DIR/none.csv: there is no such file at this path")
        #expect(message(folder.path + "/none") == "DIR/none: there is no such file or folder at this path")
        #expect(message("a\u{0}b.csv").contains("holds a NUL byte"))
        #expect(message("").contains("path"))
        try FileManager.default.createDirectory(atPath: folder.path + "/sub", withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/sub/loop.csv", withDestinationPath: folder.path + "/sub/loop.csv")
        #expect(message(folder.path + "/sub/loop.csv").hasPrefix("DIR/sub/loop.csv: "))
        #expect(message("/dev/zero").contains("not a regular file"))
        #expect(message(folder.path).contains("no train file"))
        try folder.write("test.csv", "text,label\na,b\n")
        try folder.write("test.jsonl", "{}")
        #expect(message(folder.path).contains("`test.csv`, `test.jsonl` could each be the test file"))
        try FileManager.default.removeItem(atPath: folder.path + "/test.jsonl")
        #expect(message(folder.path).contains("DIR: the folder has no train file"))
        #expect(message(folder.path).contains("it holds `test.csv`"))
    }

    @Test func `a held-out file must have the columns, and labels of the task`() throws {
        let folder = try TemporaryFolder()
        let rows = (0..<20).map { "message \($0),\($0 % 2)\n" }.joined()
        let train = try folder.write("train.csv", "text,label\n" + rows)
        let other = try folder.write("other.csv", "text,lable\nx,0\n")
        let error = honeError { _ = try TaskData.load(path: train, test: other) }
        #expect(error?.file == other)
        #expect(error?.message.hasPrefix("there is no column `label`; did you mean `lable`?") == true)
        let strange = try folder.write("strange.csv", "text,label\nx,7\ny,8\nz,0\n")
        let unseen = honeError { _ = try TaskData.load(path: train, test: strange) }
        #expect(unseen?.message.hasPrefix("2 of 3 test rows have labels that no training row has") == true)
        let wrong = honeError { _ = try TaskData.load(path: train, definition: .init(labels: ["0", "2"])) }
        #expect(wrong?.description == "\(train):3: label: `1` is not among the 2 labels of the task")
    }

    @Test func `all rows held out leaves nothing to train on`() throws {
        let folder = try TemporaryFolder()
        let text = "text,label\n" + (0..<20).map { "message \($0),\($0 % 2)\n" }.joined()
        try folder.write("train.csv", text)
        try folder.write("dev.csv", text + "\n")
        #expect(honeError { _ = try TaskData.load(path: folder.path) }?.message.contains("no rows are left") == true)
    }
}
