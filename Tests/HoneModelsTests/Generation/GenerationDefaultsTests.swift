import Foundation
import HoneFormats
import HoneModels
import Testing

struct GenerationDefaultsTests {
    private func endIds(_ generation: String?, _ endOfConfig: String = "null") throws -> Set<Int> {
        try withTemporaryFolder { folder in
            let source = Reference.fixtures + "/gpt2-tiny"
            for file in ["model.safetensors", "tokenizer.json"] {
                try FileManager.default.copyItem(atPath: source + "/" + file, toPath: folder + "/" + file)
            }
            var config = try #require(try JSON.read(file: source + "/config.json").object)
            config["eos_token_id"] = try JSON.parse(endOfConfig)
            try JSON.object(config).text().write(toFile: folder + "/config.json", atomically: true, encoding: .utf8)
            try generation?.write(
                toFile: folder + "/generation_config.json", atomically: true, encoding: .utf8)
            return try GenerationDefaults(BaseModel(folder: folder)).endIds
        }
    }

    @Test func `end tokens come from the generation config, else from the config, as a number or a list`() throws {
        #expect(try endIds(nil) == [])
        #expect(try endIds(nil, "7") == [7])
        #expect(try endIds("{}", "[7, 9]") == [7, 9])
        #expect(try endIds(#"{"eos_token_id": [1, 2, 3]}"#) == [1, 2, 3])
        #expect(try endIds(#"{"eos_token_id": 4}"#) == [4])
    }

    @Test("a field that is no token number is refused", arguments: ["\"x\"", "[1, \"x\"]", "-1", "1.5", "{}"])
    func refused(value: String) throws {
        #expect { try endIds("{\"eos_token_id\": \(value)}") } throws: {
            ($0 as? HoneError)?.code == .badFile && ($0 as? HoneError)?.item == "eos_token_id"
        }
    }
}
