import Foundation
import HoneFormats
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
