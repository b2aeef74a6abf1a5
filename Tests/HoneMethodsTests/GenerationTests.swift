import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

@Suite struct GenerationTests {
    static let decoders: [TinyModel] = [.llama, .untiedLlama, .gpt2]
    static let methods = [nil, "lora", "prompt", "prefix", "ia3", "adapters", "dept"] as [String?]
    private static let settings = [
        "lora": ["rank": "2"], "prompt": ["length": "3"], "prefix": ["length": "3"], "adapters": ["width": "4"],
        "dept": ["length": "3", "rank": "2", "places": "8"],
    ]

    /// A decoder with an adapter that is not at its start, so that it does something.
    private func transformer(_ model: BaseModel, with method: String?) throws -> Transformer {
        guard let method else { return model.transformer }
        var random = RandomStream(seed: 3, name: "parameters")
        let made = try Methods.make(method, typed: GenerationTests.settings[method] ?? [:])
        let parameters = try made.initialParameters(for: model, random: &random)
        for parameter in parameters.all {
            try parameter.tensor.addInPlace(random.normal(parameter.tensor.shape, standardDeviation: 0.3))
        }
        return try model.transformer.attaching(
            made.attachments(parameters, model: model.transformer, dropout: nil))
    }

    private func prompts(_ model: BaseModel) throws -> [[Int]] {
        try [" the plum:", " one old file and the red:", " big", " we see one big old apple and one saw:", " grey and"]
            .map { try model.tokenizer.encode($0, addSpecialTokens: false) }
    }

    /// Greedy generation that computes everything anew for every token.
    private func recomputed(_ transformer: Transformer, _ prompt: [Int], tokens: Int) throws -> [Int] {
        try withoutGradients {
            var ids = prompt
            for _ in 0..<tokens {
                let states = try transformer.states(TokenBatch([ids])).at(-1, dimension: 1)
                ids.append(try transformer.logits(states).argumentOfMax(-1).elements(Int.self)[0])
            }
            return Array(ids.dropFirst(prompt.count))
        }
    }

    @Test(arguments: decoders, methods)
    func `greedy generation with the cache is that without it, in a ragged batch and alone`(
        kind: TinyModel, method: String?
    ) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        let transformer = try transformer(model, with: method)
        var options = GenerationOptions()
        options.maximumNewTokens = 12
        let prompts = try prompts(model)
        let together = try transformer.generate(from: prompts, padId: model.padId, options: options)
        for (prompt, made) in zip(prompts, together) {
            #expect(made == (try recomputed(transformer, prompt, tokens: 12)))
            #expect(made == (try transformer.generate(from: [prompt], padId: model.padId, options: options)[0]))
        }
        #expect(Set(together).count > 1, "prompts that all go on alike would prove nothing")
    }

    @Test(arguments: decoders)
    func `a row that ends early leaves the others as they are`(kind: TinyModel) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        var options = GenerationOptions()
        options.maximumNewTokens = 10
        let prompts = try prompts(model)
        let free = try model.transformer.generate(from: prompts, padId: model.padId, options: options)
        // Stopping at a token that some rows make and others make later or never.
        options.stopIds = [free[0][2]]
        let stopped = try model.transformer.generate(from: prompts, padId: model.padId, options: options)
        for (long, short) in zip(free, stopped) {
            #expect(short == Array(long.prefix { !options.stopIds.contains($0) }))
        }
    }

    @Test(arguments: decoders)
    func `sampled generation repeats by seed, and a row's draws do not depend on the batch`(kind: TinyModel) throws {
        let scratch = try TemporaryFolder()
        let model = try kind.load(in: scratch)
        var options = GenerationOptions()
        options.maximumNewTokens = 8
        options.temperature = 1
        options.seed = 4
        for (topK, topP) in [(0, 1.0), (5, 1.0), (0, 0.8)] {
            options.topK = topK
            options.topP = topP
            let prompts = try prompts(model)
            func generate(_ rows: [Int]) throws -> [[Int]] {
                try model.transformer.generate(
                    from: rows.map { prompts[$0] }, padId: model.padId, options: options, rowIds: rows)
            }
            let together = try generate([0, 1, 2, 3, 4])
            #expect(together == (try generate([0, 1, 2, 3, 4])))
            #expect(together.reversed() == (try generate([4, 3, 2, 1, 0])))
            #expect(together[3] == (try generate([3])[0]))
            options.seed = 5
            #expect(together != (try generate([0, 1, 2, 3, 4])))
            options.seed = 4
        }
    }

    @Test func `draws follow the probabilities, and top-k and top-p leave out what they say`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.llama.load(in: scratch)
        let prompt = try prompts(model)[0]
        let (probabilities, order) = try withoutGradients {
            let states = try model.transformer.states(TokenBatch([prompt])).at(-1, dimension: 1)
            let values = try model.transformer.logits(states).softmax(-1).elements(Double.self)
            return (values, values.indices.sorted { values[$0] > values[$1] })
        }
        var options = GenerationOptions()
        options.maximumNewTokens = 1
        options.temperature = 1
        func counts() throws -> [Int: Int] {
            let made = try model.transformer.generate(
                from: Array(repeating: prompt, count: 2000), padId: model.padId, options: options)
            return made.reduce(into: [:]) { $0[$1[0], default: 0] += 1 }
        }
        let free = try counts()
        for token in order.prefix(5) {
            let expected = 2000 * probabilities[token]
            let spread = (expected * (1 - probabilities[token])).squareRoot()
            #expect(abs(Double(free[token, default: 0]) - expected) < 5 * spread, "token \(token)")
        }
        options.topK = 3
        #expect(try Set(counts().keys) == Set(order.prefix(3)))
        options.topK = 0
        // The mass of the first two, less a little: the second is still needed to reach it, the third is not.
        options.topP = probabilities[order[0]] + probabilities[order[1]] * 0.9
        #expect(try Set(counts().keys) == Set(order.prefix(2)))
        options.topP = 0
        #expect(try Set(counts().keys) == [order[0]])
    }

    @Test func `a prompt longer than the model is refused`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.gpt2.load(in: scratch)
        let error = #expect(throws: HoneError.self) {
            try model.transformer.generate(
                from: [Array(repeating: 9, count: 97)], padId: model.padId, options: GenerationOptions())
        }
        #expect(error?.code == .badData)
    }
}
