import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// What rows begin with is computed once, and only where that is exact.
@Suite struct SharedPrefixTests {
    /// Counts the tokens that pass a linear map.
    private final class Counter: LinearAttachment {
        var tokens = 0
        let actsOnTokens = true
        let isDeterministic: Bool

        init(isDeterministic: Bool = true) { self.isDeterministic = isDeterministic }

        func output(_ output: Tensor, input: Tensor, of map: LinearMap) throws -> Tensor {
            tokens += input.shape.dropLast().reduce(1, *)
            return output
        }
    }

    private static let instruction = Array(3...22)
    private static let rows = [[30, 31, 32], [33], [34, 35, 36, 37], [38, 39]].map { instruction + $0 }

    private func tokensComputed(
        _ model: TinyModel, _ rows: [[Int]], counter: Counter = Counter(), prompt: Bool = false, exact: Bool = false
    ) throws -> Int {
        let scratch = try TemporaryFolder()
        var base = try model.load(in: scratch)
        if exact { base = try BaseModel(folder: base.folder, exact: true) }
        var attachments = Attachments()
        attachments.linear["layers.1.mlp.up"] = [counter]
        if prompt { attachments.prompts = [try Tensor.zeros([2, base.configuration.tokenWidth])] }
        let transformer = try base.transformer.attaching(attachments)
        _ = try withoutGradients { try transformer.states(TokenBatch(rows)) }
        return counter.tokens
    }

    @Test("a common instruction goes through a decoder once", arguments: [TinyModel.llama, .gpt2, .opt, .neox])
    func computesOnce(model: TinyModel) throws {
        #expect(try tokensComputed(model, SharedPrefixTests.rows) == 20 + 10)
    }

    @Test func `nothing is shared where it would not be exact`() throws {
        let rows = SharedPrefixTests.rows
        let whole = rows.reduce(0) { $0 + $1.count }
        let padded = rows.count * 24
        #expect(try tokensComputed(.bert, rows) == whole)
        #expect(try tokensComputed(.llama, rows, exact: true) == padded)
        #expect(try tokensComputed(.llama, rows, counter: Counter(isDeterministic: false)) == whole)
        #expect(try tokensComputed(.llama, rows, prompt: true) == whole + rows.count * 2)
        // A window shorter than the rows.
        #expect(try tokensComputed(.qwen3, rows) == padded)
    }

    @Test func `beginnings of a token or two are not worth it`() throws {
        let rows = [[3, 4, 5, 6], [3, 7, 8, 9], [3, 4, 10]]
        #expect(try tokensComputed(.llama, rows) == 11)
    }

    @Test func `dropout of low-rank updates is drawn for each row`() throws {
        let scratch = try TemporaryFolder()
        let base = try TinyModel.llama.load(in: scratch)
        let method = try Methods.make("lora", typed: ["rank": "2", "dropout": "0.5"])
        var stream = RandomStream(seed: 1, name: "initialisation")
        let parameters = try method.initialParameters(for: base, random: &stream)
        for (dropout, shares) in [(nil, true), (DropoutSource(seed: 1, step: 1), false)] {
            let attached = try base.transformer.attaching(
                method.attachments(parameters, model: base.transformer, dropout: dropout))
            #expect(attached.sharesPrefixes == shares)
        }
    }

    private func scores(_ base: BaseModel, tokensAtOnce: Int = 4096) throws -> [TargetScore] {
        // Two prompts of one instruction; of each, choices of one token and of several.
        let rows = [[40, 41, 42], [43, 44]].flatMap { prompt in
            [[50], [51], [52, 53, 54], [52, 53, 55, 56], []].map { choice in
                EncodedExample.completing(
                    SharedPrefixTests.instruction + prompt, with: choice, separates: base.configuration.decoder != nil)
            }
        }
        return try base.transformer.targetScores(rows, padId: base.padId, tokensAtOnce: tokensAtOnce)
    }

    @Test("scores do not depend on sharing or on what is computed together", arguments: TinyModel.allCases)
    func scores(model: TinyModel) throws {
        let scratch = try TemporaryFolder()
        let base = try model.load(in: scratch)
        guard base.configuration.hasLanguageHead else { return }
        let exact = try scores(BaseModel(folder: base.folder, exact: true), tokensAtOnce: 1)
        for tokens in [4096, 30, 1] {
            for (score, wanted) in zip(try scores(base, tokensAtOnce: tokens), exact) {
                #expect(abs(score.logLikelihood - wanted.logLikelihood) < 2e-5)
                #expect(score.tokens == wanted.tokens && score.isGreedy == wanted.isGreedy)
            }
        }
        #expect(exact.map(\.tokens) == [1, 1, 3, 4, 0, 1, 1, 3, 4, 0])
        // Every choice begins at the same state, and the probabilities of all tokens there sum to one.
        #expect(exact[0].logLikelihood < 0 && exact[4].logLikelihood == 0)
    }
}
