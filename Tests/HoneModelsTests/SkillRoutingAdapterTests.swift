import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// Poly and MHR adapters that PEFT saved, over batches whose rows are of several tasks.
/// `Scripts/fixtures/skill_routing.py` says what the tensors are.
@Suite struct SkillRoutingAdapterTests {
    static let names = ["llama-poly", "llama-mhr", "bert-mhr"]

    private func rows(_ loaded: AdapterFixture) throws -> [EncodedExample] {
        let tasks = try #require(loaded.expected["task_ids"]).elements(Int.self)
        return try zip(loaded.reference.rows(), tasks).map { ids, task in
            var row = EncodedExample.completing(ids, with: [])
            row.task = task
            return row
        }
    }

    private func adapted(_ loaded: AdapterFixture, _ parameters: ParameterSet) throws -> Transformer {
        try loaded.base.attaching(
            loaded.method.attachments(parameters, model: loaded.base, dropout: nil, rows: rows(loaded)))
    }

    private func output(_ loaded: AdapterFixture, _ transformer: Transformer) throws -> Tensor {
        try withoutGradients {
            let states = try transformer.states(loaded.reference.batch())
            return try loaded.base.configuration.isCausal ? transformer.logits(states) : states
        }
    }

    private func kind(_ loaded: AdapterFixture) -> String { loaded.base.configuration.isCausal ? "logits" : "hidden" }

