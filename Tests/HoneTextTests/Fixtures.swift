import Foundation
import HoneFormats
import Testing

@testable import HoneText

/// The files in Fixtures, made by Scripts/fixtures/tokenizer_fixtures.py.
enum Fixtures {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Fixtures")

    static let names = [
        "gpt2", "roberta", "neox", "qwen2", "llama3", "sentencepiece", "llama2", "t5", "unigram", "wordpiece", "mpnet",
        "other",
    ]

    static func path(_ name: String) -> String { folder.appendingPathComponent(name).path }

    static func tokenizer(_ name: String) throws -> Tokenizer { try Tokenizer(file: path("\(name).json")) }

    static func jsonLines(path: String) throws -> [JSON] {
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        return try data.split(separator: 0x0A).map { try JSON.parse($0, file: path) }
    }

    static func lines() throws -> [String] {
        try jsonLines(path: path("lines.jsonl")).map { try #require($0.string) }
    }

    /// A tokenizer from JSON text, as a file of that content would give.
    static func tokenizer(json text: String) throws -> TokenizerPipeline {
        try TokenizerPipeline(TokenizerFile(bytes: Array(text.utf8), path: "made/tokenizer.json"))
    }
}

extension JSON {
    /// The whole numbers of an array.
    var integers: [Int] { array?.compactMap(\.integer) ?? [] }

    /// The whole numbers of an array, two by two.
    var offsets: [TokenOffset] {
        let numbers = integers
        return stride(from: 0, to: numbers.count - 1, by: 2).map {
            TokenOffset(start: numbers[$0], end: numbers[$0 + 1])
        }
    }
}
