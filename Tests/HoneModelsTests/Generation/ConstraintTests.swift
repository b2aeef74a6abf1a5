import HoneFormats
import HoneModels
import HoneTorch
import Testing

struct ConstraintTests {
    /// Lets one of some sequences through, and then an end token.
    private struct OneOf: TokenConstraint {
        var left: [[Int]]
        let end: Int

        func allowedTokens() throws -> AllowedTokens {
            let next = left.compactMap(\.first)
            return .only(left.contains([]) ? next + [end] : next)
        }

        mutating func advance(with token: Int) throws {
            left = left.filter { $0.first == token }.map { Array($0.dropFirst()) }
        }
    }

    private struct Ban: TokenConstraint {
        let ids: [Int]
        func allowedTokens() throws -> AllowedTokens { .except(ids) }
        mutating func advance(with token: Int) throws {}
    }

    private let choices = [[3, 4, 5], [3, 9], [30], [31, 7, 7, 7]]

    @Test("only what a constraint allows is written, row by row", arguments: [1, 4], [0.0, 1.5])
    func oneOf(beams: Int, temperature: Double) throws {
        guard beams == 1 || temperature == 0 else { return }
        let generator = try Generator(Reference("llama-tiny").model)
        var options = GenerationOptions()
        options.stopIds = [1]
        options.beams = beams
        options.temperature = temperature
        options.maximumNewTokens = 8
        options.samples = temperature > 0 ? 8 : 1
        let free = GenerationRequest(prompt: [8, 9])
        let bound = GenerationRequest(prompt: [8, 9], constraint: OneOf(left: choices, end: 1))
        let texts = try generator.generate([bound, free, bound], options: options)
        for text in texts[0] + texts[2] {
            #expect(choices.contains(text.tokens) && text.ending == .endToken(1))
        }
        let alone = try generator.generate([GenerationRequest(prompt: [8, 9], stream: 1)], options: options)
        #expect(texts[1].map(\.tokens) == alone[0].map(\.tokens))
    }

    @Test func `a banned token gives way to the next likely one`() throws {
        let model = try Reference("gpt2-tiny").model
        let generator = Generator(model.transformer, tokenizer: nil)
        var options = GenerationOptions()
        options.maximumNewTokens = 1
        let order = try withoutGradients {
            let states = try model.transformer.states(TokenBatch([[4, 2]])).at(-1, dimension: 1)
            return try model.transformer.logits(states).sorted(-1, descending: true).indices.elements(Int.self)
        }
        for banned in 0..<4 {
            let ids = Array(order[..<banned]) + [-1, 1 << 40]
            let texts = try generator.generate(
                [GenerationRequest(prompt: [4, 2], constraint: Ban(ids: ids))], options: options)
            #expect(texts[0][0].tokens == [order[banned]])
        }
    }

    @Test func `a constraint that allows nothing is an error`() throws {
        let generator = try Generator(Reference("gpt2-tiny").model)
        for beams in [1, 2] {
            var options = GenerationOptions()
            options.beams = beams
            #expect {
                try generator.generate(
                    [GenerationRequest(prompt: [4], constraint: OneOf(left: [[1 << 30]], end: 1 << 30))],
                    options: options)
            } throws: { ($0 as? HoneError)?.code == .badData }
        }
    }
}
