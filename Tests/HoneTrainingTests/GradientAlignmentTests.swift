import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

@Suite struct GradientAlignmentTests {
    private func rows(_ model: BaseModel, _ tasks: [Int]) throws -> [EncodedExample] {
        let encoder = try ExampleEncoder(model, options: .init(maximumLength: 40))
        let encoded = try TinyTask.classification(rows: 12).examples.map(encoder.encode)
        return tasks.flatMap { task in
            encoded.enumerated().map { place, row in
                var row = row
                row.task = task
                // The last task wants every answer to be another.
                if task == 2 { row.label = ((row.label ?? 0) + 1) % 3 }
                return row
            }
        }
    }

    private func adapter(_ model: BaseModel, _ name: String, tasks: [String]) throws -> Adapter {
        let task = TinyTask.classification(rows: 12)
        return try Adapter.initial(
            Methods.make(name, typed: ["rank": "2"]), for: model, task: task.shape, labels: task.labels,
            encoding: .init(maximumLength: 40, tasks: tasks), seed: 1)
    }

    @Test(arguments: ["lora", "poly"])
    func `the same rows agree wholly, and others less`(name: String) throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let adapter = try adapter(model, name, tasks: ["a", "b", "c"])
        for parameter in adapter.parameters.all where parameter.name.hasSuffix("router") {
            try parameter.tensor.fillInPlace(0)
        }
        let alignment = try GradientAlignment(model: model, adapter: adapter, examples: rows(model, [0, 1, 2]))
        #expect(alignment.tasks == [0, 1, 2])
        #expect(abs(alignment.cosines[0][1] - 1) < 1e-5)
        #expect(alignment.cosines[0][2] < 0.9 && abs(alignment.cosines[0][2] - alignment.cosines[2][0]) < 1e-9)
        let mean = try #require(alignment.mean)
        #expect(abs(mean - (alignment.cosines[0][1] + alignment.cosines[0][2] + alignment.cosines[1][2]) / 3) < 1e-9)
        // What is measured is not trained.
        #expect(adapter.parameters.all.allSatisfy { $0.tensor.gradient == nil && !$0.tensor.requiresGradient })
    }

    @Test func `one task alone agrees with nobody`() throws {
        let scratch = try TemporaryFolder()
        let model = try TinyModel.bert.load(in: scratch)
        let adapter = try adapter(model, "lora", tasks: [])
        let alignment = try GradientAlignment(model: model, adapter: adapter, examples: rows(model, [1]))
        #expect(alignment.tasks == [1] && alignment.mean == nil)
    }
}
