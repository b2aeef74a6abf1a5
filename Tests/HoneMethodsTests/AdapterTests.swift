import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

@Suite struct AdapterTests {
    private let scratch: TemporaryFolder
    private let model: BaseModel
    private let task = TinyTask.classification(rows: 12)

    init() throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.bert.load(in: scratch)
    }

    private func initial(_ name: String, _ settings: [String: String] = [:]) throws -> Adapter {
        try Adapter.initial(
            Methods.make(name, typed: settings), for: model, task: task.shape, labels: task.labels, encoding: .init(),
            seed: 1)
    }

    /// An adapter's folder with its hone.json changed.
    private func written(_ adapter: Adapter, _ change: (inout JSONObject) -> Void) throws -> String {
        let folder = try scratch.folder("adapter")
        try adapter.write(to: folder, for: model)
        var object = try #require(try JSON.read(file: folder + "/hone.json").object)
        change(&object)
        try AtomicFile.write(JSON.object(object).text(), to: folder + "/hone.json")
        return folder
    }

    @Test func `at the start, the gradient of LoRA's A is exactly zero and that of B is not`() throws {
        let adapter = try initial("lora", ["rank": "2"])
        try adapter.parameters.makeTrainable()
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        let rows = try task.examples.map(encoder.encode)
        let loss = try withGradients {
            let transformer = try model.transformer.attaching(
                adapter.method.attachments(adapter.parameters, model: model.transformer, dropout: nil))
            let batch = try TokenBatch(rows.map(\.ids), padId: model.padId)
            let pooled = try model.pooled(transformer.states(batch), of: batch)
            return try ClassificationHead.logits(pooled, adapter.parameters)
                .crossEntropySum(Tensor(rows.map { $0.label ?? -100 }))
        }
        try loss.backward()
        for parameter in adapter.parameters.all where parameter.group == .adapter {
            let gradient = try #require(parameter.tensor.gradient).elements(Float.self)
            if parameter.name.hasSuffix(".lora_A") {
                #expect(gradient.allSatisfy { $0 == 0 }, "\(parameter.name)")
            } else {
                #expect(gradient.contains { $0 != 0 }, "\(parameter.name)")
            }
        }
    }

    @Test func `LoRA on chosen maps comes back with its choice`() throws {
        let adapter = try initial("lora", ["rank": "2", "targets": "query,mlp.up", "alpha": "5", "dropout": "0.1"])
        #expect(adapter.parameters.all.filter { $0.group == .adapter }.count == 2 * 2 * 2)
        let read = try Adapter.read(written(adapter) { _ in }, for: model)
        #expect(read.method.settings == adapter.method.settings)
        #expect(read.parameters.all.map(\.name) == adapter.parameters.all.map(\.name))
    }

    @Test(arguments: ["", "nothing", "query,nothing"])
    func `LoRA refuses maps that are not there`(targets: String) throws {
        let error = #expect(throws: HoneError.self) { try initial("lora", ["targets": targets]) }
        #expect(error?.code == .mismatch)
        #expect(error?.item == "lora targets")
    }

    @Test func `LoRA refuses a rank above the smallest matrix and names it`() {
        let error = #expect(throws: HoneError.self) { try initial("lora", ["rank": "17"]) }
        #expect(error?.code == .mismatch)
        #expect(error?.item?.hasPrefix("layers.0.") == true)
    }

    @Test func `a prompt that leaves no room for the input is refused`() {
        let error = #expect(throws: HoneError.self) { try initial("prompt", ["length": "64"]) }
        #expect(error?.code == .mismatch)
    }

    @Test func `a prompt of another width is refused when it is attached`() throws {
        var attachments = Attachments()
        attachments.prompts = [try Tensor.zeros([3, 17])]
        let error = #expect(throws: HoneError.self) { try model.transformer.attaching(attachments) }
        #expect(error?.code == .mismatch)
    }

    @Test(arguments: ["labels", "task", "version", "maximum_length", "marks_completions", "demonstrations", "method"])
    func `a field of hone dot json that makes no sense is refused by name`(field: String) throws {
        for wrong in ["no such thing", .array([]), .array([1]), .array([.null]), .integer(-1)] as [JSON] {
            // No demonstrations are some, and a shot may be left out.
            if field == "demonstrations", wrong.array?.isEmpty ?? true { continue }
            let folder = try written(initial("lora")) { $0[field] = wrong }
            let error = #expect(throws: HoneError.self, "\(field) = \(wrong.text())") {
                try Adapter.read(folder, for: model)
            }
            #expect(error?.description.contains(field) == true, "\(String(describing: error))")
        }
    }

    @Test func `demonstrations are drawn evenly over the classes and by seed`() throws {
        let method = try #require(try Methods.make("icl", typed: ["shots": "6"]) as? InContextExamples)
        let chosen = method.choose(from: task.examples, labels: task.labels)
        #expect(Dictionary(grouping: chosen, by: \.target).mapValues(\.count) == ["fruit": 2, "tool": 2, "colour": 2])
        #expect(chosen == method.choose(from: task.examples, labels: task.labels))
        let other = try #require(try Methods.make("icl", typed: ["shots": "6", "seed": "1"]) as? InContextExamples)
        #expect(chosen != other.choose(from: task.examples, labels: task.labels))
    }

    @Test func `a method that does not exist is refused with the list of those that do`() {
        let error = #expect(throws: HoneError.self) { try Methods.make("qlora") }
        let known = Methods.all.map { $0.card.name }.joined(separator: ", ")
        #expect(error?.message.contains(known) == true)
    }
}
