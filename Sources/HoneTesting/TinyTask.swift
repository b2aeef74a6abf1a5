import Foundation
import HoneFormats
import HoneMethods
import HoneTasks

/// Small seeded tasks that can be learned, in words that the tiny tokenizers know.
public struct TinyTask: Sendable {
    /// What it is called.
    public var name: String
    /// What it asks for.
    public var shape: TaskShape
    /// The classes, in classification.
    public var labels: [String]
    /// The rows; their texts differ in length.
    public var examples: [Example]
    /// Where the files of the rows are, as long as the task is there.
    private var files: TemporaryFolder?

    /// A task from its parts.
    public init(name: String, shape: TaskShape, labels: [String], examples: [Example]) {
        self.name = name
        self.shape = shape
        self.labels = labels
        self.examples = examples
    }

    /// Grey images of three classes, told apart by where they are bright: above, below, or on the left.
    public static func images(rows: Int = 48, seed: UInt64 = 0) throws -> TinyTask {
        var random = SeededGenerator(seed: seed, stream: "tiny images")
        let folder = try TemporaryFolder()
        let examples = try (0..<rows).map { index in
            let label = index % 3
            // Of several sizes, all of which the model sees in its own.
            let (height, width) = (6 + random.below(8), 6 + random.below(8))
            let samples = (0..<height * width).map { place in
                let (row, column) = (place / width, place % width)
                let isBright = [row * 2 < height, row * 2 >= height, column * 2 < width][label]
                return UInt8((isBright ? 150 : 20) + random.below(80))
            }
            let path = "\(folder.path)/\(index).png"
            try AtomicFile.write(Data(TinyImage.png(width: width, height: height, grey: samples)), to: path)
            return Example(
                index: index, file: "tiny", line: index + 1, input: .image(ImageReference(path: path)),
                target: .label(label))
        }
        var task = TinyTask(
            name: "images", shape: .classification(classes: 3), labels: ["above", "below", "left"], examples: examples)
        task.files = folder
        return task
    }

    static let labelNames = ["fruit", "tool", "colour"]
    static let keywords = [["apple", "plum", "pear"], ["saw", "drill", "file"], ["red", "blue", "grey"]]
    static let fillers = ["the", "one", "we", "see", "has", "and", "old", "big"]

    /// Sentences of three classes, told apart by a keyword that stands anywhere in them.
    public static func classification(rows: Int = 48, seed: UInt64 = 0) -> TinyTask {
        var random = SeededGenerator(seed: seed, stream: "tiny classification")
        let examples = (0..<rows).map { index in
            let label = index % labelNames.count
            var words = (0..<1 + random.below(6)).map { _ in fillers[random.below(fillers.count)] }
            let keyword = keywords[label][random.below(keywords[label].count)]
            words.insert(keyword, at: random.below(words.count + 1))
            return Example(
                index: index, file: "tiny", line: index + 1, input: .text(words.joined(separator: " ")),
                target: .label(label))
        }
        return TinyTask(
            name: "classification", shape: .classification(classes: labelNames.count), labels: labelNames,
            examples: examples)
    }

    /// Prompts of a few words; the completion says the keyword again.
    public static func generation(rows: Int = 48, seed: UInt64 = 0) -> TinyTask {
        var random = SeededGenerator(seed: seed, stream: "tiny generation")
        let examples = (0..<rows).map { index in
            let choices = keywords[index % keywords.count]
            let keyword = choices[random.below(choices.count)]
            var words = (0..<1 + random.below(5)).map { _ in fillers[random.below(fillers.count)] }
            words.append(keyword)
            return Example(
                index: index, file: "tiny", line: index + 1, input: .prompt(" " + words.joined(separator: " ") + ":"),
                target: .completion(" \(keyword)."))
        }
        return TinyTask(name: "generation", shape: .generation, labels: [], examples: examples)
    }
}
