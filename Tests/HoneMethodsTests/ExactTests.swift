import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import Testing

/// Fused kernels and packed rows against libtorch's own operators over padded rows.
@Suite struct ExactTests {
    private func pair(_ model: TinyModel, in scratch: TemporaryFolder) throws -> (fast: BaseModel, exact: BaseModel) {
        let fast = try model.load(in: scratch)
        return (fast, try BaseModel(folder: fast.folder, exact: true))
    }

    private static let rows = [[3, 4, 5, 6, 7, 8, 9], [5], [8, 7, 6, 5]]

    @Test("the states of unequal rows agree", arguments: TinyModel.allCases)
    func states(model: TinyModel) throws {
        let models = try pair(model, in: TemporaryFolder())
        let batch = try TokenBatch(ExactTests.rows)
        let (fast, exact) = try withoutGradients {
            try (models.fast.transformer.states(batch), models.exact.transformer.states(batch))
        }
        #expect(fast.shape == exact.shape)
        for (row, length) in batch.lengths.enumerated() {
            let difference =
                try
                (fast.at(row).narrowed(0, from: 0, length: length)
                - exact.at(row).narrowed(0, from: 0, length: length)).abs().elements(Double.self).max() ?? 1
            #expect(difference < 1e-5, "row \(row)")
        }
    }

    @Test("the gradients of an adapter agree", arguments: TinyModel.allCases)
    func gradients(model: TinyModel) throws {
        let models = try pair(model, in: TemporaryFolder())
        let method = try Methods.make("lora", typed: ["rank": "2"])
        var found: [[String: [Double]]] = []
        for base in [models.exact, models.fast] {
            var stream = RandomStream(seed: 5, name: "initialisation")
            let start = try method.initialParameters(for: base, random: &stream)
            var parameters = ParameterSet()
            for parameter in start.all {
                // The second factor starts at zero, where the first one's gradient would say nothing.
                parameters.set(parameter.name, try stream.normal(parameter.tensor.shape, standardDeviation: 0.2))
            }
            try parameters.makeTrainable()
            let transformer = try base.transformer.attaching(
                method.attachments(parameters, model: base.transformer, dropout: nil))
            let batch = try TokenBatch(ExactTests.rows)
            // Of an encoder-decoder both stacks are to have gradients.
            let states = try transformer.states(
                batch, memory: base.configuration.decoder == nil ? nil : transformer.memory(of: batch))
            let picked = try states.reshaped([-1, states.size(-1)]).selecting(Tensor([0, 3, 7, 15]))
            let loss =
                base.configuration.hasLanguageHead
                ? try transformer.targetLoss(picked, targets: Tensor([4, 7, 2, 6])) : try (picked * picked).sum()
            try loss.backward()
            var all = ["loss": try loss.elements(Double.self)]
            for parameter in parameters.all {
                all[parameter.name] = try #require(parameter.tensor.gradient).elements(Double.self)
            }
            found.append(all)
        }
        #expect(found[0].keys == found[1].keys)
        for (name, exact) in found[0] {
            let most = exact.reduce(1e-3) { max($0, abs($1)) }
            let difference = zip(exact, found[1][name] ?? []).reduce(0) { max($0, abs($1.0 - $1.1)) }
            #expect(difference / most < 2e-5, "\(name)")
        }
    }
}
