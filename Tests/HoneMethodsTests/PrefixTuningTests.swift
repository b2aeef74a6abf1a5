import HoneFormats
import HoneModels
import HoneTesting
import HoneTorch
import Testing

@testable import HoneMethods

/// What prefixes must hold beyond the conformance matrix.
@Suite struct PrefixTuningTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func rows(_ model: BaseModel) throws -> [[Int]] {
        try ["we see the old plum and one big", "red file", "the drill"].map {
            try model.tokenizer.encode($0, addSpecialTokens: false)
        }
    }

    @Test(arguments: [TinyModel.llama, .gpt2, .neox, .qwen3])
    func `a prefix of what the model makes of tokens is those tokens`(kind: TinyModel) throws {
        // The keys and values of a row's beginning, as a prefix, give the rest of the row the states that it has in the row.
        let model = try kind.load(in: scratch)
        let rows = try rows(model)
        let beginning = Array(rows[0].prefix(3))
        let table = try captured(model, beginning)
        var parameters = ParameterSet()
        parameters.set("prompt_embeddings", table)
        let method = PrefixTuning(try MethodSettings(PrefixTuning.card, typed: ["length": "3"]))
        let transformer = try model.transformer.attaching(
            method.attachments(parameters, model: model.transformer, dropout: nil))
        try withoutGradients {
            let whole = try model.transformer.states(TokenBatch(rows.map { beginning + $0 }, padId: model.padId))
            let rest = try transformer.states(TokenBatch(rows, padId: model.padId))
            for (row, ids) in rows.enumerated() {
                let one = try whole.narrowed(0, from: row, length: 1).narrowed(1, from: 3, length: ids.count)
                let other = try rest.narrowed(0, from: row, length: 1).narrowed(1, from: 0, length: ids.count)
                #expect(try (one - other).abs().max().item() < 1e-5, "row \(row)")
            }
        }
    }

    /// Keys and values of tokens, as a table.
    private func captured(_ model: BaseModel, _ ids: [Int]) throws -> Tensor {
        try withoutGradients {
            var layers: [Capture] = []
            let cache = KeyValueCache(for: model.configuration) { _ in
                layers.append(Capture())
                return layers[layers.count - 1]
            }
            _ = try model.transformer.states(TokenBatch([ids]), cache: cache)
            let parts = layers.flatMap { [$0.keys, $0.values] }.compactMap { $0 }
            return try Tensor.stacked(parts.map { try $0.at(0).transpose(0, 1) }, dimension: 1).reshaped([
                ids.count, -1,
            ])
            .contiguous()
        }
    }

    private final class Capture: KeyValueStorage {
        var keys: Tensor?
        var values: Tensor?
        func append(keys: Tensor, values: Tensor) -> (keys: Tensor, values: Tensor) {
            (self.keys, self.values) = (keys, values)
            return (keys, values)
        }
        func select(_ rows: RowSelection) throws {}
    }

    @Test(arguments: [TinyModel.bert, .roberta, .llama, .opt])
    func `starting from tokens gives what the model makes of some`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let method = PrefixTuning(
            try MethodSettings(PrefixTuning.card, typed: ["length": "4", "initialisation": "tokens"]))
        var random = RandomStream(seed: 5, name: "start")
        let table = try method.initialParameters(for: model, random: &random).tensor("prompt_embeddings")
        #expect(try table.shape == method.shapes(model.configuration, projects: false)[0].shape)
        #expect(try table.abs().max().item() > 0)
        let again = try method.initialParameters(for: model, random: &random).tensor("prompt_embeddings")
        #expect(try table.elements(Float.self) != again.elements(Float.self))
    }

    @Test func `an encoder-decoder's three prefixes all act, and writing goes on from the cache as without one`() throws
    {
        let model = try TinyModel.bart.load(in: scratch)
        let method = PrefixTuning(try MethodSettings(PrefixTuning.card, typed: ["length": "3"]))
        var random = RandomStream(seed: 5, name: "start")
        let parameters = try method.initialParameters(for: model, random: &random)
        #expect(
            parameters.all.map(\.name) == [
                "encoder.prompt_embeddings", "decoder.prompt_embeddings", "decoder.cross.prompt_embeddings",
            ])
        let inputs = try rows(model)
        let start = try #require(model.configuration.decoder).startId
        func transformer(_ parameters: ParameterSet) throws -> Transformer {
            try model.transformer.attaching(method.attachments(parameters, model: model.transformer, dropout: nil))
        }
        func logits(_ transformer: Transformer, _ written: [[Int]]) throws -> Tensor {
            let memory = try transformer.memory(of: TokenBatch(inputs, padId: model.padId))
            return try transformer.logits(
                transformer.states(TokenBatch(written, padId: model.padId), memory: memory).at(-1, dimension: 1))
        }
        try withoutGradients {
            let all = try transformer(parameters)
            let before = try logits(all, [[start, 9], [start, 20], [start, 30]])
            for parameter in parameters.all {
                var changed = try parameters.copied()
                changed.set(parameter.name, try parameter.tensor * 0.5)
                let after = try logits(transformer(changed), [[start, 9], [start, 20], [start, 30]])
                #expect(try (after - before).abs().max().item() > 1e-3, "\(parameter.name)")
            }
            var options = GenerationOptions()
            options.maximumNewTokens = 8
            let made = try all.generate(from: inputs, padId: model.padId, options: options)
            var written = inputs.map { _ in [start] }
            for _ in 0..<8 {
                let next = try logits(all, written).argumentOfMax(-1).elements(Int.self)
                written = zip(written, next).map { $0 + [$1] }
            }
            #expect(made == written.map { Array($0.dropFirst()) })
        }
    }

    @Test func `a projection trains through, and what it makes is written alone`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let method = PrefixTuning(
            try MethodSettings(
                PrefixTuning.card, typed: ["length": "3", "projection": "true", "projection-width": "5"]))
        let adapter = try Adapter.initial(
            method, for: model, task: .generation, labels: [], encoding: .init(maximumLength: 40), seed: 1)
        #expect(
            adapter.parameters.all.map(\.name) == [
                "embedding.weight", "transform.0.weight", "transform.0.bias", "transform.2.weight", "transform.2.bias",
            ])
        let (layers, width) = (2, 8)
        #expect(
            adapter.parameters.count
                == 3 * width + 5 * width + 5 + 2 * layers * width * 5 + 2 * layers * width)
        let folder = try scratch.folder("projected")
        try adapter.write(to: folder, for: model)
        let read = try Adapter.read(folder, for: model)
        #expect(read.parameters.all.map(\.name) == ["prompt_embeddings"])
        #expect(read.method.settings == method.settings)
        try withoutGradients {
            let batch = try TokenBatch(rows(model), padId: model.padId)
            func states(_ adapter: Adapter) throws -> Tensor {
                try Specialist(base: model, adapter: adapter).transformer.states(batch)
            }
            #expect(try (states(adapter) - states(read)).abs().max().item() < 1e-6)
        }
    }

    @Test func `what does not fit is refused in a sentence`() throws {
        func refusal(_ kind: TinyModel, _ typed: [String: String], _ task: TaskShape = .generation) throws -> String? {
            let model = try kind.load(in: TemporaryFolder())
            do {
                _ = try Adapter.initial(
                    Methods.make("prefix", typed: typed), for: model, task: task, labels: ["a", "b"], encoding: .init(),
                    seed: 0)
                return nil
            } catch let error as HoneError where error.code == .mismatch {
                return error.description
            }
        }
        #expect(try refusal(.llama, ["length": "96"])?.contains("leaves no room") == true)
        #expect(try refusal(.bart, ["initialisation": "tokens"])?.contains("one stack") == true)
        #expect(try refusal(.bart, ["layout": "peft"])?.contains("PEFT has no prefixes for this model") == true)
        #expect(try refusal(.bart, ["layout": "peft"], .classification(classes: 2))?.contains("native") == true)
        let model = try TinyModel.llama.load(in: scratch)
        var attachments = Attachments()
        let part = try Tensor.zeros([3, 2, 4])
        attachments.prefixes["layers.0.attention"] = [KeyValuePrefix(keys: part, values: part)]
        // A prefix in one layer only.
        var error = #expect(throws: HoneError.self) { try model.transformer.attaching(attachments) }
        #expect(error?.item == "layers.1.attention")
        attachments.prefixes["layers.1.attention"] = [KeyValuePrefix(keys: try .zeros([3, 4, 4]), values: part)]
        error = #expect(throws: HoneError.self) { try model.transformer.attaching(attachments) }
        #expect(error?.item == "layers.1.attention" && error?.code == .mismatch)
        attachments.prefixes = ["layers.7.attention": [KeyValuePrefix(keys: part, values: part)]]
        error = #expect(throws: HoneError.self) { try model.transformer.attaching(attachments) }
        #expect(error?.item == "layers.7.attention")
    }
}

