import HoneFormats
import Testing

@testable import HoneTasks

@Suite struct TaskDetectorTests {
    /// A table of twenty rows made from a header and a few rows that repeat; `#` becomes the number of the row.
    private func rows(_ header: String, _ lines: String...) throws -> Table {
        let body = (0..<20).map { lines[$0 % lines.count].replacing("#", with: String($0)) }
        return try table(([header] + body).joined(separator: "\n"))
    }

    private func jsonRows(_ lines: String...) throws -> Table {
        let body = (0..<20).map { lines[$0 % lines.count].replacing("#", with: String($0)) }
        return try table(body.joined(separator: "\n"), file: "rows.jsonl")
    }

    private func found(_ table: Table, _ definition: TaskDefinition = .init()) throws -> TaskResolution {
        try TaskDetector(table: table).resolve(definition)
    }

    @Test(
        arguments: [
            ("text,label", "hello #,a", "bye #,b", ColumnMapping(text: "text", label: "label")),
            ("Review Text,Sentiment", "good #,1", "bad #,0", .init(text: "Review Text", label: "Sentiment")),
            ("id,utterance,intent", "#,hi #,greet", "#,bye #,leave", .init(text: "utterance", label: "intent")),
            ("text,label,fine_label", "a #,x,x1", "b #,y,y1", .init(text: "text", label: "label")),
            (
                "premise,hypothesis,label", "a #,b,0", "c #,d,1",
                .init(text: "premise", textPair: "hypothesis", label: "label")
            ),
            (
                "sentence1,sentence2,label", "a #,b,0", "c #,d,1",
                .init(text: "sentence1", textPair: "sentence2", label: "label")
            ),
            (
                "question,answer,label", "a #,b #,0", "c #,d #,1",
                .init(text: "question", textPair: "answer", label: "label")
            ),
            ("ticket,team", "my lamp # is broken,tech", "where is parcel #,post", .init(text: "ticket", label: "team")),
            ("question,answer", "is # even,yes", "is # odd,no", .init(text: "question", label: "answer")),
            ("text,label,label_text", "a #,0,no", "b #,1,yes", .init(text: "text", label: "label_text")),
            ("image,label", "a/#.png,cat", "b/#.JPG,dog", .init(image: "image", label: "label")),
            ("id,file_name,class", "#,#.jpeg,cat", "#,#.jpeg,dog", .init(image: "file_name", label: "class")),
            ("left,digit,label", "#.png,1,odd", "#.png,2,even", .init(image: "left", label: "label")),
        ] as [(String, String, String, ColumnMapping)])
    func `finds the columns of classification`(header: String, one: String, two: String, expected: ColumnMapping) throws
    {
        let resolution = try found(rows(header, one, two))
        #expect(resolution.kind == .classification)
        #expect(resolution.columns == expected)
    }

    @Test(
        arguments: [
            ("prompt,completion", "say #,ok #", .init(prompt: "prompt", completion: "completion"), nil),
            ("instruction,output", "say #,ok #", .init(prompt: "instruction", completion: "output"), nil),
            ("instruction,input,output", "say #,it,ok #", .init(completion: "output"), "{instruction}\n\n{input}"),
            ("instruction,input,output", "say #,,ok #", .init(prompt: "instruction", completion: "output"), nil),
            ("question,answer", "what is #,the number #", .init(prompt: "question", completion: "answer"), nil),
            (
                "id,body,question,answer", "#,Jo has # eggs.,How many?,#", .init(completion: "answer"),
                "{body} {question}"
            ),
            ("article,highlights", "long # text,short # text", .init(prompt: "article", completion: "highlights"), nil),
            ("context,question,answer", "c #,q #,a #", .init(completion: "answer"), "{context}\n\n{question}"),
        ] as [(String, String, ColumnMapping, String?)])
    func `finds the columns of generation`(header: String, row: String, expected: ColumnMapping, template: String?)
        throws
    {
        let resolution = try found(rows(header, row))
        #expect(resolution.kind == .generation)
        #expect(resolution.columns == expected)
        #expect(resolution.template?.source == template)
    }

    @Test func `joins a title and a body`() throws {
        let resolution = try found(rows("title,body,label", "a,long # text,x", "b,other # text,y"))
        #expect(resolution.template?.source == "{title}\n{body}")
        #expect(resolution.columns == ColumnMapping(label: "label"))
    }

