import Foundation
import HoneFormats
import HoneTesting
import Testing

@testable import HoneTraining

@Suite struct TrainingLogTests {
    private func step(_ number: Int, loss: Double) -> TrainingStep {
        TrainingStep(step: number, loss: loss, learningRate: 0.5, tokens: 7, seconds: 0.1234567, gradientNorm: 2)
    }

    private func lines(_ path: String) throws -> [JSON] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map { try JSON.parse(String($0)) }
    }

    @Test func `a resumed log goes on after its step, without lines that were written later or half`() throws {
        let scratch = try TemporaryFolder()
        let path = scratch.path + "/log.jsonl"
        let first = try TrainingLog(path: path)
        for number in 1...4 { try first.write(step(number, loss: Double(number))) }
        let handle = try #require(FileHandle(forWritingAtPath: path))
        try handle.seekToEnd()
        try handle.write(contentsOf: Data(#"{"step": 5, "los"#.utf8))
        try handle.close()

        let second = try TrainingLog(path: path, after: 2)
        try second.write(step(3, loss: 30))
        #expect(try lines(path).map { $0["step"]?.integer } == [1, 2, 3])
        #expect(try lines(path).map { $0["loss"]?.number } == [1, 2, 30])

        let fresh = try TrainingLog(path: path)
        try fresh.write(step(1, loss: 9))
        #expect(try lines(path).map { $0["loss"]?.number } == [9])
    }

    @Test func `a loss that is not a number is null, and the line is still JSON`() throws {
        let scratch = try TemporaryFolder()
        let path = scratch.path + "/log.jsonl"
        let log = try TrainingLog(path: path)
        try log.write(step(1, loss: .nan), method: "lora")
        try log.write(ValidationPoint(step: 1, score: 0.5, loss: .infinity))
        let read = try lines(path)
        #expect(read[0]["loss"]?.isNull == true && read[0]["method"] == "lora" && read[0]["learning_rate"] == 0.5)
        #expect(read[1]["validation_loss"]?.isNull == true && read[1]["validation_score"] == 0.5)
    }
}
