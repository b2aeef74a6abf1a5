import HoneFormats
import HoneMethods
import HoneTorch
import Testing

@testable import HoneModels

/// The decoder against the general forward pass, which is its oracle.
struct DecoderTests {
    /// All decoders of the fixtures but the one that has norms behind its sublayers.
    static let causal = ParityTests.causal.filter { $0 != "opt-after" }
    private let prompts = [[5, 9], [7, 8, 9, 1, 2, 3], [4], [20, 3, 11, 6]]

    private func scores(_ transformer: Transformer, _ ids: [Int]) throws -> [Double] {
        try withoutGradients {
            try transformer.logits(transformer.states(TokenBatch([ids])).at(-1, dimension: 1)).elements(Double.self)
        }
    }

    /// The largest difference from what the general pass gives, as a share of the largest score.
    private func difference(_ made: Tensor, _ transformer: Transformer, _ rows: [[Int]]) throws -> Double {
        let flat = try made.elements(Double.self)
        let count = made.size(1)
        var most = 0.0
        for (row, ids) in rows.enumerated() {
            let expected = try scores(transformer, ids)
            let largest = expected.reduce(1e-9) { max($0, abs($1)) }
            for (place, score) in expected.enumerated() {
                most = max(most, abs(flat[row * count + place] - score) / largest)
            }
        }
        return most
    }

    @Test("gives the scores of the general pass, prompts and single tokens alike", arguments: causal)
    func scores(name: String) throws {
        let transformer = try Reference(name).model.transformer
        let decoder = try #require(try transformer.decoder(), "every family of decoders has the fast form")
        let decoding = try Decoding(decoder, rows: prompts.count)
        var rows = prompts
        #expect(try difference(decoding.scores(after: rows), transformer, rows) < 2e-5)
        for token in [3, 8, 1] {
            for row in rows.indices { rows[row].append(token + row) }
            let made = try decoding.scores(after: rows.map { [$0[$0.count - 1]] })
            #expect(try difference(made, transformer, rows) < 2e-5)
        }
        try decoding.select(rows: [2, 0, 2])
        rows = [rows[2] + [5], rows[0] + [6], rows[2] + [7]]
        #expect(try difference(decoding.scores(after: [[5], [6], [7]]), transformer, rows) < 2e-5)
    }

    @Test("reads half-width and int8 weights within their rounding", arguments: ["llama-untied", "gpt2-tiny", "qwen3"])
    func precision(name: String) throws {
        let exact = try Reference(name).model.transformer
        for (dtype, quantises, bound) in [
            (DType.bfloat16, false, 0.03), (.float32, true, 0.05), (.bfloat16, true, 0.05),
        ] {
            let transformer = try exact.converted(to: dtype)
            let decoder = try #require(try transformer.decoder(quantises: quantises))
            let decoding = try Decoding(decoder, rows: prompts.count)
            let error = try difference(decoding.scores(after: prompts), exact, prompts)
            #expect(error < bound, "\(dtype) \(quantises): \(error)")
        }
    }

    @Test("gives the same bits in any company, pieces and number of threads", arguments: ["llama-tiny", "neox", "opt"])
    func company(name: String) throws {
        let transformer = try Reference(name).model.transformer
        for quantises in [false, true] {
            let decoder = try #require(try transformer.decoder(quantises: quantises))
            let before = Engine.threads
            defer { try? Engine.setThreads(before) }
            try Engine.setThreads(1)
            let alone = try prompts.map {
                try Decoding(decoder, rows: 1).scores(after: [$0]).elements(Float.self)
            }
            try Engine.setThreads(3)
            for _ in 0..<9 {
                let together = try Decoding(decoder, rows: prompts.count).scores(after: prompts)
                #expect(try together.elements(Float.self) == alone.flatMap { $0 })
            }
            let decoding = try Decoding(decoder, rows: 1)
            for token in prompts[1].dropLast() { _ = try decoding.likeliest(after: [[token]]) }
            #expect(try decoding.scores(after: [[3]]).elements(Float.self) == alone[1])
            // Taken back and read again, together with others.
            try decoding.shorten(row: 0, to: 2)
            let each = try decoding.likeliestAfterEach(of: [Array(prompts[1][2...])])
            let best = alone[1].firstIndex(of: alone[1].max() ?? 0)
            #expect(each.count == 4 && each.last == best)
        }
    }

