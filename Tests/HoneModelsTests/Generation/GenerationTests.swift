import HoneFormats
import HoneModels
import HoneTorch
import Testing

struct GenerationTests {
    private func greedy(_ count: Int = 20) -> GenerationOptions {
        var options = GenerationOptions()
        options.maximumNewTokens = count
        return options
    }

    @Test("chooses the tokens of the reference from prompts of different length", arguments: ParityTests.causal)
    func greedyTokens(name: String) throws {
        let reference = try Reference(name)
        let prompts = try reference.rows("prompt_ids", mask: "prompt_mask")
        let expected = try reference.tensor("generated_ids")
        let made = try reference.model.transformer.generate(
            from: prompts, padId: 0, options: greedy(expected.size(1)))
        ParityRecord.add(name, "tokens", Double(expected.size(1)))
        #expect(try made == (0..<expected.size(0)).map { try expected.at($0).elements(Int.self) })
    }

    @Test("gives a row the same tokens alone, in a batch and whatever pads it", arguments: ParityTests.causal)
    func batchIndependence(name: String) throws {
        let reference = try Reference(name)
        let prompts = [[5], [7, 8, 9, 1, 2, 3], [4, 4, 11], [20, 3]]
        let together = try reference.model.transformer.generate(from: prompts, padId: 0, options: greedy(12))
        let padded = try reference.model.transformer.generate(from: prompts, padId: 9, options: greedy(12))
        let alone = try prompts.map {
            try reference.model.transformer.generate(from: [$0], padId: 0, options: greedy(12))[0]
        }
        #expect(together == alone)
        #expect(padded == alone)
    }

    @Test("gives with a cache what computing everything again gives, with a soft prompt", arguments: ParityTests.causal)
    func cacheWithPrompt(name: String) throws {
        let reference = try Reference(name)
        let width = reference.model.configuration.tokenWidth
        var random = RandomStream(seed: 3, name: "prompt")
        var attachments = Attachments()
        attachments.prompts = [try random.normal([4, width], mean: 0, standardDeviation: 1)]
        let transformer = try reference.model.transformer.attaching(attachments)
        let prompts = [[5, 6, 7, 8], [9, 2]]
        let made = try transformer.generate(from: prompts, padId: 0, options: greedy(8))
        for (prompt, tokens) in zip(prompts, made) {
            var ids = prompt
            for token in tokens {
                let states = try withoutGradients { try transformer.states(TokenBatch([ids])) }
                let scores = try withoutGradients { try transformer.logits(states.at(-1, dimension: 1)) }
                #expect(try scores.argumentOfMax(-1).elements(Int.self) == [token])
                ids.append(token)
            }
        }
    }

    @Test func `stops a row at a stop token and leaves it out while others go on`() throws {
        let reference = try Reference("llama-untied")
        let prompts = try reference.rows("prompt_ids", mask: "prompt_mask")
        let whole = try reference.model.transformer.generate(from: prompts, padId: 0, options: greedy())
        let stop = try #require(whole[0].first { !whole[1].contains($0) })
        var options = greedy()
        options.stopIds = [stop]
        let made = try reference.model.transformer.generate(from: prompts, padId: 0, options: options)
        #expect(made == [Array(whole[0].prefix { $0 != stop }), whole[1]])
    }

    @Test func `draws the same tokens from the same seed, and others from another`() throws {
        let transformer = try Reference("llama-tiny").model.transformer
        var options = greedy()
        options.temperature = 5
        options.seed = 7
        let first = try transformer.generate(from: [[3, 4, 5]], padId: 0, options: options)
        #expect(try transformer.generate(from: [[3, 4, 5]], padId: 0, options: options) == first)
        options.seed = 8
        #expect(try transformer.generate(from: [[3, 4, 5]], padId: 0, options: options) != first)
    }

    @Test func `is greedy when only one token may be drawn`() throws {
        let transformer = try Reference("gpt2-tiny").model.transformer
        let expected = try transformer.generate(from: [[3, 4, 5], [8]], padId: 0, options: greedy())
        var options = greedy()
        options.temperature = 1
        options.topK = 1
        #expect(try transformer.generate(from: [[3, 4, 5], [8]], padId: 0, options: options) == expected)
        options.topK = 0
        options.topP = 1e-9
        #expect(try transformer.generate(from: [[3, 4, 5], [8]], padId: 0, options: options) == expected)
    }

    @Test func `refuses a prompt that is longer than the positions, and stops where they end`() throws {
        let transformer = try Reference("gpt2-tiny").model.transformer
        let limit = transformer.configuration.maximumLength
        #expect(throws: HoneError.self) {
            try transformer.generate(from: [Array(repeating: 3, count: limit + 1)], padId: 0, options: greedy())
        }
        let made = try transformer.generate(from: [Array(repeating: 3, count: limit - 5)], padId: 0, options: greedy())
        #expect((5...6).contains(made[0].count))
    }

    @Test func `has no logits without a language-model head`() throws {
        let transformer = try Reference("bert-tiny").model.transformer
        let states = try transformer.states(TokenBatch([[2, 5, 3]]))
        #expect { try transformer.logits(states) } throws: { ($0 as? HoneError)?.code == .mismatch }
    }
}
