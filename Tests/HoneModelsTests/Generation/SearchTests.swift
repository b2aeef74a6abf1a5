import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// Greedy and beam searches against transformers, token for token.
struct SearchTests {
    @Test func `there are searches of every kind`() {
        #expect(SearchReference.all.count == 50)
        #expect(SearchReference.all.filter(\.isBeamSearch).count == 35)
        let texts = SearchReference.all.flatMap { $0.texts.flatMap { $0 } }
        #expect(texts.contains { $0.end != nil } && texts.contains { $0.end == nil })
    }

    @Test("finds the texts of the reference, in a ragged batch and alone", arguments: SearchReference.all)
    func texts(search: SearchReference) throws {
        let model = try Reference(search.model).model
        let generator = Generator(model.transformer, tokenizer: nil)
        let options = try search.options
        let requests = search.prompts.map { GenerationRequest(prompt: $0) }
        let together = try generator.generate(requests, options: options)
        for (place, expected) in search.texts.enumerated() {
            let alone = try generator.generate([requests[place]], options: options)[0]
            for made in [together[place], alone] {
                #expect(made.map(\.tokens) == expected.map(\.tokens))
                #expect(made.map(\.ending) == expected.map { $0.end.map { .endToken($0) } ?? .length })
                for (text, reference) in zip(made, expected) {
                    guard let score = reference.score else { continue }
                    #expect(abs((text.score ?? .infinity) - score) < 1e-4 * max(1, abs(score)))
                }
            }
        }
    }

    @Test("a beam's log-probabilities add up to its score", arguments: ["gpt2-tiny", "llama-untied"])
    func scores(name: String) throws {
        let model = try Reference(name).model
        var options = GenerationOptions()
        options.maximumNewTokens = 10
        options.stopIds = [5, 11]
        options.beams = 4
        options.samples = 4
        options.wantsLogProbabilities = true
        let texts = try Generator(model.transformer, tokenizer: nil).generate(
            [GenerationRequest(prompt: [4, 9, 2])], options: options)[0]
        #expect(texts.count == 4)
        for text in texts {
            let length = text.tokens.count + (text.endLogProbability == nil ? 0 : 1)
            let sum = text.logProbabilities.reduce(0, +) + (text.endLogProbability ?? 0)
            #expect(text.logProbabilities.count == text.tokens.count)
            #expect(abs(sum / Double(length) - (text.score ?? .infinity)) < 1e-5)
        }
        #expect(texts.map { $0.score ?? 0 } == texts.map { $0.score ?? 0 }.sorted(by: >))
    }
}