    @Test("computes what PEFT computes, each row for its task", arguments: names)
    func outputs(name: String) throws {
        let loaded = try AdapterFixture(name)
        let ours = try output(loaded, adapted(loaded, loaded.parameters))
        let expected = try #require(loaded.expected[kind(loaded)])
        #expect(
            try largestDifference(ours, expected, over: loaded.reference.batch()) < allowedDifference(from: expected))
    }

    @Test("trains as PEFT trains: loss, gradients, three AdamW steps and where they end", arguments: names)
    func training(name: String) throws {
        let loaded = try AdapterFixture(name)
        let start = try loaded.parameters.copied()
        try start.makeTrainable()
        let isCausal = loaded.base.configuration.isCausal
        let head = isCausal ? [] : try ["head.weight", "head.bias"].map(loaded.reference.tensor)
        let steps = try #require(loaded.expected["losses.adamw"]).elements(Double.self)
        var optimizer = try TestAdamW(start.all.map(\.tensor))
        for (step, target) in steps.enumerated() {
            let loss = try loaded.reference.loss(adapted(loaded, start), head: head)
            #expect(try abs(loss.item() - target) < 1e-5 * target, "step \(step)")
            try loss.backward()
            if step == 0 {
                var gradients = ParameterSet()
                for parameter in start.all {
                    gradients.set(parameter.name, try #require(parameter.tensor.gradient, "\(parameter.name)").cloned())
                }
                try compare(loaded.written(gradients), with: "gradient.", in: loaded)
            }
            try optimizer.step()
        }
        try compare(loaded.written(start), with: "final.", in: loaded)
    }

    private func compare(_ ours: [String: Tensor], with prefix: String, in loaded: AdapterFixture) throws {
        let wanted = loaded.expected.keys.filter { $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.count)) }
        #expect(Set(wanted) == Set(ours.keys))
        for (name, tensor) in ours {
            let expected = try #require(loaded.expected[prefix + name])
            #expect(try largestDifference(tensor, expected) < allowedDifference(from: expected), "\(name)")
        }
    }

    @Test("writes what it has read, number for number, and reads that to the same outputs", arguments: names)
    func roundTrip(name: String) throws {
        let loaded = try AdapterFixture(name)
        let original = try Reference.tensors(loaded.folder + "/adapter_model.safetensors")
        let ours = try loaded.written(loaded.parameters)
        #expect(Set(ours.keys) == Set(original.keys))
        for (name, tensor) in ours {
            #expect(try tensor.elements(Float.self) == #require(original[name]).elements(Float.self), "\(name)")
        }
        try withTemporaryFolder { folder in
            try loaded.write(loaded.parameters, to: folder)
            let again = try Adapter.readMethod(AdapterFolderReader(path: folder), for: loaded.reference.model)
            let transformer = try loaded.base.attaching(
                again.method.attachments(again.parameters, model: loaded.base, dropout: nil, rows: rows(loaded)))
            #expect(
                try largestDifference(output(loaded, transformer), output(loaded, adapted(loaded, loaded.parameters)))
                    == 0)
        }
    }

    private func refusal(
        _ name: String, on base: String? = nil,
        change: (inout [(name: String, tensor: Tensor)]) throws -> Void = { _ in }
    ) throws -> HoneError {
        let loaded = try AdapterFixture(name)
        let model = try base.map { try BaseModel(folder: Reference.fixtures + "/" + $0) } ?? loaded.reference.model
        return try withTemporaryFolder { folder in
            try FileManager.default.copyItem(
                atPath: loaded.folder + "/adapter_config.json", toPath: folder + "/adapter_config.json")
            var tensors = try TensorFiles.read(loaded.folder + "/adapter_model.safetensors")
            try change(&tensors)
            try TensorFiles.write(tensors, to: folder + "/adapter_model.safetensors")
            return try #require(throws: HoneError.self) {
                try Adapter.readMethod(AdapterFolderReader(path: folder), for: model)
            }
        }
    }

    @Test func `refuses what is missing, misshapen, too much, or of another base, by name`() throws {
        let module = "base_model.model.model.layers.1.mlp.up_proj"
        for part in [".poly_lora_A", ".poly_lora_B", ".poly_router.module_logits"] {
            let missing = try refusal("llama-mhr") { $0.removeAll { $0.name == module + part } }
            #expect(missing.code == .mismatch && missing.description.contains("layers.1.mlp.up"))
            let misshapen = try refusal("llama-mhr") { tensors in
                let place = try #require(tensors.firstIndex { $0.name == module + part })
                tensors[place].tensor = try tensors[place].tensor.narrowed(0, from: 1, length: 1).contiguous()
            }
            #expect(misshapen.code == .mismatch && misshapen.item == module + part)
        }
        let whole = try refusal("llama-mhr") { $0.removeAll { $0.name.hasPrefix(module + ".") } }
        #expect(whole.code == .mismatch && whole.description.contains("layers.1.mlp.up"))
        let extra = "base_model.model.model.layers.7.mlp.up_proj.poly_lora_A"
        #expect(try refusal("llama-mhr") { try $0.append((extra, Tensor.zeros([4, 2, 6, 3]))) }.item == extra)
        #expect(try refusal("llama-mhr", on: "bert-tiny").code == .mismatch)
        #expect(try refusal("llama-mhr", on: "llama-untied").code == .mismatch)
    }

    @Test func `a row of a task that is not there, or of none, is refused`() throws {
        let loaded = try AdapterFixture("llama-poly")
        for task in [nil, 4, -1] {
            var rows = try rows(loaded)
            rows[1].task = task
            let error = #expect(throws: HoneError.self) {
                try loaded.method.attachments(loaded.parameters, model: loaded.base, dropout: nil, rows: rows)
            }
            #expect(error?.code == .mismatch && error?.message.contains("task") == true)
        }
        #expect(throws: HoneError.self) {
            try loaded.method.attachments(loaded.parameters, model: loaded.base, dropout: nil)
        }
    }

    private static let python = ProcessInfo.processInfo.environment["HONE_PEFT_PYTHON"]

    /// Runs `Scripts/parity/peft_reads.py` where `HONE_PEFT_PYTHON` names a Python with peft.
    @Test("writes folders that PEFT reads", .enabled(if: python != nil), arguments: names)
    func readByPEFT(name: String) throws {
        let loaded = try AdapterFixture(name)
        try withTemporaryFolder { folder in
            try loaded.write(loaded.parameters, to: folder)
            var outputs = ["input_ids", "attention_mask", "token_type_ids", "task_ids"].compactMap { name in
                loaded.expected[name].map { (name: name, tensor: $0) }
            }
            outputs.append((kind(loaded), try output(loaded, adapted(loaded, loaded.parameters))))
            try TensorFiles.write(outputs, to: folder + "/outputs.safetensors")
            try loaded.expectReadByPEFT(folder, python: #require(SkillRoutingAdapterTests.python))
        }
    }
}
