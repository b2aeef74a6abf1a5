import HoneFormats
import Testing

@Suite struct JSONTests {
    @Test("reads every kind of value and keeps the order of keys")
    func values() throws {
        let value = try JSON.parse(
            #" {"b": [1, -2, 0.5, 1e3, 9223372036854775808], "a": {"x": null, "y": true, "z": false}, "s": "\u00e9\ud83d\ude00\n/"} "#
        )
        #expect(value.object?.keys == ["b", "a", "s"])
        #expect(value["b"] == [1, -2, 0.5, 1000.0, .number(9223372036854775808)])
        #expect(value["a"]?["y"] == true)
        #expect(value["a"]?["x"]?.isNull == true)
        #expect(value["s"]?.string == "é😀\n/")
    }
}
