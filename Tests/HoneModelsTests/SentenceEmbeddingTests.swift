import Foundation
import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// The embedded default model, where the set-up step has put it.
struct SentenceEmbeddingTests {
    static let folder =
        URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .path
        + "/.setup/models/all-MiniLM-L6-v2"
    static let isInstalled = FileManager.default.fileExists(atPath: folder + "/config.json")

    private struct Row {
        let text: String
        let ids: [Int]
        let vector: [Double]

        init(_ json: JSON) throws {
            text = try #require(json["text"]?.string)
            ids = try #require(json["input_ids"]?.array).compactMap(\.integer)
            vector = try #require((json["embedding"] ?? json["first"])?.array).compactMap(\.number)
        }
    }

    @Test("gives the sentence embeddings of the reference", .enabled(if: isInstalled))
    func embeddings() throws {
        let rows = try #require(JSON.read(file: Reference.fixtures + "/sentence-embeddings.json").array).map(Row.init)
        #expect(rows.count == 12)
        let model = try BaseModel(folder: SentenceEmbeddingTests.folder)
        for row in rows { #expect(try model.tokenizer.encoding(row.text).ids == row.ids, "\(row.text)") }
        for batchSize in [1, 5, 12] {
            let vectors = try model.sentenceEmbeddings(rows.map(\.text), batchSize: batchSize)
            #expect(vectors.shape == [12, 384])
            for (index, row) in rows.enumerated() {
                let ours = try vectors.at(index).elements(Double.self)
                #expect(abs(ours.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)
                let difference = zip(ours, row.vector).map { abs($0 - $1) }.max() ?? .infinity
                #expect(row.vector.count >= 8 && difference < 1e-5, "\(row.text)")
            }
        }
    }
}