    @Test func `long texts, several pages and pieces are as the general pass has them`() throws {
        for name in ["llama-tiny", "mistral", "smollm2"] {
            let transformer = try Reference(name).model.transformer
            let length = min(300, transformer.configuration.maximumLength)
            let vocabulary = transformer.configuration.vocabularySize
            let ids = (0..<length).map { ($0 * 7 + $0 / 5) % vocabulary }
            let decoder = try #require(try transformer.decoder())
            let decoding = try Decoding(decoder, rows: 2)
            let made = try decoding.scores(after: [ids, Array(ids.prefix(length - 9))])
            #expect(try difference(made, transformer, [ids, Array(ids.prefix(length - 9))]) < 5e-5, "\(name)")
        }
    }

    @Test(
        "low-rank updates, changed weights and soft prompts act in it", arguments: ["llama-tiny", "gpt2-tiny", "neox"])
    func attachments(name: String) throws {
        let base = try Reference(name).model
        var random = RandomStream(seed: 9, name: "attached")
        let lora = try Methods.make("lora", typed: ["rank": "3"])
        var parameters = try lora.initialParameters(for: base, random: &random)
        for parameter in parameters.all where parameter.name.hasSuffix("lora_B") {
            parameters.set(parameter.name, try random.normal(parameter.tensor.shape, standardDeviation: 0.3))
        }
        var all = try lora.attachments(parameters, model: base.transformer, dropout: nil)
        let plain = try base.transformer.attaching(all)
        for name in base.transformer.weights.keys where name.hasSuffix(".bias") || name.hasSuffix("norm.weight") {
            if let tensor = base.transformer.weights[name] { all.weights[name] = try tensor * 1.5 }
        }
        all.prompts = [try random.normal([3, base.configuration.width])]
        for (place, transformer) in [plain, try base.transformer.attaching(all)].enumerated() {
            let decoder = try #require(try transformer.decoder())
            #expect(decoder.prefixCount == 3 * place)
            let decoding = try Decoding(decoder, rows: 2)
            let prefix = place == 0 ? [] : [-1, -2, -3]
            let rows = [[5, 9, 2], [7, 8]]
            let made = try decoding.scores(after: rows.map { prefix + $0 })
            #expect(try difference(made, transformer, rows) < 2e-5)
        }
    }

    @Test("what observes states is given to the general pass") func observers() throws {
        let transformer = try Reference("llama-tiny").model.transformer
        var attachments = Attachments()
        attachments.states["layers.0"] = [StateRecorder()]
        #expect(try transformer.attaching(attachments).decoder() == nil)
        #expect(try Reference("t5-tiny").model.transformer.decoder() == nil)
        #expect(try Reference("opt-after").model.transformer.decoder() == nil)
        #expect(throws: HoneError.self) { try Generator(Reference("t5-tiny").model).quantised() }
        let exact = try BaseModel(folder: Reference.fixtures + "/llama-tiny", exact: true)
        #expect(try exact.transformer.decoder() == nil)
    }

    @Test("guesses change nothing but the number of steps", arguments: causal)
    func guesses(name: String) throws {
        let model = try Reference(name).model
        for quantises in [false, true] {
            var generator = Generator(model.transformer, tokenizer: nil)
            if quantises { generator = try generator.quantised() }
            var options = GenerationOptions()
            options.maximumNewTokens = 24
            for prompt in [[5, 9, 5, 9, 5], [7, 8, 9, 1, 2, 3], [4]] {
                options.guesses = 0
                let plain = try generator.generate([GenerationRequest(prompt: prompt)], options: options)
                for guesses in [1, 3, 10] {
                    options.guesses = guesses
                    var steps = 0
                    let made = try generator.generate(
                        [GenerationRequest(prompt: prompt)], options: options,
                        shouldStop: {
                            steps += 1
                            return false
                        })
                    #expect(made == plain)
                    #expect(steps <= plain[0][0].tokens.count)
                    // A text that repeats one token is guessed in few steps.
                    if Set(plain[0][0].tokens.suffix(20)).count == 1, guesses == 10 { #expect(steps < 16) }
                }
            }
        }
    }

    @Test func `refuses tokens outside the vocabulary and texts beyond the positions`() throws {
        let transformer = try Reference("gpt2-tiny").model.transformer
        let decoder = try #require(try transformer.decoder())
        let decoding = try Decoding(decoder, rows: 1)
        #expect(throws: HoneError.self) { try decoding.likeliest(after: [[1_000_000]]) }
        #expect(throws: HoneError.self) { try decoding.likeliest(after: [[-1]]) }
        let long = Array(repeating: 3, count: transformer.configuration.maximumLength + 1)
        #expect(throws: HoneError.self) { try decoding.likeliest(after: [long]) }
        #expect(throws: HoneError.self) { try decoding.select(rows: [1]) }
        #expect(try decoding.likeliest(after: [[3]]).count == 1)
    }
}