/// What (IA)³ and bottleneck adapters must hold beyond the conformance matrix.
@Suite struct ScaledActivationTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func moved(_ method: any Method, _ model: BaseModel, seed: UInt64 = 4) throws -> ParameterSet {
        var random = RandomStream(seed: seed, name: "moved")
        let parameters = try method.initialParameters(for: model, random: &random)
        for parameter in parameters.all {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.3))
        }
        return parameters
    }

    @Test(arguments: ["ia3", "adapters"], [TinyModel.bert, .llama, .gpt2, .neox])
    func `packed rows and shared beginnings give what plain rows give`(name: String, kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let exact = try BaseModel(folder: model.folder, exact: true)
        let method = try Methods.make(name, typed: name == "adapters" ? ["width": "4"] : [:])
        let parameters = try moved(method, model)
        let instruction = Array(3...22)
        let rows = [[30, 31, 32], [33], [34, 35, 36, 37]].map { instruction + $0 }
        try withoutGradients {
            func states(_ model: BaseModel) throws -> (Transformer, Tensor) {
                let transformer = try model.transformer.attaching(
                    method.attachments(parameters, model: model.transformer, dropout: nil))
                return (transformer, try transformer.states(TokenBatch(rows)))
            }
            let (fast, one) = try states(model)
            let (_, other) = try states(exact)
            for (row, ids) in rows.enumerated() {
                let difference = try (one - other).at(row).narrowed(0, from: 0, length: ids.count).abs().max().item()
                #expect(difference < 1e-5)
            }
            #expect(fast.sharesPrefixes == (kind != .bert))
        }
    }

    @Test(arguments: [TinyModel.llama, .gpt2])
    func `several (IA)³ adapters in one batch give each row what it gives alone`(kind: TinyModel) throws {
        let model = try kind.load(in: scratch)
        let method = try Methods.make("ia3")
        let (first, second) = (try moved(method, model), try moved(method, model, seed: 9))
        func attached(_ parameters: ParameterSet) throws -> Attachments {
            try method.attachments(parameters, model: model.transformer, dropout: nil)
        }
        let rows = [[30, 31, 32], [33, 34], [34, 35, 36, 37]]
        try withoutGradients {
            let together = try model.transformer.attaching(
                .byRows([(1, attached(first)), (2, attached(second))])
            ).states(TokenBatch(rows))
            for (row, ids) in rows.enumerated() {
                let alone = try model.transformer.attaching(attached(row == 0 ? first : second)).states(
                    TokenBatch([ids]))
                let own = try together.narrowed(0, from: row, length: 1).narrowed(1, from: 0, length: ids.count)
                #expect(try (own - alone).abs().max().item() < 1e-5)
            }
        }
    }

    @Test func `settings name the maps and which side of them is scaled`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        func names(_ typed: [String: String]) throws -> [String: [Int]] {
            let method = IA3(try MethodSettings(IA3.card, typed: typed))
            return Dictionary(uniqueKeysWithValues: try method.shapes(model.configuration).map { ($0.name, $0.shape) })
        }
        let usual = try names([:])
        #expect(usual.count == 6 && usual["layers.1.mlp.down.ia3_l"] == [1, 32])
        #expect(usual["layers.0.attention.key.ia3_l"] == [8, 1])
        let some = try names(["targets": "query,up", "inputs": "up", "layers": "1"])
        #expect(some == ["layers.1.attention.query.ia3_l": [16, 1], "layers.1.mlp.up.ia3_l": [1, 16]])
        let error = #expect(throws: HoneError.self) { try names(["targets": "gates"]) }
        #expect(error?.code == .mismatch && error?.description.contains("mlp.gate") == true)
    }

    @Test func `an adapter that is no bottleneck is refused, and noise in its outer matrix moves the start`() throws {
        let model = try TinyModel.gpt2.load(in: scratch)
        let wide = try Methods.make("adapters", typed: ["width": "16"])
        let error = #expect(throws: HoneError.self) { try wide.checkFit(model.configuration, .generation) }
        #expect(error?.code == .mismatch && error?.item == "layers.0.attention")
        let noisy = try Methods.make("adapters", typed: ["width": "4", "spread": "0.01"])
        var random = RandomStream(seed: 1, name: "start")
        let parameters = try noisy.initialParameters(for: model, random: &random)
        let spread = try parameters.tensor("layers.0.mlp.adapter.up.weight").norm().item() / 8
        #expect(spread > 0.005 && spread < 0.02)
    }
}
