import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTesting
import HoneTorch
import HoneTraining
import Testing

/// Grafts of whole models and their files.
@Suite struct GraftTests {
    private let scratch: TemporaryFolder

    init() throws { scratch = try TemporaryFolder() }

    private func vector(_ model: BaseModel, _ space: GraftSpace) throws -> Tensor {
        try space.joined { name in try #require(model.transformer.weights[name]) }
    }

    /// A graft of so many coordinates between two models, the largest movement.
    private func graft(_ base: BaseModel, _ tuned: BaseModel, keeping count: Int) throws -> Graft {
        let space = GraftSpace(base.configuration)
        let (before, after) = try (vector(base, space), vector(tuned, space))
        let mask = try GraftMask.largestMovement(after - before, keeping: count)
        return try Graft(mask, after: after, in: space, of: base.transformer)
    }

    private func states(_ transformer: Transformer) throws -> [Float] {
        let batch = try TokenBatch([[3, 5, 7, 9], [4, 6]], padId: 0)
        return try withoutGradients { try transformer.states(batch).elements() }
    }

    @Test func `the coordinates are those of the layers: no embedding, last norm or head`() throws {
        for tiny in [TinyModel.bert, .gpt2, .llama, .bart] {
            let model = try tiny.load(in: scratch).configuration
            let space = GraftSpace(model)
            #expect(space.entries.allSatisfy { $0.name.contains("layers.") })
            let layers = model.weightShapes.filter { $0.name.contains("layers.") }
            #expect(space.count == layers.reduce(0) { $0 + $1.shape.reduce(1, *) })
            #expect(space.count < model.parameterCount)
        }
    }

    @Test func `putting a graft in twice is putting it in once, and taking it off gives the base back`() throws {
        let (base, tuned) = try (TinyModel.gpt2.load(in: scratch, seed: 1), TinyModel.gpt2.load(in: scratch, seed: 2))
        let own = try graft(base, tuned, keeping: 30)
        var attachments = Attachments()
        attachments.weights = try own.weights(base.transformer)
        let once = try base.transformer.attaching(attachments)
        let merged = try Transformer(
            base.configuration, weights: base.transformer.weights.merging(own.weights(base.transformer)) { $1 })
        let twice = try Transformer(
            base.configuration, weights: merged.weights.merging(own.weights(merged)) { $1 })
        let before = try states(base.transformer)
        #expect(try states(once) == states(twice))
        #expect(try states(once) != before)
        #expect(try states(once.attaching(Attachments())) == before)
    }

    @Test func `as a control, everything but the graft's coordinates can be zero`() throws {
        let (base, tuned) = try (TinyModel.gpt2.load(in: scratch, seed: 1), TinyModel.gpt2.load(in: scratch, seed: 2))
        let own = try graft(base, tuned, keeping: 30)
        let weights = try own.weights(base.transformer, zeroingRest: true)
        let space = GraftSpace(base.configuration)
        let alone: [Float] = try space.joined { try #require(weights[$0]) }.elements()
        let whole: [Float] = try vector(tuned, space).elements()
        #expect(alone.count { $0 != 0 } == 30)
        #expect(zip(alone, whole).allSatisfy { $0 == 0 || $0 == $1 })
    }

    @Test func `all coordinates make the fine-tuned layers, none make the base`() throws {
        let (base, tuned) = try (TinyModel.bert.load(in: scratch, seed: 1), TinyModel.bert.load(in: scratch, seed: 2))
        let all = try graft(base, tuned, keeping: .max)
        let weights = try all.weights(base.transformer)
        for entry in GraftSpace(base.configuration).entries {
            let own: [Float] = try (weights[entry.name] ?? base.transformer.weights[entry.name])?.elements() ?? []
            #expect(try own == tuned.transformer.weights[entry.name]?.elements(), "\(entry.name)")
        }
        #expect(try graft(base, tuned, keeping: 1).count == 1)
        let none = Graft(parts: [], selected: 5)
        #expect(try none.count == 0 && none.weights(base.transformer).isEmpty)
    }

    @Test(arguments: [TinyModel.bert, .gpt2, .bart])
    func `a file holds a graft exactly and grows with its coordinates`(tiny: TinyModel) throws {
        let (base, tuned) = try (tiny.load(in: scratch, seed: 1), tiny.load(in: scratch, seed: 2))
        var sizes: [Int] = []
        for count in [100, 1100] {
            let own = try graft(base, tuned, keeping: count)
            let path = try scratch.folder("files") + "/\(count).graft"
            try GraftFile(own, labels: ["a", "b"], scores: ["test": 1]).write(to: path, for: base)
            let read = try GraftFile.read(path, for: base)
            #expect(read.graft.count == count && read.graft.selected == own.selected && read.labels == ["a", "b"])
            #expect(read.scores["test"]?.integer == 1)
            #expect(read.graft.parts.map(\.name) == own.parts.map(\.name))
            for (one, other) in zip(read.graft.parts, own.parts) {
                #expect(try one.indices.elements(Int.self) == other.indices.elements(Int.self))
                #expect(try one.values.elements(Float.self) == other.values.elements(Float.self))
            }
            sizes.append(try Data(contentsOf: URL(fileURLWithPath: path)).count)
        }
        // 12 bytes a coordinate, and names that do not grow with them.
        #expect((12 * 1000...12 * 1000 + 20000).contains(sizes[1] - sizes[0]))
    }

    @Test func `a file is in the layout of the model's own file`() throws {
        let (base, tuned) = try (TinyModel.gpt2.load(in: scratch, seed: 1), TinyModel.gpt2.load(in: scratch, seed: 2))
        let path = try scratch.folder("layout") + "/a.graft"
        try GraftFile(graft(base, tuned, keeping: 200)).write(to: path, for: base)
        let tensors = try Dictionary(uniqueKeysWithValues: TensorFiles.read(path).map { ($0.name, $0.tensor) })
        let stored = try Dictionary(
            uniqueKeysWithValues: TensorFiles.read(tuned.folder + "/model.safetensors").map { ($0.name, $0.tensor) })
        var seen = 0
        for (name, indices) in tensors where name.hasSuffix(".indices") {
            let source = String(name.dropLast(8))
            let whole = try #require(stored[source] ?? stored["transformer." + source])
            let there: [Float] = try whole.reshaped([-1]).selecting(indices).elements()
            #expect(try there == tensors[source + ".values"]?.elements(), "\(source)")
            seen += there.count
        }
        #expect(seen == 200)
    }

    @Test func `a graft on another base is refused by what the base holds at its coordinates`() throws {
        let (base, tuned) = try (TinyModel.bert.load(in: scratch, seed: 1), TinyModel.bert.load(in: scratch, seed: 2))
        let path = try scratch.folder("other") + "/a.graft"
        try GraftFile(graft(base, tuned, keeping: 5)).write(to: path, for: base)
        let error = #expect(throws: HoneError.self) {
            try GraftFile.read(path, for: TinyModel.bert.load(in: scratch, seed: 3))
        }
        #expect(error?.code == .mismatch && error?.message.contains("another base") == true)
        let family = #expect(throws: HoneError.self) { try GraftFile.read(path, for: TinyModel.gpt2.load(in: scratch)) }
        #expect(family?.code == .mismatch)
    }

    @Test func `a union has each coordinate once, and the later value where two differ`() throws {
        func part(_ indices: [Int], _ values: [Float], _ name: String = "layers.0.mlp.up.weight") throws -> Graft {
            Graft(
                parts: [.init(name: name, shape: [4, 5], indices: try Tensor(indices), values: try Tensor(values))],
                selected: 40)
        }
        let (first, second) = try (part([1, 3, 7], [1, 2, 3]), part([3, 7, 9], [2, 8, 9]))
        let (union, conflicts) = try Graft.union([first, second])
        #expect(conflicts == 1 && union.count == 4)
        #expect(try union.parts[0].indices.elements(Int.self) == [1, 3, 7, 9])
        #expect(try union.parts[0].values.elements(Float.self) == [1, 2, 8, 9])
        #expect(try first.common(with: second) == 2)
        #expect(try first.common(with: part([1], [1], "layers.1.mlp.up.weight")) == 0)
    }

    @Test func `what grafts share, and what is in either, adds up however they are joined`() throws {
        func graft(_ up: [Int], _ down: [Int], shape: [Int] = [4, 5], value: Float = 1) throws -> Graft {
            let own = [("layers.0.mlp.up.weight", up), ("layers.0.mlp.down.weight", down)].filter { !$0.1.isEmpty }
            let parts = try own.map { name, places in
                Graft.Part(
                    name: name, shape: shape, indices: try Tensor(places),
                    values: try Tensor(places.map { Float($0) * value }))
            }
            return Graft(parts: parts, selected: 40)
        }
        let (first, second) = try (graft([1, 3, 7], [0, 19]), graft([3, 7, 9, 11], [0]))
        let (apart, none) = try (graft([2], []), graft([], []))
        // By hand: common coordinates, those in either, and their Jaccard index.
        let cases: [(one: Graft, other: Graft, common: Int, either: Int, index: Double)] = [
            (first, second, 3, 7, 3.0 / 7), (first, first, 5, 5, 1), (first, apart, 0, 6, 0), (first, none, 0, 5, 0),
            (none, none, 0, 0, 0),
        ]
        for (one, other, common, either, index) in cases {
            #expect(try one.common(with: other) == common && other.common(with: one) == common)
            let (union, conflicts) = try Graft.union([one, other])
            #expect(union.count == either && conflicts == 0 && union.selected == 40)
            #expect(union.count == one.count + other.count - common)
            #expect(abs(Double(common) / Double(max(1, either)) - index) < 1e-12)
        }
        // Other values at every common place but 0, whose value is 0 in both.
        let doubled = try graft([3, 7, 9, 11], [0], value: 2)
        let (union, conflicts) = try Graft.union([first, doubled])
        #expect(conflicts == 2 && union.count == 7)
        for part in union.parts {
            let places = try part.indices.elements(Int.self)
            #expect(places == places.sorted() && Set(places).count == places.count)
            let late = try doubled.parts.first { $0.name == part.name }?.indices.elements(Int.self) ?? []
            for (place, value) in try zip(places, part.values.elements(Float.self)) {
                #expect(value == Float(place) * (late.contains(place) ? 2 : 1), "\(part.name) \(place)")
            }
        }
        let wide = try graft([1], [], shape: [5, 5])
        let refusal = #expect(throws: HoneError.self) { try Graft.union([first, wide]) }
        #expect(refusal?.code == .mismatch && refusal?.item == "layers.0.mlp.up.weight")
    }

    @Test func `coordinates that do not rise, or lie outside their weight, are refused with the file's name`() throws {
        let (base, tuned) = try (TinyModel.bert.load(in: scratch, seed: 1), TinyModel.bert.load(in: scratch, seed: 2))
        let folder = try scratch.folder("damaged")
        let path = folder + "/whole.graft"
        try GraftFile(graft(base, tuned, keeping: 300)).write(to: path, for: base)
        let header = try SafetensorsFile(path: path).metadata
        let tensors = try TensorFiles.read(path)
        let place = try #require(tensors.firstIndex { $0.name.hasSuffix(".indices") && $0.tensor.count > 2 })
        let source = String(tensors[place].name.dropLast(8))
        let stored = try TensorFiles.read(tuned.folder + "/model.safetensors")
        let size = try #require(stored.first { $0.name == source }).tensor.count
        let own = try tensors[place].tensor.elements(Int.self)
        let changes: [(name: String, places: [Int], code: HoneError.Code)] = [
            ("falling", Array(own.reversed()), .badFile), ("twice", [own[0]] + Array(own.dropLast()), .badFile),
            ("below", [-1] + Array(own.dropFirst()), .badFile), ("beyond", Array(own.dropLast()) + [size], .mismatch),
            ("far-beyond", Array(own.dropLast()) + [.max], .mismatch),
            ("far-below", [.min] + Array(own.dropFirst()), .badFile),
        ]
        for (name, places, code) in changes {
            var changed = tensors
            changed[place].tensor = try Tensor(places)
            let file = "\(folder)/\(name).graft"
            try TensorFiles.write(changed, metadata: header, to: file)
            let error = #expect(throws: HoneError.self, "\(name)") { try GraftFile.read(file, for: base) }
            #expect(
                error?.code == code && error?.file == file && error?.item == source, "\(name): \(error as Any)")
        }
        // What belongs together and is not there, or is not as many.
        let damages: [(name: String, change: (inout [(name: String, tensor: Tensor)]) throws -> Void)] = [
            ("no-values", { $0.removeAll { $0.name == source + ".values" } }),
            ("no-indices", { _ = $0.remove(at: place) }),
            ("fewer", { $0[place].tensor = try Tensor(Array(own.dropLast())) }),
            ("not-whole", { $0[place].tensor = try Tensor(own.map { Float($0) }) }),
        ]
        for (name, change) in damages {
            var changed = tensors
            try change(&changed)
            let file = "\(folder)/\(name).graft"
            try TensorFiles.write(changed, metadata: header, to: file)
            let error = #expect(throws: HoneError.self, "\(name)") { try GraftFile.read(file, for: base) }
            #expect(error?.code == .badFile && error?.file == file, "\(name): \(error as Any)")
        }
        let headers: [(name: String, text: String?)] = [
            ("no-header", nil), ("more-coordinates", #"{"version": 1, "k": 301, "n": 400}"#),
        ]
        for (name, text) in headers {
            var changed = header
            changed["graft"] = text
            let file = "\(folder)/\(name).graft"
            try TensorFiles.write(tensors, metadata: changed, to: file)
            let error = #expect(throws: HoneError.self, "\(name)") { try GraftFile.read(file, for: base) }
            #expect(error?.code == .badFile && error?.file == file, "\(name): \(error as Any)")
        }
        #expect(try GraftFile.read(path, for: base).graft.count == 300)
    }

    @Test func `the places of a graft add up to it`() throws {
        let (base, tuned) = try (TinyModel.bert.load(in: scratch, seed: 1), TinyModel.bert.load(in: scratch, seed: 2))
        let own = try graft(base, tuned, keeping: 77)
        let (kinds, layers) = own.places(in: base.configuration)
        for places in [kinds, layers] {
            #expect(places.reduce(0) { $0 + $1.count } == 77)
            #expect(places.reduce(0) { $0 + $1.available } == own.selected)
        }
        #expect(Set(kinds.map(\.name)) == ["query", "key", "value", "output", "up", "down", "norm", "bias"])
        #expect(layers.count == base.configuration.layerCount)
        #expect(own.figures(in: base.configuration).count == 2)
    }

    private func trained(_ settings: [String: String], steps: Int = 30) throws -> (model: BaseModel, adapter: Adapter) {
        let model = try TinyModel.bert.load(in: scratch)
        let task = TinyTask.classification()
        var adapter = try Adapter.initial(
            Methods.make("graft", typed: settings), for: model, task: task.shape, labels: task.labels,
            encoding: .init(),
            seed: 1)
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        var plan = TrainingPlan(steps: steps, learningRate: 5e-3)
        plan.batchSize = 8
        let outcome = try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), plan: plan
        ).run()
        adapter.parameters = outcome.parameters
        return (model, adapter)
    }

    @Test func `training with a graft leaves the coordinates asked for, and a head that training did not move`() throws
    {
        let (model, adapter) = try trained(["keep": "0.01", "rounds": "2"])
        let graft = try #require(Grafting.graft(in: adapter.parameters, for: model.configuration))
        #expect(graft.count == (GraftSpace(model.configuration).count) / 100)
        #expect(
            adapter.parameters.count == graft.count
                + adapter.parameters.all.reduce(0) {
                    $0 + ($1.group == .head ? $1.tensor.count : 0)
                })
        let (_, other) = try trained(["keep": "0.01", "rounds": "0"], steps: 3)
        for parameter in adapter.parameters.all where parameter.group == .head {
            let same: [Float] = try other.parameters.tensor(parameter.name).elements()
            #expect(try parameter.tensor.elements() == same)
        }
    }

    @Test func `a graft is trained further on its own coordinates alone`() throws {
        let (model, adapter) = try trained(["keep": "0.01", "mask": "movement"])
        let task = TinyTask.classification()
        let encoder = try ExampleEncoder(model, options: adapter.encoding)
        var plan = TrainingPlan(steps: 5, learningRate: 1e-2)
        plan.batchSize = 8
        let more = try Trainer(
            model: model, adapter: adapter, examples: task.examples.map(encoder.encode), plan: plan
        ).run().parameters
        #expect(more.all.map(\.name) == adapter.parameters.all.map(\.name))
        for parameter in adapter.parameters.all {
            let after: [Double] = try more.tensor(parameter.name).elements()
            let before: [Double] = try parameter.tensor.elements()
            #expect((after == before) == (!parameter.name.hasSuffix(".values")), "\(parameter.name)")
        }
    }

    @Test func `a mask of biases takes every bias, and is refused where there are none`() throws {
        let (model, adapter) = try trained(["mask": "bias"], steps: 2)
        let graft = try #require(Grafting.graft(in: adapter.parameters, for: model.configuration))
        #expect(graft.parts.allSatisfy { $0.name.hasSuffix(".bias") })
        #expect(graft.parts.count == GraftSpace(model.configuration).entries.count { $0.name.hasSuffix(".bias") })
        let bare = try TinyModel.llama.load(in: scratch)
        let error = #expect(throws: HoneError.self) { try GraftMask.biases(GraftSpace(bare.configuration), on: .cpu) }
        #expect(error?.code == .mismatch)
        // And before anything is trained.
        let early = #expect(throws: HoneError.self) {
            try Adapter.initial(
                Methods.make("graft", typed: ["mask": "bias"]), for: bare, task: .generation, labels: [],
                encoding: .init(maximumLength: 40), seed: 1)
        }
        #expect(early?.message == "this model's layers have no biases")
    }
}
