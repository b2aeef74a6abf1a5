import HoneFormats
import Testing

@testable import HoneTasks

/// Tasks whose rows name files with images.
@Suite struct ImageTaskTests {
    /// Rows that name images in a folder beside the table; the files hold their own names.
    private func folder(rows: Int = 20) throws -> (folder: TemporaryFolder, table: String) {
        let folder = try TemporaryFolder()
        for row in 0..<rows { try folder.write("\(row).png", "image \(row)") }
        let lines = (0..<rows).map { "\($0).png,\($0 % 2 == 0 ? "even" : "odd")\n" }
        return (folder, try folder.write("rows.csv", "image,label\n" + lines.joined()))
    }

    @Test func `paths are as seen from the folder of the table, and the sentence says what was found`() throws {
        let (folder, table) = try folder()
        let task = try TaskData.load(path: table)
        #expect(task.kind == .classification && task.labels == ["even", "odd"])
        #expect(task.verdict == "classification: images in column `image` → `label`, 2 labels, 20 rows")
        let images = (task.split.train + task.split.validation + task.split.test).compactMap(\.image)
        #expect(Set(images.map(\.path)) == Set((0..<20).map { "\(folder.path)/\($0).png" }))
        #expect(images.allSatisfy { $0.hash.count == 64 })
        #expect(task.split.train.allSatisfy { $0.text == nil && $0.messages == nil })
        let again = try TaskDefinition(json: task.definition.json)
        #expect(again == task.definition && again.columns.image == "image")
        let rows = try again.examples(file: table).examples
        #expect(rows.map { $0.image?.path } == (0..<20).map { "\(folder.path)/\($0).png" })
    }

    @Test func `equal images under other names never stand on both sides`() throws {
        let (folder, table) = try folder()
        try folder.write("copy.png", "image 3")
        let test = try folder.write("test.csv", "image,label\ncopy.png,odd\n0.png,even\n")
        let task = try TaskData.load(path: table, test: test)
        #expect(task.duplicates.trainInTest == 2)
        let trained = Set(task.split.train.compactMap { $0.image?.path.split(separator: "/").last.map(String.init) })
        #expect(trained.isDisjoint(with: ["0.png", "3.png"]) && !trained.isEmpty)
        let before = task.dataHash
        try folder.write("5.png", "another image")
        #expect(try TaskData.load(path: table, test: test).dataHash != before)
    }

    @Test func `a file that is not there is named with its row`() throws {
        let (folder, _) = try folder()
        let table = try folder.write("gone.csv", "image,label\n0.png,a\n\n1.png,b\nnowhere/2.png,a\n")
        let error = honeError { _ = try TaskData.load(path: table) }
        #expect(error?.code == .badData && error?.file == table && error?.line == 5 && error?.item == "image")
        #expect(error?.message.contains("nowhere/2.png") == true)
        let folderInstead = try folder.write("folder.csv", "image,label\n0.png,a\n\(folder.path)/x.png,b\n")
        #expect(honeError { _ = try TaskData.load(path: folderInstead) }?.line == 3)
    }

    @Test func `does not guess between two images, or between image and text`() throws {
        let rows = (0..<20).map { "\($0).png,\($0).jpg,some words \($0),\($0 % 2)" }.joined(separator: "\n")
        let two = try table("left,right,note,label\n" + rows)
        #expect(
            honeError { _ = try TaskDetector(table: two).resolve(.init()) }?.message.contains("columns: {image: left")
                == true)
        let both = try table("image,other,text,label\n" + rows)
        #expect(
            honeError { _ = try TaskDetector(table: both).resolve(.init()) }?.message.contains(
                "images (`image`) and texts (`text`)") == true)
        let said = TaskDefinition(columns: .init(image: "image"))
        #expect(try TaskDetector(table: both).resolve(said).columns == .init(image: "image", label: "label"))
        let other = TaskDefinition(columns: .init(text: "text"))
        #expect(try TaskDetector(table: both).resolve(other).columns == .init(text: "text", label: "label"))
    }

    @Test func `a task says the column of its images, and nothing that goes against it`() throws {
        func definition(_ yaml: String) throws -> TaskDefinition {
            try TaskDefinition(yaml: Array(yaml.utf8), file: "task.yaml")
        }
        #expect(
            try definition("columns: {image: picture, label: kind}").columns == .init(image: "picture", label: "kind"))
        for yaml in [
            "columns: {image: a, text: b}", "columns: {image: a, completion: b}",
            "kind: generation\ncolumns: {image: a}",
            "columns: {image: a}\ntemplate: \"{b}\"", "columns: {image: a, text_pair: b}",
        ] {
            #expect(honeError { _ = try definition(yaml) }?.code == .usage)
        }
    }
}
