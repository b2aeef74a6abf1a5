import Foundation
import HoneFormats
import Testing

/// Kernels are compiled for several sets of vector instructions; `ATEN_CPU_CAPABILITY` holds them, and libtorch's own, to narrower
/// ones than the processor's.
struct VectorInstructionTests {
    /// Without a name: the widest that the processor has.
    private static let levels = ["DEFAULT", "AVX2", nil]

    private func environment(_ level: String?) -> [String: String] {
        level.map { ["ATEN_CPU_CAPABILITY": $0.lowercased()] } ?? [:]
    }

    /// The losses of a short training, one a step.
    private func losses(_ workshop: Workshop, _ level: String?, dtype: String) throws -> [Double] {
        let out = "\(workshop.folder)/\(level ?? "own")"
        let result = try workshop.hone(
            [
                "train", try workshop.additions(), "--model", try workshop.fixture("llama-tiny"), "--method", "lora",
                "--set", "rank=2", "--steps", "4", "--batch-size", "4", "--dtype", dtype, "--order", "file", "--quiet",
                "--out", out,
            ], environment: environment(level))
        #expect(result.code == 0, "\(result.error)")
        if let level { #expect(try JSON.read(file: out + "/run.json").text().contains("\"\(level)\"")) }
        return try String(contentsOfFile: out + "/log.jsonl", encoding: .utf8).split(separator: "\n").map {
            try #require(try JSON.parse(String($0))["loss"]?.number)
        }
    }

    @Test("training is the same with any vector instructions", arguments: [("f32", 1e-5), ("bf16", 2e-2)])
    func training(dtype: String, bound: Double) throws {
        let workshop = try Workshop()
        let plain = try losses(workshop, "DEFAULT", dtype: dtype)
        #expect(plain.count == 4)
        for level in VectorInstructionTests.levels.dropFirst() {
            for (loss, other) in zip(try losses(workshop, level, dtype: dtype), plain) {
                #expect(abs(loss - other) < bound * other, "\(level ?? "own"): \(loss), \(other) without")
            }
        }
    }

    @Test("what is written is the same with any vector instructions", arguments: ["f32", "int8"])
    func generation(dtype: String) throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let texts = try VectorInstructionTests.levels.map { level in
            let result = try workshop.hone(
                ["generate", model, "the quick brown", "one two", "--max-tokens", "12", "--dtype", dtype, "--json"],
                environment: environment(level))
            #expect(result.code == 0, "\(result.error)")
            return try JSON.parse(result.output)["generations"]?.text()
        }
        #expect(texts[0] != nil && Set(texts).count == 1, "\(texts)")
    }
}
