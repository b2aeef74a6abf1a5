import HoneFormats
import HoneText
import HoneTorch
import Testing

@testable import HoneModels

/// What the generator promises of texts, samples, streams and batches.
struct GeneratorTests {
    static let causal = ParityTests.causal
    private let prompts = [[5, 9], [7, 8, 9, 1, 2, 3], [4], [20, 3, 30, 31]]

    private func drawing(_ change: (inout GenerationOptions) -> Void = { _ in }) -> GenerationOptions {
        var options = GenerationOptions()
        options.maximumNewTokens = 12
        options.temperature = 1
        options.seed = 11
        options.wantsLogProbabilities = true
        change(&options)
        return options
    }

    private func requests(_ places: [Int]) -> [GenerationRequest] {
        places.map { GenerationRequest(prompt: prompts[$0], stream: $0) }
    }

    @Test("a row's text and log-probabilities are the same in any batch", arguments: causal)
    func batches(name: String) throws {
        let generator = try Generator(Reference(name).model)
        let options = drawing { $0.topP = 0.95 }
        let all = try generator.generate(requests([0, 1, 2, 3]), options: options)
        for places in [[3, 2, 1, 0], [0], [1, 2], [3, 3, 3]] {
            let made = try generator.generate(requests(places), options: options)
            for (place, texts) in zip(places, made) {
                #expect(texts[0].tokens == all[place][0].tokens)
                let difference = zip(texts[0].logProbabilities, all[place][0].logProbabilities).map { abs($0 - $1) }
                #expect(difference.max() ?? 0 < 1e-4)
            }
        }
    }

    @Test("log-probabilities are those of the model read from the start", arguments: causal)
    func logProbabilities(name: String) throws {
        let model = try Reference(name).model
        let options = drawing {
            $0.temperature = 2
            $0.topK = 9
            $0.repetitionPenalty = 1.2
        }
        for (place, texts) in try Generator(model).generate(requests([0, 1, 2, 3]), options: options).enumerated() {
            let text = texts[0]
            let ids = prompts[place] + text.tokens
            let logs = try withoutGradients {
                try model.transformer.logits(model.transformer.states(TokenBatch([ids]))).logSoftmax(-1).at(0)
                    .elements(Double.self)
            }
            let vocabulary = model.configuration.vocabularySize
            #expect(text.logProbabilities.count == text.tokens.count)
            for (step, token) in text.tokens.enumerated() {
                let expected = logs[(prompts[place].count + step - 1) * vocabulary + token]
                #expect(abs(text.logProbabilities[step] - expected) < 1e-4)
            }
        }
    }

    @Test("what prompts begin with is read once, and each text is the one that it is alone", arguments: causal, [2, 1])
    func commonBeginning(name: String, samples: Int) throws {
        let model = try Reference(name).model
        let common = [5, 9, 7, 8, 3, 1, 2, 6, 4, 11]
        let prompts = [[20, 3], [21], [20, 3, 30, 31], []].map { common + $0 }
        let recorder = StateRecorder()
        var attachments = Attachments()
        attachments.states["embeddings"] = [recorder]
        let options = drawing { $0.samples = samples }
        // One that has a decoder where the family has one, and one that goes through the general forward pass.
        for transformer in [model.transformer, try model.transformer.attaching(attachments)] {
            let generator = try Generator(transformer, tokenizer: model.tokenizer)
            let all = prompts.enumerated().map { GenerationRequest(prompt: $1, stream: $0) }
            let together = try generator.generate(all, options: options)
            if !recorder.states.isEmpty {
                #expect(recorder.states[0].shape[..<2] == [1, 9] && recorder.states[1].shape[..<2] == [4, 5])
            }
            for (request, texts) in zip(all, together) {
                let alone = try generator.generate([request], options: options)[0]
                #expect(alone.map(\.tokens) == texts.map(\.tokens))
            }
        }
    }

    @Test("several samples read the prompt once and are the same alone", arguments: causal)
    func samples(name: String) throws {
        let model = try Reference(name).model
        let recorder = StateRecorder()
        var attachments = Attachments()
        attachments.states["embeddings"] = [recorder]
        // No end tokens, so that no row is dropped.
        let generator = try Generator(model.transformer.attaching(attachments), tokenizer: model.tokenizer)
        let options = drawing { $0.samples = 5 }
        let texts = try generator.generate(requests([1, 0]), options: options)
        #expect(texts.map(\.count) == [5, 5])
        #expect(recorder.states[0].shape[..<2] == [2, 6], "both prompts once")
        #expect(recorder.states.dropFirst().allSatisfy { $0.size(1) == 1 })
        #expect(recorder.states[1].size(0) == 10)
        #expect(Set(texts[0].map(\.tokens)).count > 1)
        #expect(try generator.generate(requests([0]), options: options)[0].map(\.tokens) == texts[1].map(\.tokens))
        let one = try generator.generate(requests([1]), options: drawing())
        #expect(one[0][0].tokens == texts[0][0].tokens)
    }

