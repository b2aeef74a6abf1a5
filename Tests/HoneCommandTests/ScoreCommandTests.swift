import Foundation
import HoneFormats
import Testing

/// `hone score` as users call it.
@Suite struct ScoreCommandTests {
    private static let reference: JSON = {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/scores.json").path
        return (try? JSON.read(file: file)) ?? .null
    }()

    private func likelihoods(_ output: String) throws -> [[Double]] {
        try #require(JSON.parse(output)["rows"]?.array).map { row in
            (row["scores"]?.array ?? []).compactMap { $0["log_likelihood"]?.number }
        }
    }

    @Test("log-likelihoods and accuracies are those of lm-evaluation-harness", arguments: 0..<2, [[], ["--exact"]])
    func parity(model: Int, options: [String]) throws {
        let workshop = try Workshop()
        let rows = try #require(ScoreCommandTests.reference["rows"]?.array)
        let wanted = try #require(ScoreCommandTests.reference["models"]?.array)[model]
        let data = try workshop.write("rows.jsonl", rows.map { $0.text() + "\n" }.joined())
        let name = try #require(wanted["model"]?.string)
        let result = try workshop.hone(
            ["score", workshop.fixture(name), "--data", data, "--json"] + options)
        #expect(result.code == 0, "\(result.error)")
        #expect(result.error.contains("contexts are longer than the model reaches"))
        let json = try JSON.parse(result.output)
        for (row, reference) in zip(json["rows"]?.array ?? [], wanted["scores"]?.array ?? []) {
            let (scores, references) = (row["scores"]?.array ?? [], reference.array ?? [])
            #expect(scores.count == references.count)
            for (score, reference) in zip(scores, references) {
                let (a, b) = (score["log_likelihood"]?.number ?? .nan, reference["log_likelihood"]?.number ?? .nan)
                #expect(abs(a - b) < 1e-4, "\(a) and \(b)")
                #expect(score["greedy"] == reference["greedy"])
            }
        }
        #expect(json["rows"]?.array?.count == rows.count && json["n"]?.integer == rows.count)
        #expect(json["accuracy"]?["value"]?.number == wanted["acc"]?.number)
        #expect(json["accuracy_by_length"]?["value"]?.number == wanted["acc_norm"]?.number)
    }

    @Test func `a preamble and a delimiter are the same as writing them into the rows`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let whole = try workshop.write(
            "whole.jsonl", #"{"context": "the cat sat. the dog", "choices": [" ran", " sat on"]}"# + "\n")
        let parts = try workshop.write(
            "parts.jsonl", #"{"question": "the dog", "candidates": ["ran", "sat on"]}"# + "\n")
        let shots = try workshop.write("shots.txt", "the cat sat. ")
        let first = try workshop.hone("score", model, "--data", whole, "--json")
        let second = try workshop.hone(
            "score", model, "--data", parts, "--preamble", shots, "--delimiter", " ", "--json")
        let scores = try likelihoods(first.output)
        #expect(try scores == likelihoods(second.output) && scores[0].count == 2)
        #expect(try JSON.parse(first.output)["accuracy"] == nil)
    }

    @Test func `a run scores completions as it was trained on them, and training makes them likelier`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let data = try workshop.additions()
        let trained = try workshop.hone(
            "train", data, "--method", "lora", "--set", "rank=2", "--model", model, "--steps", "20", "--batch-size",
            "4", "--learning-rate", "0.03", "--out", workshop.out, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        var found: [Double] = []
        for folder in [model, workshop.out] {
            let result = try workshop.hone("score", folder, "--data", data, "--json")
            #expect(result.code == 0, "\(result.error)")
            let json = try JSON.parse(result.output)
            found.append(try #require(json["log_likelihood_per_token"]?["value"]?.number))
            #expect((json["bits_per_byte"]?["value"]?.number ?? 0) > 0 && json["accuracy"] == nil)
        }
        #expect(found[1] > found[0])
        let exact = try workshop.hone("score", workshop.out, "--data", data, "--exact")
        #expect(exact.code == 2 && exact.error.contains("--exact"))
        let text = try workshop.hone("score", model, "--data", data)
        #expect(text.output.contains("log likelihood per token") && text.output.contains("bits per byte"))
    }

    @Test func `what cannot be scored is refused by name`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let long = String(repeating: "the cat sat. ", count: 40)
        for (rows, words) in [
            (#"{"text": "a", "choices": ["b"]}"#, "`context`"), (#"{"context": "a", "answer": 0}"#, "`choices`"),
            (#"{"context": "a", "choices": "b"}"#, "rows.jsonl:1: choices: a list of texts"),
            (#"{"context": "a", "choices": []}"#, "list of texts"),
            (#"{"context": "a", "choices": ["b", ""]}"#, "not empty"),
            (#"{"context": "a", "choices": ["b"], "answer": 1}"#, "rows.jsonl:1: answer"),
            (#"{"context": "a", "choices": ["b"], "answer": "c"}"#, "answer"),
            (#"{"context": 3, "choices": ["b"]}"#, "context"), (#"{"prompt": "a", "completion": ""}"#, "completion"),
            (#"{"context": "a", "choices": ["\#(long)"]}"#, "positions"),
        ] {
            let result = try workshop.hone("score", model, "--data", workshop.write("rows.jsonl", rows + "\n"))
            #expect(result.code == 1 && result.error.contains(words), "\(rows): \(result.error)")
        }
        let good = try workshop.write("good.jsonl", #"{"context": "a", "choices": ["b"], "answer": 0}"# + "\n")
        let encoder = try workshop.hone("score", workshop.fixture("bert-tiny"), "--data", good)
        #expect(encoder.code == 1 && encoder.error.contains("encoder"))
        let classifier = try workshop.hone("score", workshop.finishedRun(), "--data", good)
        #expect(classifier.code == 1 && classifier.error.contains("hone eval"), "\(classifier.error)")
    }

    @Test func `an encoder-decoder reads contexts in its encoder`() throws {
        let workshop = try Workshop()
        let rows = #"{"context": "the cat", "choices": ["sat", "ran on", "sat"], "answer": "ran on"}"# + "\n"
        let data = try workshop.write("rows.jsonl", rows)
        let model = try workshop.fixture("t5-tiny")
        let fast = try likelihoods(workshop.hone("score", model, "--data", data, "--json").output)
        let exact = try likelihoods(workshop.hone("score", model, "--data", data, "--json", "--exact").output)
        #expect(fast[0].count == 3 && abs(fast[0][0] - fast[0][2]) < 1e-4 && fast[0][0] != fast[0][1])
        #expect(zip(fast[0], exact[0]).allSatisfy { abs($0 - $1) < 1e-4 })
    }
}
