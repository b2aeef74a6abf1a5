import Foundation
import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct TaskDataTests {
    /// Rows of two labels with a number that makes each different.
    private func rows(_ range: Range<Int>, header: Bool = true) -> String {
        (header ? "text,label\n" : "") + range.map { "message number \($0),\($0 % 2 == 0 ? "even" : "odd")\n" }.joined()
    }

    @Test func `one file is cut into three parts that share nothing`() throws {
        let folder = try TemporaryFolder()
        let data = try TaskData.load(path: folder.write("rows.csv", rows(0..<200)))
        #expect(data.verdict == "classification: column `text` → `label`, 2 labels, 200 rows")
        #expect(data.splitSummary == "train 160, validation 20 (drawn), test 20 (drawn)")
        #expect(data.labels == ["even", "odd"])
        #expect(data.trainCounts == [80, 80])
        #expect(data.warnings.isEmpty)
        let lines = [data.split.train, data.split.validation, data.split.test].map { Set($0.map(\.line)) }
        #expect(lines[0].union(lines[1]).union(lines[2]) == Set(2...201))
        for example in data.split.test {
            #expect(example.text == "message number \(example.index)")
            #expect(example.line == example.index + 2)
            #expect(example.label == example.index % 2)
        }
    }

    @Test func `the same seed gives the same data, another seed other splits`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rows.csv", rows(0..<200))
        let first = try TaskData.load(path: file, seed: 3)
        #expect(try TaskData.load(path: file, seed: 3).split == first.split)
        #expect(try TaskData.load(path: file, seed: 4).split != first.split)
        #expect(try TaskData.load(path: file, seed: 4).dataHash == first.dataHash)
    }

    @Test func `a run's definition gives the same data again`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rows.csv", rows(0..<60))
        try folder.write("task.yaml", "data: rows.csv\nlabels: [odd, even]\nsplits: {test: 0.3}\nseed: 5\n")
        for path in [file, folder.path, folder.path + "/task.yaml"] {
            let first = try TaskData.load(path: path)
            let definition = try TaskDefinition(json: JSON.parse(first.definition.json.text()))
            let second = try TaskData.load(definition: definition)
            #expect(second.definition == first.definition)
            #expect(second.split.train.map(\.line) == first.split.train.map(\.line))
            #expect(second.split.test.map(\.target) == first.split.test.map(\.target))
            #expect(second.dataHash == first.dataHash)
        }
        let described = try TaskData.load(path: folder.path)
        #expect(described.labels == ["odd", "even"])
        #expect(described.split.test.count == 18)
        #expect(described.definition.seed == 5)
    }

    @Test func `a folder's files are used, and no test rows are taken where a validation file is given`() throws {
        let folder = try TemporaryFolder()
        try folder.write("train.csv", rows(0..<50))
        let dev = try folder.write("dev.csv", rows(50..<60))
        let data = try TaskData.load(path: folder.path)
        #expect(data.splitSummary == "train 50, validation 10 (given), no test")
        #expect(data.warnings == ["no test split: give --test, or a share for it in a task.yaml"])
        #expect(data.files.map(\.role) == [.data, .validation])
        #expect(data.definition.validation == URL(fileURLWithPath: dev).standardizedFileURL.path)
        let asked = try TaskData.load(path: folder.path, definition: .init(splits: .init(test: 0.1)))
        #expect(asked.splitSummary == "train 45, validation 10 (given), test 5 (drawn)")
        let test = try folder.write("extra.jsonl", #"{"text": "else", "label": "odd"}"#)
        let given = try TaskData.load(path: folder.path, test: test)
        #expect(given.splitSummary == "train 50, validation 10 (given), test 1 (given)")
        try FileManager.default.removeItem(atPath: dev)
        let drawn = try TaskData.load(path: folder.path, test: test)
        #expect(drawn.splitSummary == "train 45, validation 5 (drawn), test 1 (given)")
    }

    @Test func `training rows that are also held out are left out and reported by line`() throws {
        let folder = try TemporaryFolder()
        let train = try folder.write("train.csv", rows(0..<20) + "Message  NUMBER 100,even\n")
        try folder.write("valid.csv", rows(100..<103) + "message number 4,even\n")
        try folder.write("test.csv", rows(200..<203) + "message number 6,even\nmessage number 101,odd\n")
        let data = try TaskData.load(path: folder.path)
        #expect(data.duplicates.trainInValidation == 2)
        #expect(data.duplicates.trainInTest == 1)
        #expect(data.duplicates.validationInTest == 1)
        #expect(data.split.train.count == 18)
        #expect(
            data.warnings.contains("\(train): 2 rows also in validation, left out of training (lines 6, 22)"))
        #expect(data.warnings.allSatisfy { !$0.contains("number") })
    }

    @Test func `copies of a drawn row never stay in training`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rows.csv", rows(0..<40) + rows(0..<40, header: false) + "message number 1,even\n")
        let data = try TaskData.load(path: file)
        let held = Set((data.split.validation + data.split.test).compactMap(\.text))
        #expect(held.count == 8)
        #expect(data.split.train.allSatisfy { !held.contains($0.text ?? "") })
        #expect(data.duplicates.withinTrain == data.split.train.count - 32)
        #expect(data.duplicates.trainInTest + data.duplicates.trainInValidation + data.split.train.count + 8 == 81)
    }

    @Test func `texts with two labels are counted`() throws {
        let folder = try TemporaryFolder()
        try folder.write("train.csv", rows(0..<20) + "message number 3,even\n")
        try folder.write("dev.csv", rows(30..<40))
        let data = try TaskData.load(path: folder.path)
        #expect(data.duplicates.conflicting == 1)
        #expect(data.duplicates.withinTrain == 1)
        #expect(data.warnings.contains { $0.hasSuffix("1 text with different labels in training (first on line 5)") })
    }

    @Test func `labels without training rows, or twice in different case, are warned of`() throws {
        let folder = try TemporaryFolder()
        try folder.write("train.csv", rows(0..<20) + "one more,Odd\nand another,Odd\n")
        try folder.write("dev.csv", rows(30..<40) + "something,rare\n")
        let data = try TaskData.load(path: folder.path)
        #expect(data.labels == ["Odd", "even", "odd", "rare"])
        #expect(
            data.warnings.contains(
                "1 label without training rows: `rare`; 1 row in validation and test cannot be right"))
        #expect(data.warnings.contains { $0.contains("`Odd` and `odd` differ only in case") })
    }

    @Test func `rows without text or label are left out and reported`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rows.csv", rows(0..<40) + " ,odd\nmessage,\n")
        let data = try TaskData.load(path: file)
        #expect(data.warnings.contains("\(file): 1 row without text in `text` left out (line 42)"))
        #expect(data.warnings.contains("\(file): 1 row without label in `label` left out (line 43)"))
    }

    @Test func `numbers as labels are in natural order, and may count into given names`() throws {
        let folder = try TemporaryFolder()
        let lines = (0..<44).map { #"{"text": "row \#($0)", "label": \#($0 % 11)}"# }.joined(separator: "\n")
        let file = try folder.write("rows.jsonl", lines)
        #expect(try TaskData.load(path: file).labels == (0..<11).map(String.init))
        let names = (0..<11).map { "class \($0)" }
        let named = try TaskData.load(path: file, definition: .init(labels: names))
        #expect(named.labels == names)
        #expect(named.split.train.allSatisfy { $0.label == $0.index % 11 })
    }

    @Test func `whole numbers as answers lose their fraction`() throws {
        let folder = try TemporaryFolder()
        let lines = (0..<30).map {
            #"{"body": "Jo has \#($0) eggs.", "question": "How many?", "answer": \#($0).\#($0 == 7 ? 5 : 0)}"#
        }
        let data = try TaskData.load(path: folder.write("rows.jsonl", lines.joined(separator: "\n")))
        #expect(data.verdict == "generation: template `{body} {question}` → `answer`, 30 rows")
        let all = data.split.train + data.split.validation + data.split.test
        #expect(all.first { $0.index == 7 }?.completion == "7.5")
        #expect(all.first { $0.index == 8 }?.completion == "8")
        #expect(all.first { $0.index == 8 }?.input == .prompt("Jo has 8 eggs. How many?"))
    }

    @Test func `conversations give their last turn as the answer`() throws {
        let folder = try TemporaryFolder()
        let lines = (0..<20).map {
            #"{"messages": [{"role": "system", "content": "s"}, {"from": "human", "value": "\#($0)"}, "#
                + #"{"role": "assistant", "content": "a\#($0)"}]}"#
        }
        let data = try TaskData.load(path: folder.write("rows.jsonl", lines.joined(separator: "\n")))
        #expect(data.verdict == "generation: conversations in column `messages`, 20 rows")
        let example = try #require(data.split.train.first)
        #expect(example.completion == "a\(example.index)")
        #expect(
            example.messages == [
                Message(role: .system, content: "s"), Message(role: .user, content: "\(example.index)"),
            ])
    }

    @Test(arguments: [#"[{"name": "t"}]"#, #""[{\"name\": \"t\"}]""#])
    func `conversations have tools, and contents in parts`(tools: String) throws {
        let folder = try TemporaryFolder()
        let lines = (0..<20).map {
            #"{"messages": [{"role": "user", "content": [{"type": "text", "text": "say "}, {"type": "text", "text": "\#($0)"}]}, "#
                + #"{"role": "assistant", "content": "a\#($0)"}], "tools": \#($0 == 7 ? "null" : tools)}"#
        }
        let data = try TaskData.load(path: folder.write("rows.jsonl", lines.joined(separator: "\n")))
        #expect(data.verdict == "generation: conversations in column `messages` with tools in `tools`, 20 rows")
        for example in data.split.train + data.split.validation + data.split.test {
            #expect(example.messages == [Message(role: .user, content: "say \(example.index)")])
            #expect(example.tools == (example.index == 7 ? [] : [["name": "t"]]))
        }
        #expect(try TaskDefinition(json: data.definition.json).columns.tools == "tools")
    }

    @Test func `other files are read by the definition of a run`() throws {
        let folder = try TemporaryFolder()
        let data = try TaskData.load(path: folder.write("rows.csv", rows(0..<40)))
        let labelled = try folder.write("new.jsonl", #"{"label": "odd", "text": "new"}"#)
        let (examples, warnings) = try data.definition.examples(file: labelled)
        #expect(examples.map(\.target) == [.label(1)])
        #expect(warnings.isEmpty)
        let bare = try folder.write("bare.csv", "text\nnew\n")
        #expect(try data.definition.examples(file: bare, needsTargets: false).examples.map(\.target) == [.unknown])
        #expect(honeError { _ = try data.definition.examples(file: bare) }?.message.contains("`label`") == true)
        let unknown = try folder.write("unknown.csv", "text,label\nnew,od\n")
        let error = honeError { _ = try data.definition.examples(file: unknown) }
        #expect(error?.line == 2)
        #expect(error?.message == "`od` is not among the 2 labels of the task; did you mean `odd`?")
        #expect(try data.definition.input(of: JSON.parse("{\"text\": \"hi\"}").object ?? JSONObject()) == .text("hi"))
    }

    @Test func `the hash follows the bytes`() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("rows.csv", rows(0..<40))
        let first = try TaskData.load(path: file)
        #expect(first.files.first?.sha256.count == 64)
        try folder.write("rows.csv", rows(0..<40) + "\n")
        let second = try TaskData.load(path: file)
        #expect(second.split == first.split)
        #expect(second.dataHash != first.dataHash)
        let empty = try folder.write("known.csv", "")
        #expect(honeError { _ = try TaskData.load(path: empty) }?.file == empty)
    }
}
