import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import Testing

/// Models of images: what goes in, what is refused, and folders.
struct ImageModelTests {
    @Test func `refuses text, and a model of text refuses images`() throws {
        let images = try Reference("vit")
        let error = try #require(throws: HoneError.self) {
            try images.model.transformer.states(TokenBatch([[1, 2]]))
        }
        #expect(error.code == .mismatch && error.message == "this model reads images, not text")
        #expect(throws: HoneError.self) { try images.model.tokenizer }
        #expect(try images.model.chatFormat() == nil)
        let text = try Reference("bert-tiny").model
        #expect(throws: HoneError.self) {
            try TokenBatch(pixels: Tensor.zeros([1, 3, 12, 12]), for: text.configuration)
        }
        #expect(throws: HoneError.self) { try text.transformer.states(images.batch()) }
        #expect(throws: HoneError.self) { try ImageClassifier(text) }
        #expect(throws: HoneError.self) { try ImageClassifier(Reference("vit-oblong").model) }
    }

    @Test(arguments: [[0, 3, 12, 12], [1, 1, 12, 12], [1, 3, 12, 13], [3, 12, 12], [1, 3, 24, 6]])
    func `refuses images of another size`(shape: [Int]) throws {
        let model = try Reference("vit").model
        let error = try #require(throws: HoneError.self) {
            try TokenBatch(pixels: Tensor.zeros(shape), for: model.configuration)
        }
        #expect(error.code == .mismatch)
    }

    @Test(arguments: ParityTests.images)
    func `computes exactly what it computes in a packed batch, alone or among others`(name: String) throws {
        let reference = try Reference(name)
        let transformer = reference.model.transformer
        let exact = try BaseModel(folder: reference.folder, exact: true).transformer
        try withoutGradients {
            let together = try transformer.states(reference.batch())
            #expect(try largestDifference(together, exact.states(reference.batch())) < 5e-6)
            let pixels = try reference.tensor("pixel_values")
            for row in 0..<3 {
                let one = try TokenBatch(
                    pixels: pixels.narrowed(0, from: row, length: 1), for: transformer.configuration)
                #expect(
                    try largestDifference(transformer.states(one), together.narrowed(0, from: row, length: 1)) < 5e-6)
            }
        }
    }

    @Test func `prompts stand before an image and take no place of it`() throws {
        let reference = try Reference("deit")
        var attachments = Attachments()
        attachments.prompts = [try Tensor.full([5, 24], 0.5)]
        let prompted = try reference.model.transformer.attaching(attachments)
        try withoutGradients {
            let states = try prompted.states(reference.batch())
            #expect(states.shape == (try reference.tensor("hidden.2").shape))
            #expect(try largestDifference(states, reference.tensor("hidden.2")) > 1e-3)
        }
    }

    @Test(arguments: ParityTests.images)
    func `writes a folder with new weights that is read as them`(name: String) throws {
        let model = try Reference(name).model
        try withTemporaryFolder { folder in
            let changed = try model.transformer.weights.mapValues { try $0 * 2 }
            try model.write(to: folder + "/model", replacing: changed)
            let read = try BaseModel(folder: folder + "/model").transformer
            for (weight, tensor) in changed {
                #expect(try largestDifference(#require(read.weights[weight]), tensor) == 0, "\(weight)")
            }
        }
    }

    @Test func `an adapter of PEFT's computes what PEFT computes, and is written again as it was`() throws {
        let fixture = try AdapterFixture("vit-lora")
        let batch = try fixture.reference.batch()
        let hidden = try #require(fixture.expected["hidden"])
        let states = try withoutGradients { try fixture.adapted().states(batch) }
        #expect(try largestDifference(states, hidden) < allowedDifference(from: hidden))
        #expect(try largestDifference(states, fixture.reference.tensor("hidden.2")) > 1e-2)
        let merged = try #require(try fixture.method.mergedWeights(fixture.parameters, model: fixture.base))
        let whole = try Transformer(fixture.base.configuration, weights: fixture.base.weights.merging(merged) { $1 })
        let difference = try withoutGradients { try largestDifference(whole.states(batch), hidden) }
        #expect(try difference < allowedDifference(from: hidden))
        let original = try Reference.tensors(fixture.folder + "/adapter_model.safetensors")
        let written = try fixture.written(fixture.parameters)
        #expect(Set(written.keys) == Set(original.keys))
        for (name, tensor) in written { #expect(try largestDifference(tensor, #require(original[name])) == 0) }
    }

    @Test func `an adapter with the module names of earlier versions is read as the same`() throws {
        let fixture = try AdapterFixture("vit-lora")
        let older = [
            ("vit.layers.", "vit.encoder.layer."), ("attention.q_proj", "attention.attention.query"),
            ("attention.v_proj", "attention.attention.value"), ("attention.o_proj", "attention.output.dense"),
            ("mlp.fc1", "intermediate.dense"),
        ]
        try withTemporaryFolder { folder in
            let tensors = try TensorFiles.read(fixture.folder + "/adapter_model.safetensors").map { entry in
                (name: older.reduce(entry.name) { $0.replacing($1.0, with: $1.1) }, tensor: entry.tensor)
            }
            try TensorFiles.write(tensors, to: folder + "/adapter_model.safetensors")
            var config = try #require(JSON.read(file: fixture.folder + "/adapter_config.json").object)
            config["target_modules"] = ["query", "value", "attention.output.dense", "intermediate.dense"]
            try AtomicFile.write(JSON.object(config).text(), to: folder + "/adapter_config.json")
            let read = try Adapter.readMethod(AdapterFolderReader(path: folder), for: fixture.reference.model)
            #expect(read.parameters.all.map(\.name) == fixture.parameters.all.map(\.name))
            for (one, other) in zip(read.parameters.all, fixture.parameters.all) {
                #expect(try largestDifference(one.tensor, other.tensor) == 0)
            }
        }
    }

    private static let wrong: [(String, JSON)] = [
        ("image_size", JSON.integer(0)), ("image_size", [12, 12, 12]), ("image_size", "12"), ("patch_size", 13),
        ("patch_size", [4, 1_099_511_627_776]), ("num_channels", 0), ("num_attention_heads", 5),
        ("hidden_act", "prelu"),
        ("qkv_bias", "yes"), ("layer_norm_eps", 0),
    ]

    @Test(arguments: wrong)
    func `names the field of a config that it cannot use`(field: String, value: JSON) throws {
        let error = try ModelFolderTests().refusal("vit", config: { $0[field] = value })
        #expect(error.item == field)
    }
}
