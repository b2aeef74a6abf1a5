import Foundation
import HoneFormats
import Testing

@testable import HoneText

struct ChatTemplateFolderTests {
    private let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("hone-chat-\(UUID().uuidString)")
        try FileManager.default.createDirectory(
            at: folder.appendingPathComponent("chat_templates"), withIntermediateDirectories: true)
    }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: folder.appendingPathComponent(name))
    }

    private func source(named name: String? = nil, hasTools: Bool = false) throws -> String? {
        try ChatTemplateFolder(folder.path).template(named: name, hasTools: hasTools)?.source
    }

    @Test func theFilesCountInTheOrderOfTransformers() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(try source() == nil)
        try write("chat_template.json", #"{"chat_template": "processor"}"#)
        #expect(try source() == "processor")
        try write(
            "tokenizer_config.json",
            #"{"bos_token": {"content": "<b>"}, "eos_token": "<e>", "pad_token": null, "chat_template": "config", "extra_special_tokens": {"image_token": "<i>"}}"#
        )
        #expect(try source() == "config")
        #expect(
            try ChatTemplateFolder(folder.path).specialTokens
                == ["bos_token": "<b>", "eos_token": "<e>", "image_token": "<i>"])
        try write(
            "tokenizer_config.json",
            #"{"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]}"#
        )
        #expect(try source() == "d")
        #expect(try source(hasTools: true) == "t")
        #expect(try source(named: "rag") == "r")
        #expect(throws: HoneError.self) { try source(named: "none") }
        try write("chat_templates/rag.jinja", "file")
        #expect(performing: { try source() }, throws: { "\($0)".contains("no chat template “default”, only rag") })
        try write("chat_template.jinja", "own")
        #expect(try source() == "own")
        #expect(try source(named: "rag") == "file")
    }

    @Test func damagedFilesAreNamed() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data([0x7B, 0xFF]).write(to: folder.appendingPathComponent("chat_template.jinja"))
        #expect(performing: { try source() }, throws: { "\($0)".contains("chat_template.jinja: is not valid UTF-8") })
        try write("chat_template.jinja", "{{ x")
        #expect(performing: { try source() }, throws: { "\($0)".contains("chat_template.jinja:1: ") })
        try write("chat_template.jinja", String(repeating: "x", count: 2 << 20))
        #expect(throws: HoneError.self) { try source() }
    }
}
