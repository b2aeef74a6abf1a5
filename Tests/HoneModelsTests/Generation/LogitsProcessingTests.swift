import HoneFormats
import HoneModels
import HoneTorch
import Testing

/// The processors against transformers'.
struct LogitsProcessingTests {
    static let cases = SearchReference.file["processors"]?.object?.pairs.map { $0.0 } ?? []

    private func options(_ name: String) throws -> GenerationOptions {
        let file = SearchReference.file
        let settings = try #require(file["processors"]?[name])
        var options = GenerationOptions()
        options.temperature = settings["temperature"]?.number ?? 1
        options.topK = settings["top_k"]?.integer ?? 0
        options.topP = settings["top_p"]?.number ?? 1
        options.minP = settings["min_p"]?.number ?? 0
        options.repetitionPenalty = settings["repetition_penalty"]?.number ?? 1
        options.minimumNewTokens = settings["min_new_tokens"]?.integer ?? 0
        options.stopIds = Set((file["processor_ends"]?.array ?? []).compactMap(\.integer))
        return options
    }

    @Test("changes scores as the reference does", arguments: cases)
    func scores(name: String) throws {
        let tensors = try Reference.tensors(Reference.fixtures + "/generation/processors.safetensors")
        let logits = try #require(tensors["logits"])
        let expected = try #require(tensors["scores.\(name)"])
        let ids = try #require(tensors["history"]).elements(Int.self)
        let mask = try #require(tensors["mask"]).elements(Int.self)
        let length = ids.count / logits.size(0)
        let history = (0..<logits.size(0)).map { row in
            (row * length..<(row + 1) * length).compactMap { mask[$0] == 1 ? ids[$0] : nil }
        }
        let promptLength = try #require(SearchReference.file["prompt_length"]?.integer)
        let processing = try LogitsProcessing(options(name))
        let made = try processing.warped(
            processing.penalised(
                logits, history: history, newTokens: history.map { _ in length - promptLength }))
        let (ours, theirs) = (try made.elements(Double.self), try expected.elements(Double.self))
        #expect(ours.map(\.isFinite) == theirs.map(\.isFinite))
        let difference = zip(ours, theirs).filter { $1.isFinite }.map { abs($0 - $1) }.max()
        #expect(try #require(difference) < 1e-6)
    }

    @Test func `there are the cases of the reference`() { #expect(LogitsProcessingTests.cases.count == 10) }

    @Test func `a penalty for rows of different length counts each token once and leaves the others`() throws {
        var options = GenerationOptions()
        options.repetitionPenalty = 2
        let scores = try Tensor([4, -4, 6, 8, 1, -1, 0, 2] as [Float], shape: [2, 4])
        let made = try LogitsProcessing(options).penalised(
            scores, history: [[0, 1, 0, 9], [3]], newTokens: [1, 1])
        #expect(try made.elements(Float.self) == [2, -8, 6, 8, 1, -1, 0, 1])
        let none = try LogitsProcessing(options).penalised(scores, history: [[], [0, 1]], newTokens: [0, 2])
        #expect(try none.elements(Float.self) == [4, -4, 6, 8, 0.5, -2, 0, 2])
    }
}
