import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct TaskDefinitionTests {
    private let full = """
        # a task
        name: Tickets
        kind: classification
        data: tickets.csv
        validation: more/valid.csv
        test: /abs/test.csv
        columns:
          label: team
        template: "{title}\\n{body}"
        labels: [billing, 007, yes, "1.50"]
        metrics: [macro_f1, accuracy]
        splits: {validation: 0.2, test: 0}
        seed: 18446744073709551615
        """

    @Test func `reads every setting`() throws {
        let task = try TaskDefinition(yaml: Array(full.utf8), file: "task.yaml")
        #expect(task.name == "Tickets")
        #expect(task.kind == .classification)
        #expect(task.data == "tickets.csv")
        #expect(task.columns == ColumnMapping(label: "team"))
        #expect(task.template?.source == "{title}\n{body}")
        #expect(task.labels == ["billing", "007", "yes", "1.50"])
        #expect(task.metrics == ["macro_f1", "accuracy"])
        #expect(task.splits == SplitFractions(validation: 0.2, test: 0))
        #expect(task.seed == .max)
    }

    @Test func `paths are as seen from the file`() throws {
        let folder = try TemporaryFolder()
        let task = try TaskDefinition(file: folder.write("task.yaml", full))
        #expect(task.data == folder.path + "/tickets.csv")
        #expect(task.validation == folder.path + "/more/valid.csv")
        #expect(task.test == "/abs/test.csv")
    }

    @Test func `survives the way through JSON`() throws {
        let task = try TaskDefinition(yaml: Array(full.utf8), file: "task.yaml")
        let text = task.json.text(pretty: true)
        #expect(try TaskDefinition(json: JSON.parse(text)) == task)
        #expect(try TaskDefinition(json: TaskDefinition().json) == TaskDefinition())
    }

    @Test func `settings without a value count as not set`() throws {
        #expect(try TaskDefinition(yaml: Array("kind:\nseed: ~\n".utf8), file: "t.yaml") == TaskDefinition())
    }

    @Test(
        arguments: [
            ("kind: clasification", "t.yaml:1: kind: there is no kind `clasification`; did you mean `classification`?"),
            ("seed: 1\nlabls: [a, b]", "t.yaml:2: there is no setting `labls`; did you mean `labels`?"),
            ("columns:\n  txt: a", "t.yaml:2: columns: there is no setting `txt`; did you mean `text`?"),
            ("seed: 1\nkind: [a]", "t.yaml:2: kind: a string is needed, this is a list"),
            ("seed: -1", "t.yaml:1: seed: a whole number from 0 to"),
            ("seed: 1.5", "t.yaml:1: seed: a whole number from 0 to"),
            ("data: 12", "t.yaml:1: data: a string is needed, this is a number"),
            ("data: \"\"", "t.yaml:1: data: the string is empty"),
            ("splits: {test: 1}", "t.yaml:1: splits.test: a number from 0 to below 1"),
            ("splits: {test: lots}", "t.yaml:1: splits.test: a number from 0 to below 1 is needed, this is a string"),
            ("splits:\n  test: 0.6\n  validation: 0.5", "t.yaml:2: splits: the shares leave no rows to train on"),
            ("labels: [a]", "t.yaml:1: labels: at least two labels are needed"),
            ("labels:\n- a\n- b\n- a", "t.yaml:4: labels: the label `a` stands twice"),
            ("labels: a", "t.yaml:1: labels: a list of names is needed, this is a string"),
            ("labels: [[a], b]", "t.yaml:1: labels: a name is needed, this is a list"),
            ("seed: 1\ntemplate: \"{title\"", "t.yaml:2: template: the template opens a brace that is never closed"),
            ("template: nothing", "t.yaml:1: template: the template names no column"),
            ("template: \"a } b {c}\"", "t.yaml:1: template: the template closes a brace"),
            ("columns: {text: a, prompt: b}", "t.yaml:1: columns: `text` belongs to classification and `prompt`"),
            ("kind: generation\ncolumns: {label: a}", "`label` belongs to classification, the kind is generation"),
            ("kind: generation\nlabels: [a, b]", "labels belong to classification, the kind is generation"),
            ("columns: {messages: m, completion: c}", "columns: `messages` excludes `prompt`"),
            ("columns: {tools: t, prompt: c}", "columns: `tools` belong to `messages`"),
            ("columns: {image: i, text: c}", "columns: `image` excludes `text`"),
            ("template: \"{a}\"\ncolumns: {text: b}", "template: a template takes the place of the column `b`"),
            ("just words", "t.yaml:1: `key: value` lines are needed, this is a string"),
            ("- a\n- b", "t.yaml:1: `key: value` lines are needed, this is a list"),
            ("", "t.yaml: the file holds no settings"), ("# only a comment\n", "t.yaml: the file holds no settings"),
            ("kind: generation\nkind: classification", "t.yaml:1: a setting stands twice: `kind`"),
            ("seed: 1\n  kind: x", "t.yaml:2: this is not YAML"), ("a: [1, 2", "t.yaml:2: this is not YAML"),
            ("a: \"x", "this is not YAML"), ("seed: 1\n\tkind: x", "t.yaml:2: this is not YAML"),
            ("? {a: b}\n: c", "t.yaml:1: a key is not a plain word"),
            ("a: *nowhere", "t.yaml:1: this is not YAML: found undefined alias"),
            ("seed: 1\n---\nseed: 2", "t.yaml:2: this is not YAML: but found another document"),
            ("a: 1\nb: \u{0}", "t.yaml:2: the file holds a NUL byte"),
        ])
    func `says what is wrong and where`(yaml: String, expected: String) {
        let error = honeError { _ = try TaskDefinition(yaml: Array(yaml.utf8), file: "t.yaml") }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }

    @Test func `refuses bytes that are not UTF-8`() {
        let error = honeError { _ = try TaskDefinition(yaml: Array("a: 1\nb: ".utf8) + [0xE9], file: "t.yaml") }
        #expect(error?.description == "t.yaml:2: the line is not valid UTF-8; save the file as UTF-8")
    }

    @Test func `refuses nesting and aliases that could eat the machine`() {
        var laughs = "a0: &a0 [x, x]\n"
        for level in 1...30 { laughs += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
        let cases = [
            (
                "a: " + String(repeating: "[", count: 190) + String(repeating: "]", count: 190),
                "t.yaml: the settings are nested too deep"
            ),
            (String(repeating: "- ", count: 60) + "x", "t.yaml:1: `key: value` lines are needed"),
            (String(repeating: "[", count: 100_000), "t.yaml:1: the file holds more than 200 opening brackets"),
            (String(repeating: "- ", count: 100_000), "t.yaml:1: the line is indented by more than 128 characters"),
            (String(repeating: "? ", count: 100_000), "t.yaml:1: the line is indented by more than 128 characters"),
            (
                (0..<500).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n"),
                "is indented by more than"
            ),
            (laughs, "t.yaml:10: the file holds more than 16 aliases"),
            (String(repeating: "a", count: 2 << 20), "t.yaml: the file has 2,097,152 bytes"),
        ]
        for (yaml, expected) in cases {
            let error = honeError { _ = try TaskDefinition(yaml: Array(yaml.utf8), file: "t.yaml") }
            #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
        }
    }

    @Test func `a few aliases cannot grow into many values`() {
        // 16 aliases: four levels of four, as a key, which the parser below compares by value.
        var yaml = "x: &a [1, 1, 1, 1]\n"
        for (name, last) in zip(["b", "c", "d"], ["a", "b", "c"]) {
            yaml += "y\(name): &\(name) [*\(last), *\(last), *\(last), *\(last)]\n"
        }
        yaml += "? *d\n: 1\n"
        let error = honeError { _ = try TaskDefinition(yaml: Array(yaml.utf8), file: "t.yaml") }
        #expect(error?.line == 1 || error?.message.contains("key") == true)
    }

    @Test func `templates fill in columns and keep doubled braces`() throws {
        let template = try Template("{{{title}}}: {body}\n{ title }")
        #expect(template.columns == ["title", "body"])
        #expect(template.render { $0 == "title" ? "T" : "B" } == "{T}: B\nT")
        #expect(try Template("{a}\n\n{b}").render { $0 == "a" ? "x" : "" } == "x")
        #expect(try Template("Q: {a}\nA: ").render { _ in "x" } == "Q: x\nA: ")
    }
}