    @Test("pieces joined are the text, and the text is what decoding gives", arguments: causal)
    func pieces(name: String) throws {
        let model = try Reference(name).model
        let generator = try Generator(model)
        let options = drawing { $0.samples = 3 }
        var joined = [String: String]()
        let texts = try generator.generate(requests([0, 1, 2, 3]), options: options) { piece in
            joined["\(piece.request).\(piece.sample)", default: ""] += piece.text
        }
        let silent = try generator.generate(requests([0, 1, 2, 3]), options: options)
        for (place, texts) in texts.enumerated() {
            for (sample, text) in texts.enumerated() {
                #expect(joined["\(place).\(sample)", default: ""] == text.text)
                #expect(silent[place][sample].text == text.text)
                let (prompt, all) = (prompts[place], prompts[place] + text.tokens)
                #expect(try model.tokenizer.decode(prompt) + text.text == model.tokenizer.decode(all))
            }
        }
    }

    @Test("a stop string ends a text before it, across tokens, and nothing of it is streamed", arguments: [1, 4])
    func stopStrings(beams: Int) throws {
        let model = try Reference("llama-untied").model
        let generator = try Generator(model)
        var options = GenerationOptions()
        options.maximumNewTokens = 14
        options.beams = beams
        let free = try generator.generate(requests([1]), options: options)[0][0]
        #expect(free.text.utf8.count >= 8)
        // Two characters from the middle, which are two tokens here.
        let start = free.text.index(free.text.startIndex, offsetBy: 4)
        let stop = String(free.text[start..<free.text.index(start, offsetBy: 2)])
        let first = try #require(free.text.range(of: stop)).lowerBound
        options.stopStrings = ["never there", stop]
        var streamed = ""
        let made = try generator.generate(requests([1]), options: options) { streamed += $0.text }[0]
        if beams == 1 {
            #expect(made[0].ending == .stopString(stop))
            #expect(made[0].text == String(free.text[..<first]))
            #expect(free.tokens.starts(with: made[0].tokens) && made[0].tokens.count < free.tokens.count)
        }
        #expect(streamed == made[0].text && !made[0].text.contains(stop))
    }

    @Test func `stops when asked to, with what is there`() throws {
        let generator = try Generator(Reference("llama-tiny").model)
        for beams in [1, 3] {
            var options = GenerationOptions()
            options.beams = beams
            var asked = 0
            let texts = try generator.generate(
                requests([0, 1]), options: options,
                shouldStop: {
                    asked += 1
                    return asked > 5
                })
            #expect(texts.allSatisfy { $0[0].ending == .interrupted && $0[0].tokens.count == 5 })
        }
    }

    @Test func `a long prompt in the batch takes no room from a short one`() throws {
        let model = try Reference("gpt2-tiny").model
        let limit = model.maximumLength
        var options = GenerationOptions()
        options.maximumNewTokens = limit
        let long = Array(repeating: 3, count: limit - 2)
        let generator = Generator(model.transformer, tokenizer: nil)
        let alone = try generator.generate([GenerationRequest(prompt: [5, 6])], options: options)
        let both = try generator.generate(
            [GenerationRequest(prompt: [5, 6]), GenerationRequest(prompt: long)], options: options)
        #expect(both[0] == alone[0] && both[0][0].tokens.count == limit - 2)
        #expect(both[1][0].tokens.count == 2 && both[1][0].ending == .length)
    }

    @Test func `an encoder is refused, and so are options out of bounds`() throws {
        let encoder = try Reference("bert-tiny").model
        #expect {
            try Generator(encoder).generate([GenerationRequest(prompt: [2])], options: GenerationOptions())
        } throws: { ($0 as? HoneError)?.code == .mismatch }
        let generator = try Generator(Reference("gpt2-tiny").model)
        let wrong: [(String, (inout GenerationOptions) -> Void)] = [
            ("--max-tokens", { $0.maximumNewTokens = 0 }), ("--temperature", { $0.temperature = -1 }),
            ("--temperature", { $0.temperature = .nan }), ("--top-k", { $0.topK = -1 }),
            ("--top-p", { $0.topP = 1.1 }), ("--min-p", { $0.minP = -0.1 }),
            ("--repetition-penalty", { $0.repetitionPenalty = 0 }), ("--beams", { $0.beams = 0 }),
            ("--samples", { $0.samples = 2 }), ("--stop", { $0.stopStrings = [""] }),
            ("--length-penalty", { $0.lengthPenalty = .infinity }), ("--min-tokens", { $0.minimumNewTokens = 65 }),
            ("--temperature", { $0.topK = 3 }),
            (
                "--beams",
                {
                    $0.beams = 2
                    $0.temperature = 1
                }
            ),
        ]
        for (item, change) in wrong {
            var options = GenerationOptions()
            change(&options)
            #expect { try generator.generate(requests([0]), options: options) } throws: {
                ($0 as? HoneError)?.code == .usage && ($0 as? HoneError)?.item == item
            }
        }
    }
}
