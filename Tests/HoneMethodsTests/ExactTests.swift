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
    /// Rows with common beginnings on two levels, one that is all beginning, and one that has nothing in common with them.
    private static let related = [
        Array(3...16) + [20, 21], Array(3...16) + [22], Array(3...11), [9, 8, 7], Array(3...11) + [30, 31, 32, 33, 34],
        Array(3...16) + [20, 23, 24, 25, 26],
    ]
    static let batches = [rows, related]

    @Test("the states of unequal rows agree", arguments: TinyModel.allCases.filter { !$0.readsImages }, batches)
    func states(model: TinyModel, rows: [[Int]]) throws {
        let models = try pair(model, in: TemporaryFolder())
        let batch = try TokenBatch(rows)
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

    /// Methods with what they add to the rows: nothing, vectors in front of them, keys and values that attention sees before them.
    static let methods: [(name: String, settings: [String: String])] = [
        ("lora", ["rank": "2"]), ("prompt", ["length": "3"]), ("prefix", ["length": "3"]),
    ]

    @Test(
        "the gradients of an adapter agree", arguments: TinyModel.allCases.filter { !$0.readsImages }, methods.indices)
    func gradients(model: TinyModel, choice: Int) throws {
        let models = try pair(model, in: TemporaryFolder())
        let method = try Methods.make(ExactTests.methods[choice].name, typed: ExactTests.methods[choice].settings)
        for rows in ExactTests.batches { try compareGradients(method, models, rows) }
    }

    private func compareGradients(_ method: any Method, _ models: (fast: BaseModel, exact: BaseModel), _ rows: [[Int]])
        throws
    {
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
            let batch = try TokenBatch(rows)
            // Of an encoder-decoder both stacks are to have gradients.
            let memory = base.configuration.decoder == nil ? nil : try transformer.memory(of: batch)
            let places = rows.indices.flatMap { [$0 * batch.length, $0 * batch.length + rows[$0].count - 1] }
            let picked = try transformer.states(batch, memory: memory, at: places)
            let loss =
                base.configuration.hasLanguageHead
                ? try transformer.targetLoss(picked, targets: Tensor(places.indices.map { 2 + $0 % 7 }))
                : try (picked * picked).sum()
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