    @Test func `finds conversations`() throws {
        let turn = #"[{"role": "user", "content": "hi #"}, {"role": "assistant", "content": "yes"}]"#
        let resolution = try found(jsonRows(#"{"id": #, "messages": \#(turn)}"#))
        #expect(resolution.columns == ColumnMapping(messages: "messages"))
        let withTools = try found(jsonRows(#"{"id": #, "messages": \#(turn), "tools": [{"name": "t"}]}"#))
        #expect(withTools.columns == ColumnMapping(messages: "messages", tools: "tools"))
        #expect(resolution.ignored == ["id"])
    }

    @Test func `labels take the order of a column of numbers that mirrors them`() throws {
        let resolution = try found(rows("text,label,label_id", "a #,zebra,0", "b #,ape,1"))
        #expect(resolution.columns.label == "label")
        #expect(resolution.labelOrder == "label_id")
        #expect(resolution.ignored == ["label_id"])
        let unrelated = try found(rows("text,label,length", "a #,zebra,0", "b #,ape,1", "c #,ape,2"))
        #expect(unrelated.labelOrder == nil)
    }

    @Test func `settings win over what is found`() throws {
        let rows = try rows("text,other,label,team", "a #,b #,x,p", "c #,d #,y,q")
        #expect(try found(rows, .init(columns: .init(text: "other"))).columns == .init(text: "other", label: "label"))
        #expect(try found(rows, .init(columns: .init(label: "team"))).columns == .init(text: "text", label: "team"))
        let generation = try found(rows, .init(columns: .init(prompt: "text", completion: "other")))
        #expect(generation.kind == .generation)
        let joined = try found(rows, .init(template: Template("{text} {other}")))
        #expect(joined.columns == .init(label: "label"))
        #expect(joined.ignored == ["team"])
    }

    @Test func `a chosen prompt is not joined with anything`() throws {
        let rows = try rows("body,question,answer", "Jo has #.,How many?,#")
        let resolution = try found(rows, .init(columns: .init(prompt: "question", completion: "answer")))
        #expect(resolution.columns == .init(prompt: "question", completion: "answer"))
        #expect(resolution.template == nil)
    }

    @Test func `paths lead into nested values`() throws {
        let rows = try jsonRows(#"{"instruction": "say #", "instances": [{"input": "", "output": "ok #"}]}"#)
        let definition = TaskDefinition(columns: .init(prompt: "instruction", completion: "instances.0.output"))
        let resolution = try found(rows, definition)
        #expect(resolution.columns.completion == "instances.0.output")
        #expect(resolution.ignored.isEmpty)
        let reader = try ExampleReader(
            table: rows, definition: .init(kind: .generation, columns: resolution.columns), needsAnswers: true)
        #expect(try reader.draft(row: 3).answer == "ok 3")
    }

    @Test(
        arguments: [
            ("a,b", "x # y,z # w", "no column looks like a label or an answer; the columns are `a`, `b`"),
            ("a,b", "x # y,z # w", "`columns: {text: a, label: b}`"),
            ("text,intent,topic", "x #,a,#", "does not fail"),
            ("category,intent,text", "a,p,x #|b,p,y #|a,q,z #", "`category`, `intent` could each be the label"),
            ("sentence,review,label", "x #,y #,a|x #,y #,b", "`sentence`, `review` could each be the text"),
            ("prompt,completion,label", "x #,y #,a|x #,y #,b", "could be for classification or for generation"),
            ("input,output,category", "x #,y #,a|x #,y #,b", "could be for classification or for generation"),
            ("text,label", "x #,", "rows.csv:2: label: the label column `label` is empty in all rows"),
            ("text,label", "x #,value #", "has 20 different values in 20 rows, which does not look like labels"),
            ("label,number", "a,#|b,#", "no column looks like the text to classify"),
            (
                "I love this lamp so very much that I write,positive", "x # y,z # w",
                "the columns are column 1, `positive`"
            ),
        ])
    func `refuses to guess`(header: String, body: String, expected: String) throws {
        let lines = body.split(separator: "|").map(String.init)
        let text = (0..<20).map { lines[$0 % lines.count].replacing("#", with: String($0)) }
        let table = try table(([header] + text).joined(separator: "\n"))
        if expected == "does not fail" {
            #expect(try found(table).columns.label == "intent")
            return
        }
        let error = honeError { _ = try found(table) }
        #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    }

    @Test func `refuses lists of labels and of choices`() throws {
        let labels = honeError { _ = try found(jsonRows(#"{"text": "a #", "labels": ["x", "y"]}"#)) }
        #expect(labels?.message.contains("several labels a row are not supported") == true)
        let choices = honeError {
            _ = try found(jsonRows(#"{"question": "a #", "choices": ["x", "y"], "answer": 1}"#))
        }
        #expect(choices?.code == .unsupported)
    }

    @Test func `names of columns are suggested`() throws {
        let rows = try rows("text,label", "a #,x", "b #,y")
        let error = honeError { _ = try found(rows, .init(columns: .init(text: "txt"))) }
        #expect(error?.message == "there is no column `txt`; did you mean `text`?; the columns are `text`, `label`")
        let template = honeError { _ = try found(rows, .init(template: Template("{titel}"))) }
        #expect(template?.item == "titel")
    }
}
