import HoneFormats
import HoneModels
import HoneTorch
import Testing

@testable import HoneMethods

/// How many numbers methods train on models of known sizes, against what PEFT prints and papers state.
@Suite struct BaselineCountTests {
    private func configuration(_ family: any ModelFamily.Type, _ json: JSON) throws -> TransformerConfiguration {
        try family.configuration(ConfigReader(json, file: "config.json"))
    }

    private func gpt2(width: Int, layers: Int, heads: Int) throws -> TransformerConfiguration {
        try configuration(
            GPT2.self,
            [
                "model_type": "gpt2", "vocab_size": 50257, "n_embd": .integer(width), "n_layer": .integer(layers),
                "n_head": .integer(heads), "n_positions": 1024, "activation_function": "gelu_new",
                "layer_norm_epsilon": 1e-5,
            ])
    }

    private func bert() throws -> TransformerConfiguration {
        try configuration(
            BERT.self,
            [
                "model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
                "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 512,
                "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
            ])
    }

    /// T5-base, or a larger one of the later kind, whose feed-forward blocks have a gate.
    private func t5(
        width: Int = 768, inner: Int = 3072, layers: Int = 12, heads: Int = 12, isGated: Bool = false
    ) throws -> TransformerConfiguration {
        try configuration(
            T5.self,
            [
                "model_type": "t5", "vocab_size": 32128, "d_model": .integer(width), "d_kv": 64,
                "d_ff": .integer(inner), "num_layers": .integer(layers), "num_decoder_layers": .integer(layers),
                "num_heads": .integer(heads), "relative_attention_num_buckets": 32,
                "relative_attention_max_distance": 128, "feed_forward_proj": isGated ? "gated-gelu" : "relu",
                "layer_norm_epsilon": 1e-6, "decoder_start_token_id": 0, "tie_word_embeddings": .bool(!isGated),
            ])
    }

    private func total(_ shapes: [(name: String, shape: [Int])]) -> Int {
        shapes.reduce(0) { $0 + $1.shape.reduce(1, *) }
    }

    private func lora(_ targets: String, _ model: TransformerConfiguration) throws -> Int {
        let settings = try MethodSettings(LoRA.card, typed: ["rank": "8", "targets": targets])
        return try LinearTargets.resolve(settings, in: model, for: "lora").reduce(0) {
            $0 + 8 * ($1.outputs + $1.inputs)
        }
    }

    @Test func `LoRA of rank 8 on T5-base's queries and values, and on GPT-2's joined map`() throws {
        #expect(try lora("query,value", t5()) == 884_736)
        #expect(try lora("attention.input", gpt2(width: 768, layers: 12, heads: 12)) == 294_912)
    }

    /// The routing of one task, without a model of that size.
    private func routing(_ method: some SkillRouting, on model: TransformerConfiguration) throws -> Int {
        try method.checkFit(model, .generation)
        var random = RandomStream(seed: 0, name: "routing")
        let logits = try method.router(tasks: 1, &random).count
        return try LinearTargets.resolve(method.settings, in: model, for: method.name).count * logits
    }

    @Test func `a task's routing of eight skills on every map of T5-XL, in 64 blocks and whole`() throws {
        let model = try t5(width: 2048, inner: 5120, layers: 24, heads: 32, isGated: true)
        #expect(LinearTargets.all(model).count == 24 * 7 + 24 * 11)
        let cut = MultiHeadRouting(
            try MethodSettings(MultiHeadRouting.card, typed: ["skills": "8", "splits": "64"]))
        #expect(try routing(cut, on: model) == 221_184)
        let whole = Poly(try MethodSettings(Poly.card, typed: ["skills": "8"]))
        #expect(try routing(whole, on: model) == 3_456)
        // The widths that a skill is cut along, of which 64 is a divisor.
        let widths = Set(LinearTargets.all(model).flatMap { [$0.inputs, $0.outputs] })
        #expect(widths == [2048, 5120])
    }

    @Test func `(IA)³ on GPT-2`() throws {
        let method = IA3(try MethodSettings(IA3.card))
        #expect(try total(method.shapes(gpt2(width: 768, layers: 12, heads: 12))) == 64_512)
    }

    @Test func `prefixes of 20 positions on BERT-base and GPT-2 large`() throws {
        let method = PrefixTuning(try MethodSettings(PrefixTuning.card, typed: ["length": "20"]))
        // With PEFT's head of two classes, 370,178.
        #expect(try total(method.shapes(bert(), projects: false)) + 2 * 768 + 2 == 370_178)
        #expect(try total(method.shapes(gpt2(width: 1280, layers: 36, heads: 20), projects: false)) == 1_843_200)
    }

    @Test func `the biases of BERT-base, but for the pooler that Hone's models do not have`() throws {
        let method = BitFit(try MethodSettings(BitFit.card))
        let model = try bert()
        let own = model.weightShapes.filter { method.trains($0.name, of: model) }
        #expect(total(own) == 102_912 - 768)
        #expect(own.allSatisfy { $0.name.hasSuffix(".bias") })
    }

    @Test func `adapters are a matrix down, a matrix up and two biases a place`() throws {
        let model = try bert()
        for (placement, places) in [("houlsby", 24), ("pfeiffer", 12)] {
            let method = BottleneckAdapters(
                try MethodSettings(BottleneckAdapters.card, typed: ["placement": placement, "width": "64"]))
            #expect(try total(method.shapes(model)) == places * (2 * 768 * 64 + 768 + 64))
            #expect(try method.sites(model).allSatisfy { placement == "houlsby" || $0.path.hasSuffix(".mlp") })
        }
    }

    @Test(arguments: [(40, 45), (60, 30), (80, 15)])
    func `DePT on T5-base has the numbers of a prompt of 100 vectors, and a budget of 100 finds the rank`(
        length: Int, rank: Int
    ) throws {
        let model = try t5()
        func sizes(_ more: [String: String]) throws -> DecomposedPrompt {
            let settings = try MethodSettings(
                DePT.card, typed: ["length": "\(length)", "places": "256"].merging(more) { $1 })
            return try DecomposedPrompt(settings, model, for: "dept")
        }
        #expect(try total(sizes(["rank": "\(rank)"]).shapes) == 76_800)
        #expect(try sizes(["budget": "100"]).rank == rank)
        #expect(try sizes(["budget": "100"]).equivalent(76_800).contains("100.00 vectors"))
    }

    @Test func `EPT's modules are counted to the last number, and a budget pays for them too`() throws {
        let model = try t5()
        let (m, r, s, d, b, k) = (60, 30, 256, 768, 16, 4)
        let method = EPT(
            try MethodSettings(
                EPT.card, typed: ["length": "\(m)", "rank": "\(r)", "bottleneck": "\(b)", "spaces": "\(k)"]))
        #expect(try total(method.shapes(model)) == m * d + r * (s + d) + 4 * d * b + k * 2 * d * b + d * k + k)
        let budgeted = EPT(try MethodSettings(EPT.card, typed: ["length": "10", "budget": "300"]))
        let count = try total(budgeted.shapes(model))
        #expect(count <= 300 * d && count > 300 * d - (s + d))
        let poor = EPT(try MethodSettings(EPT.card, typed: ["length": "60", "budget": "100"]))
        let error = #expect(throws: HoneError.self) { try poor.checkFit(model, .generation) }
        #expect(error?.item == "ept budget" && error?.code == .mismatch)
    }
}
