import HoneFormats
import Testing

@Suite struct JSONTests {
    @Test("reads every kind of value and keeps the order of keys")
    func values() throws {
        let value = try JSON.parse(
            #" {"b": [1, -2, 0.5, 1e3], "a": {"x": null, "y": true, "z": false}, "s": "\u00e9\ud83d\ude00\n/\/"} "#)
        #expect(value.object?.keys == ["b", "a", "s"])
        #expect(value["b"] == [1, -2, 0.5, 1000.0])
        #expect(value["a"]?["y"] == true)
        #expect(value["a"]?["z"] == false)
        #expect(value["a"]?["x"]?.isNull == true)
        #expect(value["s"]?.string == "é😀\n//")
    }

    @Test("keeps whole numbers exact up to 64 bits and makes doubles of larger ones")
    func wholeNumbers() throws {
        #expect(try JSON.parse("9223372036854775807") == .integer(.max))
        #expect(try JSON.parse("-9223372036854775808") == .integer(.min))
        #expect(try JSON.parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try JSON.parse("-9223372036854775809") == .number(-9_223_372_036_854_775_808))
        #expect(try JSON.parse("1.0") == .number(1))
    }

    @Test("reads numbers to the same bits as Python")
    func numbersAsPython() throws {
        let rows = try #require(try JSON.read(file: fixture("numbers.json")).array)
        #expect(rows.count == 10)
        for row in rows {
            let cells = try #require(row.array).compactMap(\.string)
            let expected = try #require(Double(cells[1]))
            let value = try #require(try JSON.parse(cells[0]).number)
            #expect(value.bitPattern == expected.bitPattern, "\(cells[0])")
        }
    }

    @Test("writes what reads back as the same value, pretty or not")
    func roundTrip() throws {
        let value: JSON = [
            "text": "a\"b\\c\u{1}\u{1F}\n\r\t\u{8}\u{C}/é😀\u{7F}",
            "numbers": [0, -1, 0.1, 1e300, -2.5e-10, .integer(.min)],
            "empty": [[:], [], ""], "nested": ["a": ["b": [.null, true, false]]],
        ]
        for pretty in [false, true] {
            #expect(try JSON.parse(value.text(pretty: pretty)) == value)
        }
    }

    @Test("writes doubles with the fewest digits, and null where they are not finite")
    func doubles() {
        let value: JSON = [0.1, 100.0, 1e-7, .number(.infinity), .number(-.infinity), .number(.nan)]
        #expect(value.text() == "[0.1,100.0,1e-07,null,null,null]")
    }

    @Test("writes pretty text with sorted keys as Python does with indent 2")
    func pretty() {
        let value: JSON = ["b": [1, 2], "a": [:], "c": [], "Z": ["k": "v"]]
        let expected = """
            {
              "Z": {
                "k": "v"
              },
              "a": {},
              "b": [
                1,
                2
              ],
              "c": []
            }
            """
        #expect(value.text(pretty: true, sortedKeys: true) == expected)
    }

    @Test("takes the composed and the decomposed form of a letter for two keys")
    func exactKeys() throws {
        let text = "{\"\u{E9}\": 1, \"e\u{301}\": 2}"
        let value = try JSON.parse(text)
        #expect(value["\u{E9}"] == 1)
        #expect(value["e\u{301}"] == 2)
        #expect(value.object?.count == 2)
        #expect(ExactString("\u{E9}") != ExactString("e\u{301}"))
    }

    @Test("finds, replaces and removes keys of large objects")
    func largeObjects() throws {
        var object = JSONObject()
        for number in 0..<1000 { object["key \(number)"] = .integer(number) }
        for number in stride(from: 0, to: 1000, by: 100) { object["key \(number)"] = nil }
        object["key 1"] = "one"
        #expect(object.count == 990)
        #expect(object["key 100"] == nil)
        #expect(object["key 1"] == "one")
        #expect(object["key 999"] == 999)
        #expect(object.keys.first == "key 1")
        #expect(try JSON.parse(JSON.object(object).text()) == .object(object))
    }

    @Test("counts lines of a JSON Lines file from the number it is given")
    func lines() throws {
        #expect(try JSON.parse(line: Array("{\"a\": 1}\r\n".utf8), number: 7)["a"] == 1)
        let error = refusal { try JSON.parse(line: Array("{\"a\": x}".utf8), number: 17, file: "data.jsonl") }
        #expect(error?.line == 17)
        #expect(error?.description == "data.jsonl:17: column 7: expected a value, found “x”")
    }

    static let refused: [(text: String, line: Int, words: String)] = [
        ("", 1, "column 1: the JSON text is empty"),
        (" \n ", 2, "column 2: the JSON text is empty"),
        ("{\"a\": 1", 1, "column 8: the text ends inside the object opened at line 1, column 1"),
        ("[1,\n 2", 2, "the text ends inside the array"),
        ("\"abc", 1, "the text ends inside the string"),
        ("\"abc\\", 1, "the text ends inside the string"),
        ("[1, 2,]", 1, "column 7: a comma stands before ]"),
        ("{\"a\": 1,}", 1, "a comma stands before }"),
        ("[1 2]", 1, "column 4: expected , or ]"),
        ("{\"a\" 1}", 1, "expected : after the key"),
        ("{a: 1}", 1, "expected a key in double quotes"),
        ("{'a': 1}", 1, "expected a key in double quotes"),
        ("{\"a\": 1, \"b\": 2,\n \"a\": 3}", 2, "column 2: the key \"a\" stands twice"),
        ("{\"a\": 1} x", 1, "column 10: expected the end after the JSON value"),
        ("1 2", 1, "expected the end"),
        ("True", 1, "expected a value"),
        ("nul", 1, "did you mean null?"),
        ("NaN", 1, "expected a value"),
        ("Infinity", 1, "expected a value"),
        ("1e999", 1, "too large"),
        ("-1e999", 1, "too large"),
        ("01", 1, "begins with 0"),
        ("-", 1, "expected a digit"),
        ("+1", 1, "expected a value"),
        (".5", 1, "expected a value"),
        ("1.", 1, "expected a digit after the point"),
        ("1e", 1, "expected a digit in the exponent"),
        ("1e+", 1, "expected a digit in the exponent"),
        (String(repeating: "1", count: 2000), 1, "more than 1024 characters"),
        ("\"a\nb\"", 1, "bare line break"),
        ("\"a\u{1}b\"", 1, "bare control character"),
        ("\"\\x\"", 1, "no JSON escape"),
        ("\"\\u12G4\"", 1, "four hexadecimal digits"),
        ("\"\\u12", 1, "four hexadecimal digits"),
        ("\"\\ud800\"", 1, "half of a surrogate pair"),
        ("\"\\ud800\\u0041\"", 1, "half of a surrogate pair"),
        ("\"\\udc00\"", 1, "half of a surrogate pair"),
        ("// comment\n1", 1, "expected a value"),
        ("\u{FEFF}1", 1, "byte order mark"),
        (String(repeating: "[", count: 65), 1, "deeper than 64 levels"),
        (String(repeating: "{\"a\":", count: 100_000), 1, "deeper than 64 levels"),
    ]

    @Test("refuses what is not JSON, with line, column and reason", arguments: refused)
    func refuses(_ text: String, _ line: Int, _ words: String) {
        let error = refusal { try JSON.parse(text) }
        #expect(error?.code == .badFile)
        #expect(error?.line == line)
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    static let illFormed: [[UInt8]] = [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
        [0xF0, 0x80, 0x80, 0x80],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xE2, 0x28, 0xA1], [0xF0, 0x9F, 0x98],
    ]

    @Test("refuses ill-formed UTF-8", arguments: illFormed)
    func refusesIllFormed(_ bytes: [UInt8]) {
        for text in [[0x22] + bytes + [0x22], [0x22, 0x5C, 0x6E] + bytes + [0x22]] {
            expectRefusal("not valid UTF-8") { try JSON.parse(text) }
        }
        expectRefusal { try JSON.parse(bytes) }
    }

    @Test("agrees with Swift about well-formed UTF-8 on random bytes")
    func validation() {
        var random = SplitMix64(state: 8)
        let pool: [UInt8] = [
            0x61, 0x80, 0xBF, 0xC2, 0xDF, 0xE0, 0xA0, 0xED, 0x9F, 0xEF, 0xF0, 0x90, 0x8F, 0xF4, 0xC1, 0xF5,
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...5, using: &random)).map { _ in pool.randomElement(using: &random) ?? 0 }
            let isValid = String(validating: bytes, as: UTF8.self) != nil
            let read = try? JSON.parse([0x22] + bytes + [0x22])
            #expect((read != nil) == isValid)
            if let text = read?.string { #expect(Array(text.utf8) == bytes) }
            accepted += isValid ? 1 : 0
        }
        #expect(accepted > 100)
    }

