import Foundation
import HoneFormats
import Testing

/// `hone generate` and `hone chat` as users call them.
struct GenerationCommandTests {
    private func texts(_ output: String) throws -> [[JSON]] {
        try #require(JSON.parse(output)["generations"]?.array).map { $0["texts"]?.array ?? [] }
    }

    @Test func `generate gives texts, endings, tokens and log-probabilities as JSON`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let result = try workshop.hone(
            "generate", model, "the cat", "a", "--max-tokens", "6", "--temperature", "1", "--samples", "3", "--seed",
            "4",
            "--log-probabilities", "--json")
        #expect(result.code == 0 && result.error.isEmpty, "\(result.error)")
        let all = try texts(result.output)
        #expect(all.map(\.count) == [3, 3])
        for text in all.joined() {
            let count = try #require(text["token_ids"]?.array?.count)
            #expect(count <= 6 && text["log_probabilities"]?.array?.count == count)
            #expect(["length", "end"].contains(text["ending"]?.string) && text["text"]?.string != nil)
        }
        #expect(Set(all[0].map { $0["text"]?.string }).count > 1)
        let again = try workshop.hone(
            "generate", model, "the cat", "--max-tokens", "6", "--temperature", "1", "--samples", "3", "--seed", "4",
            "--log-probabilities", "--json")
        let alone = try texts(again.output)[0]
        #expect(alone.map { $0["token_ids"] } == all[0].map { $0["token_ids"] })
    }

    @Test func `generate streams one text, and reads prompts from files and standard input`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("gpt2-tiny")
        let streamed = try workshop.hone("generate", model, "abc", "--max-tokens", "5")
        let file = try workshop.write("prompts.jsonl", "{\"prompt\": \"abc\"}\n{\"prompt\": \"the\"}\n")
        let lines = try workshop.write("prompts.txt", "abc\n\nthe\n")
        let table = try workshop.hone("generate", model, "--file", file, "--max-tokens", "5")
        let text = try workshop.hone("generate", model, "--file", lines, "--max-tokens", "5")
        let piped = try workshop.hone("generate", model, "--max-tokens", "5", input: "abc\nthe\n")
        #expect(streamed.code == 0 && table.code == 0, "\(table.error)")
        #expect(table.output.hasPrefix("--- 1\n\(streamed.output)--- 2\n"))
        #expect(text.output == table.output && piped.output == table.output)
        let beams = try workshop.hone(
            "generate", model, "abc", "--max-tokens", "5", "--beams", "3", "--samples", "2", "--json")
        let scores = try texts(beams.output)[0].map { $0["score"]?.number ?? .nan }
        #expect(scores.count == 2 && scores[0] >= scores[1])
    }

    @Test func `generate stops at a string given with an escape`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("gpt2-tiny")
        let whole = try texts(
            workshop.hone("generate", model, "abc", "--max-tokens", "12", "--json").output)[0][0]["text"]?.string
        let stop = try #require(whole?.dropFirst(3).first)
        let result = try workshop.hone(
            "generate", model, "abc", "--max-tokens", "12", "--stop", "\\n\\n\\t", "--stop", String(stop), "--json")
        let text = try texts(result.output)[0][0]
        #expect(text["ending"]?.string == "stop")
        #expect(text["text"]?.string == whole.map { String($0.prefix { $0 != stop }) })
    }

    @Test func `a run that generates is taken with its adapter, one that classifies is refused`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let data = try workshop.additions()
        let trained = try workshop.hone(
            "train", data, "--method", "lora", "--set", "rank=2", "--model", model, "--steps", "6", "--batch-size", "4",
            "--learning-rate", "0.05", "--out", workshop.out, "--quiet")
        #expect(trained.code == 0, "\(trained.error)")
        let base = try workshop.hone("generate", model, "3+4=", "--max-tokens", "8")
        let run = try workshop.hone("generate", workshop.out, "3+4=", "--max-tokens", "8")
        #expect(run.code == 0 && run.output != base.output, "\(run.error)")
        let moved = try workshop.hone("generate", model, "a", "--model", model)
        #expect(moved.code == 2 && moved.error.contains("--model"))
        let classifier = try workshop.hone("generate", workshop.finishedRun(), "a")
        #expect(classifier.code == 1 && classifier.error.contains("hone predict"), "\(classifier.error)")
        let encoder = try workshop.hone("generate", workshop.fixture("bert-tiny"), "a")
        #expect(encoder.code == 1 && encoder.error.contains("does not write"), "\(encoder.error)")
    }

    @Test func `generate writes the same with guesses and by libtorch's operators, and close to it in other types`()
        throws
    {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        func text(_ more: String...) throws -> JSON {
            let result = try workshop.hone(
                ["generate", model, "the cat", "--max-tokens", "12", "--json"] + more)
            #expect(result.code == 0, "\(result.error)")
            return try #require(texts(result.output).first?.first)
        }
        let plain = try text()
        #expect(try text("--guesses", "5") == plain)
        #expect(try text("--exact")["token_ids"] == plain["token_ids"])
        let precise = try text("--log-probabilities")["log_probabilities"]?.array?.first?.number ?? .nan
        for type in ["bf16", "int8"] {
            let rounded = try text("--log-probabilities", "--dtype", type)
            #expect(abs((rounded["log_probabilities"]?.array?.first?.number ?? .nan) - precise) < 0.2)
            #expect(try text("--dtype", type)["token_ids"] == rounded["token_ids"])
        }
        let both = try workshop.hone("generate", model, "a", "--exact", "--dtype", "int8")
        #expect(both.code == 2 && both.error.contains("--exact"), "\(both.error)")
        let pair = try workshop.hone("generate", workshop.fixture("t5-tiny"), "a", "--dtype", "int8")
        #expect(pair.code == 1 && pair.error.contains("int8"), "\(pair.error)")
    }

    @Test(
        "wrong options of generate end with 2 and one sentence that names the option",
        arguments: [
            (["--max-tokens", "0"], "--max-tokens"), (["--max-tokens", "2000000"], "--max-tokens"),
            (["--temperature", "-1"], "--temperature"), (["--temperature", "nan"], "--temperature"),
            (["--temperature", "1e9"], "--temperature"), (["--top-k", "-1", "--temperature", "1"], "--top-k"),
            (["--top-p", "1.5"], "--top-p"), (["--min-p", "2"], "--min-p"), (["--top-k", "5"], "--temperature"),
            (["--repetition-penalty", "0"], "--repetition-penalty"), (["--beams", "0"], "--beams"),
            (["--beams", "1000"], "--beams"), (["--beams", "2", "--temperature", "1"], "--beams"),
            (["--samples", "0"], "--samples"), (["--samples", "2"], "--samples"),
            (["--samples", "5", "--beams", "4"], "--samples"), (["--stop", ""], "--stop"),
            (["--min-tokens", "200"], "--min-tokens"), (["--length-penalty", "1000"], "--length-penalty"),
            (["--early-stopping", "maybe"], "--early-stopping"), (["--seed", "-1"], "--seed"),
            (["--file", "x.txt"], "--file"), (["--guesses", "65"], "--guesses"), (["--dtype", "f64"], "--dtype"),
            (["--guesses", "4", "--temperature", "1"], "--guesses"), (["--guesses", "4", "--beams", "2"], "--guesses"),
        ])
    func wrongOptions(options: [String], named: String) throws {
        let workshop = try Workshop()
        let result = try workshop.hone(["generate", workshop.folder, "a"] + options)
        #expect(result.code == 2 && result.error.contains(named), "\(result.error)")
        #expect(result.output.isEmpty && result.error.split(separator: "\n").count == 1)
    }

    @Test func `a missing model, prompt or column is said in one sentence`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("gpt2-tiny")
        let table = try workshop.write("rows.csv", "question\nabc\n")
        for (arguments, code, word) in [
            (["generate", "nowhere", "a"], 2, "folder"), (["generate", model], 2, "nothing"),
            (["generate", model, "--file", table], 1, "prompt"),
            (["generate", model, "--file", "none.txt"], 1, "none.txt"),
            (["generate", model, String(repeating: "ab", count: 100)], 1, "positions"),
            (["chat", "nowhere"], 2, "folder"), (["chat", model, "--top-p", "3"], 2, "--top-p"),
        ] as [([String], Int32, String)] {
            let result = try workshop.hone(arguments)
            #expect(result.code == code && result.error.contains(word), "\(arguments): \(result.code) \(result.error)")
            #expect(result.error.split(separator: "\n").count == 1)
        }
    }

    @Test func `chat answers lines from a pipe, forgets on request and knows its commands`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let input = "ab\n\n/nonsense\nab\n/reset\nab\n/quit\nab\n"
        let result = try workshop.hone("chat", model, "--max-tokens", "6", input: input)
        #expect(result.code == 0, "\(result.error)")
        let answers = result.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        #expect(answers.count >= 3)
        #expect(result.error.contains("/nonsense") && result.error.contains("forgotten"))
        let first = try workshop.hone("chat", model, "--max-tokens", "6", input: "ab\n").output
        #expect(result.output.hasPrefix(first) && result.output.hasSuffix(first))
        let told = try workshop.hone("chat", model, "--max-tokens", "6", "--system", "the", input: "ab\n")
        #expect(told.code == 0 && told.output != first)
        let long = try workshop.hone("chat", model, input: String(repeating: "ab", count: 60) + "\nab\n")
        #expect(long.code == 0 && long.error.contains("room"), "\(long.error)")
    }

    @Test func `chat writes turns with the model's own template where it has one`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let plain = try workshop.hone("chat", model, "--max-tokens", "6", input: "ab\n")
        #expect(plain.error.contains("plain lines"))
        try workshop.edit(model + "/tokenizer_config.json") {
            $0["chat_template"] = .string(
                "{% for m in messages %}{{ m.role }}={{ m.content }}+{% endfor %}"
                    + "{% if add_generation_prompt %}A={% endif %}")
        }
        let result = try workshop.hone("chat", model, "--max-tokens", "6", "--system", "the", input: "ab\n")
        #expect(result.code == 0 && result.error.isEmpty, "\(result.error)")
        let written = try workshop.hone("generate", model, "system=the+user=ab+A=", "--max-tokens", "6")
        #expect(result.output == written.output && !result.output.isEmpty)
        try workshop.edit(model + "/tokenizer_config.json") { $0["chat_template"] = "{% for" }
        let broken = try workshop.hone("chat", model, input: "ab\n")
        #expect(broken.code == 1 && broken.error.split(separator: "\n").count == 1, "\(broken.error)")
    }
}
