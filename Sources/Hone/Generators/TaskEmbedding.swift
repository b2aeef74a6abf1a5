import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch

/// Where a task lies in a model's own states: their mean over some of its examples (Jin et al. 2025, arXiv 2501.17635).
///
/// Of an example that is classified it is the pooled state; of one that text is written for, the mean of the states that the
/// written tokens were chosen from.
public struct TaskEmbedding: Sendable {
    /// The vector, as wide as the model's states.
    public let values: [Float]
    /// How many examples it is the mean of.
    public let examples: Int
    /// The fingerprint of the base model that the states are of.
    public let base: String

    /// The vector of some examples.
    ///
    /// - Parameters:
    ///   - specialist: the base with nothing attached, or with the task's adapter. Taken from the adapted model, a vector needs
    ///     the adapter that is to be generated; the choice has to be the same in training and use.
    ///   - count: how many of the examples are looked at, drawn by the seed.
    ///   - mostTokens: how many tokens are written at most.
    /// - Throws: `HoneError` with code `.badData` where there are no examples.
    public init(
        _ specialist: Specialist, of examples: [Example], count: Int = 30, mostTokens: Int = 16, seed: UInt64 = 0
    ) throws {
        guard !examples.isEmpty, count > 0 else {
            throw HoneError(.badData, "there are no examples to take a task vector from")
        }
        var random = RandomStream(seed: seed, name: "task vector")
        let keyed = examples.indices.map { (random.next(), $0) }.sorted { $0 < $1 }
        let chosen = keyed.prefix(count).map { examples[$0.1] }
        self.examples = chosen.count
        base = try specialist.base.fingerprint
        let states: Tensor
        if specialist.adapter.task == .generation {
            states = try TaskEmbedding.writing(specialist, chosen, mostTokens: mostTokens)
        } else {
            states = try specialist.features(try chosen.map(specialist.encoder.encode))
        }
        values = try withoutGradients { try states.to(.float32).mean([0]).elements() }
        guard values.allSatisfy(\.isFinite) else {
            throw HoneError(.notFinite, "the model's states are not finite", item: "task vector")
        }
    }

    /// One mean state an example: of the states from which greedy decoding chose its tokens.
    private static func writing(_ specialist: Specialist, _ examples: [Example], mostTokens: Int) throws -> Tensor {
        let transformer = try specialist.transformer
        var options = GenerationOptions()
        options.maximumNewTokens = mostTokens
        options.stopIds = try specialist.endIds
        return try withoutGradients {
            var means: [Tensor] = []
            for example in examples {
                let prompt = try specialist.encoder.prompt(
                    example, room: specialist.base.configuration.maximumLength - mostTokens)
                var written = try transformer.generate(
                    from: [prompt], padId: specialist.base.padId, options: options, rowIds: [0])[0]
                // At the least, the state that would choose the first token.
                if written.isEmpty { written = [specialist.base.padId] }
                let row = EncodedExample.completing(
                    prompt, with: written, separates: specialist.base.configuration.decoder != nil)
                let states = try transformer.targetStates([row], padId: specialist.base.padId).states
                means.append(try states.to(.float32).mean([0]))
            }
            return try Tensor.stacked(means)
        }
    }

    /// Reads a vector from a file.
    ///
    /// - Throws: `HoneError` with code `.badFile` for a file that is no task vector.
    public static func read(_ path: String) throws -> [Float] {
        let file = try SafetensorsFile(path: path)
        guard let entry = file.entry(named: "vector"), entry.shape.count == 1, entry.dtype == .float32 else {
            throw HoneError(.badFile, "is no task vector: it has no tensor `vector` of one dimension", file: path)
        }
        let values: [Float] = try TensorFiles.tensor("vector", in: file).elements()
        guard !values.isEmpty, values.allSatisfy(\.isFinite) else {
            throw HoneError(.notFinite, "holds numbers that are not finite", file: path, item: "vector")
        }
        return values
    }

    /// Writes the vector, atomically.
    public func write(to path: String) throws {
        try TensorFiles.write(
            [("vector", try Tensor(values))], metadata: ["format": "pt", "examples": "\(examples)", "base": base],
            to: path)
    }
}
