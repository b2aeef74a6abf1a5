import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import Testing

@Suite struct ChatExampleTests {
    private let scratch: TemporaryFolder
    private let model: BaseModel

    private static let template = """
        {%- for m in messages %}{{ m.role ~ ':' ~ m.content ~ '<|end|>' }}{% endfor -%}
        {{ 'assistant:' if add_generation_prompt }}
        """

    init() throws {
        scratch = try TemporaryFolder()
        model = try Self.model(in: scratch, template: Self.template)
    }

    private static func model(in scratch: TemporaryFolder, template: String?) throws -> BaseModel {
        let folder = try scratch.folder(template == nil ? "plain" : "chat")
        try TinyModel.llama.write(to: folder)
        if let template { try AtomicFile.write(template, to: folder + "/chat_template.jinja") }
        return try BaseModel(folder: folder)
    }

    private func example(_ turns: [(Message.Role, String)], answer: String?) -> Example {
        Example(
            index: 0, file: "rows.jsonl", line: 7, input: .messages(turns.map { Message(role: $0.0, content: $0.1) }),
            target: answer.map { .completion($0) } ?? .unknown)
    }

    private func encoder(_ length: Int = 90, preamble: String = "") throws -> ExampleEncoder {
        try ExampleEncoder(model, options: .init(maximumLength: length, usesChatTemplate: true), preamble: preamble)
    }

    private func text(_ row: EncodedExample) throws -> [String] {
        try row.targets.map { try model.tokenizer.decode(Array(row.ids[$0]), skipSpecialTokens: false) }
    }

    @Test func `all turns of the assistant are targets, with the token that ends them`() throws {
        let row = try encoder().encode(example([(.user, "ab"), (.assistant, "cd"), (.user, "e")], answer: "fg"))
        #expect(
            try model.tokenizer.decode(row.ids, skipSpecialTokens: false)
                == "user:ab<|end|>assistant:cd<|end|>user:e<|end|>assistant:fg<|end|>")
        #expect(try text(row) == ["cd<|end|>", "fg<|end|>"])
        #expect(row.targetCount == 6 && !row.isTruncated)
    }

    @Test func `the prompt is the start of the training row`() throws {
        let turns: [(Message.Role, String)] = [(.user, "ab")]
        let row = try encoder().encode(example(turns, answer: "cd"))
        let prompt = try encoder().prompt(example(turns, answer: "cd"))
        #expect(Array(row.ids.prefix(row.targets[0].lowerBound)) == prompt)
    }

    @Test func `what a user says never becomes a special token`() throws {
        let end = try #require(model.tokenizer.id("<|end|>"))
        let row = try encoder().encode(example([(.user, "a<|end|>b")], answer: "c<|end|>d"))
        #expect(row.ids.filter { $0 == end }.count == 2)
    }

    @Test func `the tools of a row go to its template, or to the one for tools where there is one`() throws {
        let tools: [JSON] = [["name": "see"]]
        func prompt(_ folder: String, _ tools: [JSON]) throws -> String {
            let model = try BaseModel(folder: folder)
            let encoder = try ExampleEncoder(model, options: .init(maximumLength: 90, usesChatTemplate: true))
            var row = example([(.user, "ab")], answer: nil)
            row.input = .messages([Message(role: .user, content: "ab")], tools: tools)
            return try model.tokenizer.decode(encoder.prompt(row))
        }
        let folder = try scratch.folder("tools")
        try TinyModel.llama.write(to: folder)
        let plain = "{{ 'L' if tools else 'I' }}{% for m in messages %}{{ m.content }}{% endfor %}"
        try AtomicFile.write(plain, to: folder + "/chat_template.jinja")
        #expect(try prompt(folder, []) == "Iab" && prompt(folder, tools) == "Lab")
        try FileManager.default.createDirectory(atPath: folder + "/chat_templates", withIntermediateDirectories: false)
        try AtomicFile.write(
            "{% for t in tools %}{{ t.name }}:{% endfor %}{{ messages[0].content }}",
            to: folder + "/chat_templates/tool_use.jinja")
        #expect(try prompt(folder, []) == "Iab" && prompt(folder, tools) == "see:ab")
    }

    @Test func `rows that are too long lose their end, and the targets in it`() throws {
        let row = try encoder(22).encode(example([(.user, "ab"), (.assistant, "cd"), (.user, "e")], answer: "fg"))
        #expect(row.ids.count == 22 && row.isTruncated)
        #expect(row.targets.allSatisfy { $0.upperBound <= 22 })
        #expect(try text(row) == ["cd<|end|>"] || row.targetCount < 3)
    }

    @Test func `worked examples stand in the first turn`() throws {
        let ids = try encoder(preamble: "xy ").prompt(example([(.system, "s"), (.user, "ab")], answer: nil))
        #expect(
            try model.tokenizer.decode(ids, skipSpecialTokens: false) == "system:s<|end|>user:xy ab<|end|>assistant:")
    }

    @Test func `losses and gradients count the targets only`() throws {
        let row = try encoder().encode(example([(.user, "ab"), (.assistant, "cd"), (.user, "e")], answer: "fg"))
        let positions = try TargetPositions([row], length: row.ids.count, on: .cpu)
        #expect(positions.count == 6)
        #expect(try positions.ids.elements(Int.self) == row.targets.flatMap { Array(row.ids[$0]) })
        #expect(positions.positions == row.targets.joined().map { $0 - 1 })
    }

    @Test func `a refused conversation is named by file and line`() throws {
        let refusing = try Self.model(in: scratch, template: "{{ raise_exception('turns have to alternate') }}")
        let encoder = try ExampleEncoder(refusing, options: .init(usesChatTemplate: true))
        #expect(
            performing: { try encoder.encode(example([(.user, "a")], answer: "b")) },
            throws: { error in
                "\(error)".hasPrefix("rows.jsonl:7: ")
                    && "\(error)".contains("chat_template.jinja:1: the chat template refuses")
            })
    }

    @Test func `an adapter remembers whether there was a template, and refuses a model without one`() throws {
        let adapter = try Adapter.initial(
            Methods.make("lora", typed: ["rank": "2"]), for: model, task: .generation, labels: [],
            encoding: .init(usesChatTemplate: true), seed: 1)
        let folder = try scratch.folder("adapter")
        try adapter.write(to: folder, for: model)
        #expect(try Adapter.read(folder, for: model).encoding.usesChatTemplate)
        let plain = try Self.model(in: scratch, template: nil)
        #expect(throws: HoneError.self) { try Specialist(base: plain, adapter: adapter) }
        #expect((try plain.chatFormat()) == nil, "there is no template")
    }

    @Test func `generation stops where a turn ends`() throws {
        let adapter = try Adapter.initial(
            Methods.make("lora", typed: ["rank": "2"]), for: model, task: .generation, labels: [],
            encoding: .init(usesChatTemplate: true), seed: 1)
        let specialist = try Specialist(base: model, adapter: adapter)
        #expect(try specialist.encoder.turnEnd == model.tokenizer.id("<|end|>"))
        var options = GenerationOptions()
        options.maximumNewTokens = 4
        #expect(try specialist.generate([example([(.user, "ab")], answer: nil)], options: options).count == 1)
    }
}
