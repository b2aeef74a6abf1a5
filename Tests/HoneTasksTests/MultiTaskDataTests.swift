import Foundation
import HoneFormats
import Testing

@testable import HoneTasks

/// Data of several tasks: a column that names them, or a file each.
@Suite struct MultiTaskDataTests {
    private func rows(_ texts: [String], _ labels: [String]) -> String {
        "text,label\n" + zip(texts, labels).map { "\($0),\($1)\n" }.joined()
    }

    private func reviews(_ count: Int, from start: Int = 0) -> String {
        rows((start..<start + count).map { "review \($0)" }, (0..<count).map { $0 % 2 == 0 ? "good" : "bad" })
    }

    private func questions(_ count: Int) -> String {
        rows((0..<count).map { "question \($0)" }, (0..<count).map { $0 % 3 == 0 ? "who" : "where" })
    }

    @Test func `a column of task names is found, and each task keeps its share of the splits`() throws {
        let folder = try TemporaryFolder()
        let lines = (0..<200).map { row in
            row % 4 == 0 ? "sports,match \(row),a" : "news,event \(row),\(row % 2 == 0 ? "b" : "c")"
        }
        let file = try folder.write("rows.csv", "task,text,label\n" + lines.joined(separator: "\n") + "\n")
        let data = try TaskData.load(path: file)
        #expect(
            data.verdict == "classification: column `text` → `label`, 3 labels, 200 rows of 2 tasks in column `task`")
        #expect(data.definition.columns.task == "task" && data.tasks == ["sports", "news"])
        for part in [data.split.validation, data.split.test] {
            #expect(part.count { $0.task == "sports" } == 5 && part.count == 20)
        }
        #expect(data.split.train.allSatisfy { ($0.text ?? "").hasPrefix($0.task == "sports" ? "match" : "event") })
    }

    @Test func `a column of that name that is the label, is long, or has gaps names no tasks`() throws {
        let folder = try TemporaryFolder()
        let label = try folder.write("a.csv", "text,task\n" + (0..<40).map { "t \($0),\($0 % 2)\n" }.joined())
        #expect(try TaskData.load(path: label).definition.columns.label == "task")
        #expect(try TaskData.load(path: label).tasks.isEmpty)
        let gaps = try folder.write(
            "b.csv", "text,label,task\n" + (0..<40).map { "t \($0),\($0 % 2),\($0 == 7 ? "" : "x")\n" }.joined())
        #expect(try TaskData.load(path: gaps).tasks.isEmpty)
        let many = try folder.write(
            "c.csv", "text,label,task\n" + (0..<40).map { "t \($0),\($0 % 2),do \($0)\n" }.joined())
        #expect(try TaskData.load(path: many).tasks.isEmpty)
        // Who names the column has it, whatever it looks like.
        let given = try TaskData.load(path: many, definition: .init(columns: .init(task: "task")))
        #expect(given.tasks.count == given.split.train.count)
    }

    @Test func `several files are a task each, by their names or given ones, and the definition reads them again`()
        throws
    {
        let folder = try TemporaryFolder()
        let first = try folder.write("reviews.csv", reviews(40))
        let second = try folder.write("q.csv", questions(60))
        let data = try TaskData.load(path: "\(first),questions=\(second)", seed: 2)
        #expect(data.tasks == ["reviews", "questions"])
        #expect(data.labels == ["bad", "good", "where", "who"])
        #expect(data.verdict == "classification: column `text` → `label`, 4 labels, 100 rows of 2 tasks")
        #expect(data.files.map(\.rows) == [40, 60])
        #expect(data.split.test.count { $0.task == "reviews" } == 4 && data.split.test.count == 10)
        #expect(data.split.train.allSatisfy { $0.file == ($0.task == "reviews" ? first : second) })
        let definition = try TaskDefinition(json: JSON.parse(data.definition.json.text()))
        let again = try TaskData.load(definition: definition)
        #expect(again.split == data.split && again.dataHash == data.dataHash && again.definition == data.definition)
        let renamed = try TaskData.load(path: "other=\(first),questions=\(second)", seed: 2)
        #expect(renamed.dataHash != data.dataHash)
        let (rows, _) = try data.definition.examples(file: "questions=\(second)")
        #expect(rows.count == 60 && rows.allSatisfy { $0.task == "questions" })
        let (plain, _) = try data.definition.examples(file: second)
        #expect(plain.allSatisfy { $0.task == nil })
    }

    @Test func `a task yaml can name files of tasks as seen from its folder`() throws {
        let folder = try TemporaryFolder()
        try folder.write("one.csv", reviews(30))
        try folder.write("two.csv", questions(30))
        try folder.write("dev.csv", questions(6))
        let file = try folder.write(
            "multi.yaml", "data: a=one.csv,b=two.csv\nvalidation: b=dev.csv\nsplits: {test: 0}\n")
        let data = try TaskData.load(path: file)
        #expect(data.tasks == ["a", "b"])
        #expect(data.split.validation.count == 6 && data.split.validation.allSatisfy { $0.task == "b" })
    }

    @Test func `the same text in another task is another input`() throws {
        let folder = try TemporaryFolder()
        let train = "task,text,label\n" + (0..<12).map { "a,text \($0),x\nb,text \($0),y\n" }.joined()
        let file = try folder.write("rows.csv", train)
        let test = try folder.write("test.csv", "task,text,label\na,text 3,x\n")
        let data = try TaskData.load(
            path: file, test: test, definition: .init(splits: .init(validation: 0, test: 0)))
        #expect(data.duplicates.trainInTest == 1 && data.split.train.count == 23)
        #expect(data.duplicates.conflicting == 0 && data.duplicates.withinTrain == 0)
    }

    @Test func `lists that cannot be meant are refused in a sentence`() throws {
        let folder = try TemporaryFolder()
        let first = try folder.write("one.csv", reviews(20))
        let second = try folder.write("two.csv", questions(20))
        let empty = try folder.write("empty.csv", "text,label\n")
        func refusal(_ path: String) -> HoneError? {
            #expect(throws: HoneError.self) { try TaskData.load(path: path) }
        }
        #expect(refusal("a=\(first),a=\(second)")?.message.contains("`a` stands twice") == true)
        #expect(refusal("a=\(first),b=\(first)")?.message.contains("for two tasks") == true)
        #expect(refusal("\(first),,\(second)")?.message.contains("between the commas") == true)
        #expect(refusal("\(first),\(folder.path)/none.csv")?.code == .fileSystem)
        #expect(refusal("a=\(first),b=\(empty)") != nil)
        let inside = try folder.write("a,b.csv", reviews(20))
        #expect(try TaskData.load(path: inside).tasks.isEmpty)
        #expect(refusal("\(first),x=\(inside)") != nil)
    }
}
