import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Several adapters over one base.
@Suite struct AdapterSetTests {
    private func adapter(_ name: String, _ model: BaseModel, _ task: TinyTask, seed: UInt64) throws -> Adapter {
        let adapter = try Adapter.initial(
            Methods.make(name), for: model, task: task.shape, labels: task.labels, encoding: .init(), seed: seed)
        var random = RandomStream(seed: seed, name: "noise")
        for parameter in adapter.parameters.trained {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.1))
        }
        return adapter
    }

    @Test
    func `rows of adapters, of methods that cannot share a batch and of the base alone each get their own answers`()
        throws
    {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.llama.load(in: scratch)
        let task = TinyTask.generation()
        var set = AdapterSet(base: model)
        let names = ["lora", "prompt", "full"]
        for (seed, name) in names.enumerated() {
            try set.add(adapter(name, model, task, seed: UInt64(seed)), named: name)
        }
        try set.add(adapter("lora", model, task, seed: 9), named: "other")
        #expect(set.names == ["full", "lora", "other", "prompt"])
        let owners: [String?] = ["lora", nil, "prompt", "other", "full", "lora", nil, "other"]
        let rows = task.examples.prefix(owners.count)
        let found = try set.targetLosses(zip(rows, owners).map { AdapterSet.Request($0, adapter: $1) })
        for ((row, owner), answer) in zip(zip(rows, owners), found) {
            let encoded = try ExampleEncoder(model, options: .init()).encode(row)
            let base = try model.transformer.targetScores([encoded], padId: model.padId)[0]
            let own = try owner.map { try set.specialist($0).targetLosses([encoded])[0] }
            let (loss, tokens) = own ?? (-base.logLikelihood, base.tokens)
            #expect(abs(answer.loss - loss) < 1e-5 && answer.tokens == tokens)
        }
        #expect(Set(found.map { ($0.loss * 1e4).rounded() }).count > 6)
    }

    @Test func `what is not there or cannot answer is said in a sentence`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.llama.load(in: scratch)
        var set = AdapterSet(base: model)
        try set.add(adapter("lora", model, TinyTask.generation(), seed: 1), named: "writer")
        let example = TinyTask.classification().examples[0]
        for (name, word) in [
            ("nobody", "there are writer"), ("writer", "generates text"), (nil, "base has no classes"),
        ] {
            let refusal = #expect(throws: HoneError.self) {
                try set.probabilities([AdapterSet.Request(example, adapter: name)])
            }
            #expect(refusal?.message.contains(word) == true && refusal?.code == .usage)
        }
    }
}
