import HoneFormats
import Testing

@Suite struct SafeNameTests {
    static let refused = [
        "", ".", "..", "...", ".hidden", "a.", " a", "a ", "a/b", "/a", "a\\b", "C:", "c:a", "a:stream", "a\0b", "a\nb",
        "a\tb",
        "\u{7F}", "a\u{85}b", "a\u{202E}b", "a\u{200B}b", "\u{FEFF}a", "a\u{2028}b", "../../etc/passwd", "..\\..\\a",
        "\u{FF0F}etc", "\u{2024}\u{2024}", "\u{2025}", "a\u{2215}b", "a\u{2044}b", "a\u{FF3C}b", "a\u{FF1A}b",
        "\u{3000}a", "a\u{A0}",
        "CON", "con.txt", "nul", "Aux.json", "COM1", "lpt9.safetensors", "COM\u{B9}", "CON .txt", "e\u{301}",
        "\u{212B}",
        "\u{E000}", String(repeating: "n", count: 256), String(repeating: "é", count: 128),
    ]

    @Test("refuses names that leave the folder, hide or deceive", arguments: refused)
    func refuses(_ name: String) {
        let error = refusal { try SafeName.check(name, from: "index.json") }
        #expect(error?.code == .badFile)
        #expect(error?.file == "index.json")
    }

    @Test("accepts plain names, of any script")
    func accepts() throws {
        let names = [
            "a", "model-00001-of-00002.safetensors", "config.json", "Größe.json", "模型.safetensors", "a b", "a..b",
            "a-b_c+d(1)",
            "console", "nullable.txt", "ｍodel", String(repeating: "n", count: 255),
        ]
        for name in names { #expect(try SafeName.check(name) == name) }
    }

    @Test("checks every part of a relative path")
    func relativePaths() throws {
        #expect(
            try SafeName.check(relativePath: "adapter/adapter_model.safetensors") == "adapter/adapter_model.safetensors"
        )
        for path in ["", "/a", "a/", "a//b", "a/../b", "a/./b", "a/b\\c", String(repeating: "a/", count: 16) + "a"] {
            expectRefusal { try SafeName.check(relativePath: path) }
        }
    }
}
