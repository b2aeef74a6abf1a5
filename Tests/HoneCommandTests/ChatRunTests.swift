import Foundation
import HoneFormats
import Testing

/// Runs on conversations with tools, and names of the Hub where a tokenizer is wanted.
@Suite struct ChatRunTests {
    @Test func `a run remembers the chat template, and refuses a model whose template has changed`() throws {
        let workshop = try Workshop()
        let model = try workshop.fixture("llama-tiny")
        let template =
            "{% for m in messages %}{{ m.role }}:{{ m.content }}.{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
        try workshop.write("llama-tiny/chat_template.jinja", template)
        let rows = (0..<6).map { row in
            #"{"messages": [{"role": "user", "content": [{"type": "text", "text": "a\#(row)"}]}, "#
                + #"{"role": "assistant", "content": "b\#(row)"}], "tools": [{"name": "see"}]}"#
        }
        let data = try workshop.write("rows.jsonl", rows.joined(separator: "\n"))
        let result = try workshop.hone(
            "train", data, "--method", "lora", "--set", "rank=2", "--model", model, "--steps", "1", "--batch-size", "2",
            "--out", workshop.out)
        #expect(result.code == 0, "\(result.error)")
        #expect(result.error.contains("conversations in column `messages` with tools in `tools`"), "\(result.error)")
        let run = try JSON.read(file: workshop.out + "/run.json")
        #expect(run["chat_template"]?["sha256"]?.string == FileHash.sha256(of: template))
        #expect(run["chat_template"]?["tools_sha256"] == nil)
        #expect(try workshop.hone("predict", workshop.out, "a1", "--max-new-tokens", "2").code == 0)
        try workshop.write("llama-tiny/chat_template.jinja", template + "!")
        let refused = try workshop.hone("predict", workshop.out, "a1")
        #expect(refused.code == 1 && refused.error.contains("chat template"), "\(refused.error)")
    }

    @Test func `tokenize takes a name of the Hub, a folder, or a file`() throws {
        let workshop = try Workshop()
        let folder = try workshop.fixture("llama-tiny")
        let commit = String(repeating: "0123456789", count: 4)
        let cached = workshop.folder + "/hub/models--somebody--tiny"
        try workshop.write("hub/models--somebody--tiny/refs/main", commit)
        try FileManager.default.createDirectory(atPath: cached + "/snapshots", withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: folder, toPath: cached + "/snapshots/" + commit)
        let environment = ["HF_HUB_CACHE": workshop.folder + "/hub"]
        let expected = try workshop.hone("tokenize", folder, "the cat", "--json")
        #expect(expected.code == 0 && expected.output.contains("ids"))
        for model in ["somebody/tiny", "somebody/tiny@main", folder + "/tokenizer.json"] {
            let result = try workshop.hone("tokenize", model, "the cat", "--json", environment: environment)
            #expect(result.output == expected.output && result.code == 0, "\(model): \(result.error)")
        }
        let unknown = try workshop.hone("tokenize", "somebody/else", "a", environment: environment)
        #expect(unknown.code == 1 && unknown.error.contains("somebody/else"))
        #expect(try workshop.hone("tokenize", "nowhere", "a", environment: environment).code == 2)
    }
}
