import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@testable import HoneMethods

/// What worked examples leave in a state without training: function vectors and task vectors.
extension SoftInjectionTests {
    @Test func `a function vector is the sum of its heads' means behind the output projection`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try read(adapter("fv", ["layer": "1"], on: model), on: model)
        let vector = try own.parameters.tensor("layers.1.vector")
        var effects: [String: [Double]] = [:]
        for site in model.configuration.headSites {
            effects[site.path] = try own.parameters.tensor(site.path + ".effect").elements()
        }
        let chosen = HeadRanking(scores: effects, of: model.configuration).entries.prefix(2).map(\.head)
        let context = try Self.context(
            model, task: task, seed: 11, plan: TrainingPlan(steps: 1, learningRate: 1))
        let source = try FewShotPrompts(context, shots: 2, for: "fv")
        let prompts = try source.draw(5, shots: 2, purpose: "prompts")
        let sites = model.configuration.headSites
        let means = try model.transformer.meanPromptEnds(prompts, at: sites.map(\.path), padId: model.padId)
        // All heads but the chosen ones set to nothing: what is left goes through the output projection.
        var expected = try Tensor.zeros([model.configuration.width])
        for site in sites {
            let mean = try #require(means[site.path])
            let masks = (0..<site.count).map { chosen.contains(Head(site: site.path, number: $0)) ? Float(1) : 0 }
            let kept = try (mean * Tensor(masks, shape: [site.count, 1])).reshaped([1, -1])
            let weight = try #require(model.transformer.weights[site.output + ".weight"])
            expected = try expected + kept.linear(weight).reshaped([-1])
        }
        #expect(try distance(vector.elements(), expected.elements()) < 1e-5)
        // The effect of one head, by hand.
        let trials = try source.draw(3, shots: 2, purpose: "trials", shuffled: true)
        let site = sites[1]
        let mean = try #require(means[site.path]).at(2)
        let probabilities = try [false, true].map { replaces in
            try withoutGradients {
                try trials.reduce(0.0) { sum, trial in
                    var attachments = Attachments()
                    if replaces { attachments.states[site.path] = [LastHead(number: 2, value: mean)] }
                    let transformer = try model.transformer.attaching(attachments)
                    let last = try transformer.states(TokenBatch([trial.tokens])).at(-1, dimension: 1)
                    let shares = try transformer.logits(last).softmax(-1).elements(Double.self)
                    return sum + shares[trial.answer] / 3
                }
            }
        }
        #expect(abs(probabilities[1] - probabilities[0] - (effects[site.path]?[2] ?? 0)) < 1e-6)
    }

    /// Replaces one head's output at the last position of a single row.
    private struct LastHead: StateAttachment {
        let number: Int
        let value: Tensor

        func state(_ state: Tensor) throws -> Tensor {
            let copy = try state.contiguous().cloned()
            try copy.at(0).at(-1).at(number).copyInPlace(value)
            return copy
        }
    }

    @Test func `a task vector takes the place of the state behind its layer`() throws {
        let model = try TinyModel.llama.load(in: scratch)
        let own = try read(adapter("tv", ["layer": "0"], on: model), on: model)
        let vector = try own.parameters.tensor("layers.0.vector")
        let after = StateRecorder()
        var attachments = try own.method.attachments(own.parameters, model: model.transformer, dropout: nil)
        attachments.states["layers.0"]?.append(after)
        _ = try withoutGradients { try model.transformer.attaching(attachments).states(TokenBatch([[5, 9, 11]])) }
        #expect(try after.states[0].at(0).at(2).elements(Float.self) == vector.elements(Float.self))
        let bare = StateRecorder()
        var observed = Attachments()
        observed.states["layers.0"] = [bare]
        _ = try withoutGradients { try model.transformer.attaching(observed).states(TokenBatch([[5, 9, 11]])) }
        for place in [0, 1] {
            let (changed, before) = (try after.states[0].at(0).at(place), try bare.states[0].at(0).at(place))
            #expect(try distance(changed.elements(), before.elements()) < 1e-6)
        }
        // Without a layer, the one with the least loss is taken.
        let chosen = try read(adapter("tv", on: model), on: model)
        func loss(_ adapter: Adapter) throws -> Double {
            let specialist = try Specialist(base: model, adapter: adapter)
            return try specialist.targetLosses(task.examples.map(specialist.encoder.encode)).reduce(0) { $0 + $1.loss }
        }
        let losses = try (0..<2).map { try loss(read(adapter("tv", ["layer": "\($0)"], on: model), on: model)) }
        #expect(try abs(loss(chosen) - (losses.min() ?? 0)) < 1e-3)
    }
}
