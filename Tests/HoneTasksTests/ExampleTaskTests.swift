import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct ExampleTaskTests {
    @Test func `the tickets are many, different, balanced and need quoting`() throws {
        let path = packageRoot + "/Examples/support-tickets"
        let data = try TaskData.load(path: path)
        #expect(data.verdict.hasPrefix("classification: column `text` → `label`, 7 labels, 456 rows"))
        #expect(data.warnings.isEmpty)
        #expect(data.duplicates == DuplicateCounts())
        #expect(data.trainCounts.allSatisfy { $0 > 45 })
        let texts = (data.split.train + data.split.validation + data.split.test).compactMap(\.text)
        #expect(texts.allSatisfy { (4...50).contains($0.split(whereSeparator: \.isWhitespace).count) })
        #expect(texts.filter { $0.contains("\n") }.count >= 5)
        #expect(texts.filter { $0.contains("\"") }.count >= 20)
        #expect(texts.filter { $0.contains(",") }.count >= 100)
    }

    @Test func `the story sums have short answers`() throws {
        let data = try TaskData.load(path: packageRoot + "/Examples/story-sums")
        #expect(data.kind == .generation)
        #expect(data.files.map(\.rows) == [64])
        #expect(data.split.train.allSatisfy { ($0.completion ?? "").count <= 8 })
    }
}