    @Test("keeps the limits it is given")
    func limits() throws {
        let limits = JSONLimits(depth: 2, stringBytes: 4, elements: 3)
        #expect(try JSON.parse(Array("[[1,2,3]]".utf8), limits: limits) == [[1, 2, 3]])
        expectRefusal { try JSON.parse(Array("[[[]]]".utf8), limits: limits) }
        expectRefusal("3 elements") { try JSON.parse(Array("[1,2,3,4]".utf8), limits: limits) }
        let object = "{\"a\":1,\"b\":1,\"c\":1,\"d\":1}"
        expectRefusal("3 keys") { try JSON.parse(Array(object.utf8), limits: limits) }
        expectRefusal("4 bytes") { try JSON.parse(Array("\"abcde\"".utf8), limits: limits) }
        expectRefusal("4 bytes") { try JSON.parse(Array("\"\\nabcd\"".utf8), limits: limits) }
        #expect(JSONLimits(depth: 1_000_000).depth == 512)
    }

    @Test("reads depth up to the limit without exhausting the stack")
    func depth() throws {
        let limits = JSONLimits(depth: 512)
        let text = String(repeating: "[", count: 512) + String(repeating: "]", count: 512)
        #expect(try JSON.parse(Array(text.utf8), limits: limits).array?.count == 1)
    }

    @Test("says in plain words why a file cannot be read")
    func files() throws {
        try withTemporaryFolder { folder in
            expectRefusal("cannot open: there is no such file or folder") { try JSON.read(file: "\(folder)/none.json") }
            expectRefusal("cannot read: this is a folder") { try JSON.read(file: folder) }
            expectRefusal("", .fileSystem) { try JSON.read(file: "a\0b") }
            try put(Array("[1,".utf8), at: "\(folder)/a.json")
            let error = refusal { try JSON.read(file: "\(folder)/a.json") }
            #expect(error?.file == "\(folder)/a.json")
            try put(Array("[1]".utf8), at: "\(folder)/a.json")
            expectRefusal("larger than 2 bytes") { try FileBytes.read("\(folder)/a.json", limit: 2) }
        }
    }
}
