import Foundation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTesting
import HoneTorch
import Testing

/// Images of examples on their way into a model.
@Suite struct ImageExampleTests {
    private let scratch: TemporaryFolder
    private let model: BaseModel

    init() throws {
        scratch = try TemporaryFolder()
        model = try TinyModel.deit.load(in: scratch)
    }

    private func example(_ path: String) -> Example {
        Example(index: 0, file: "", line: 1, input: .image(ImageReference(path: path)), target: .label(1))
    }

    private func image(_ name: String, width: Int, height: Int, value: UInt8 = 90) throws -> String {
        let path = scratch.path + "/" + name
        let samples = (0..<width * height).map { value &+ UInt8(truncatingIfNeeded: $0 * 7) }
        try AtomicFile.write(Data(TinyImage.png(width: width, height: height, grey: samples)), to: path)
        return path
    }

    @Test func `an image has as many tokens as the model has places, and one target`() throws {
        let row = try ExampleEncoder(model, options: .init()).encode(example(image("a.png", width: 9, height: 12)))
        #expect(row.length == 6 && row.targetCount == 1 && row.ids.isEmpty && row.image?.length == 6)
        let batch = try model.transformer.batch([row, row], padId: 0)
        #expect(batch.pixels?.shape == [2, 1, 8, 8] && batch.length == 6 && batch.tokenCount == 12)
    }

    @Test func `refuses text, and a model of text refuses images`() throws {
        let encoder = try ExampleEncoder(model, options: .init())
        for input in [Example.Input.text("a"), .pair("a", "b"), .prompt("a"), .messages([])] {
            let error = try #require(throws: HoneError.self) {
                try encoder.encode(Example(index: 0, file: "", line: 1, input: input, target: .unknown))
            }
            #expect(error.code == .mismatch && error.message.contains("model of text"))
        }
        let text = try ExampleEncoder(TinyModel.bert.load(in: scratch), options: .init())
        let path = try image("a.png", width: 8, height: 8)
        let error = try #require(throws: HoneError.self) { try text.encode(example(path)) }
        #expect(error.code == .mismatch && error.message.contains("model of images"))
    }

    @Test func `names a file that is no image, or has gone`() throws {
        let encoder = try ExampleEncoder(model, options: .init())
        let path = scratch.path + "/broken.png"
        try AtomicFile.write(
            Data(TinyImage.png(width: 8, height: 8, grey: Array(repeating: 1, count: 64)).prefix(60)), to: path)
        for wrong in [path, scratch.path + "/none.png"] {
            let error = try #require(throws: HoneError.self) { try encoder.encode(example(wrong)) }
            #expect(error.file == wrong)
        }
    }

    @Test func `without a new size, images must have the model's`() throws {
        let folder = try scratch.folder("as-they-are")
        try TinyModel.deit.write(to: folder)
        let json: JSON = ["do_resize": false, "image_mean": 0.5, "image_std": 0.5]
        try AtomicFile.write(json.text(), to: folder + "/preprocessor_config.json")
        let encoder = try ExampleEncoder(BaseModel(folder: folder), options: .init())
        _ = try encoder.encode(example(image("fits.png", width: 8, height: 8)))
        let path = try image("wide.png", width: 9, height: 8)
        let error = try #require(throws: HoneError.self) { try encoder.encode(example(path)) }
        #expect(error.code == .mismatch && error.file == path && error.message.contains("8 by 9"))
    }

    @Test func `a description that makes images of another size is refused with the model`() throws {
        let folder = try scratch.folder("another-size")
        try TinyModel.deit.write(to: folder)
        try AtomicFile.write(
            #"{"size": 9, "image_mean": 0.5, "image_std": 0.5}"#, to: folder + "/preprocessor_config.json")
        let error = try #require(throws: HoneError.self) { try BaseModel(folder: folder) }
        #expect(error.code == .mismatch && error.item == "size")
        try FileManager.default.removeItem(atPath: folder + "/preprocessor_config.json")
        #expect(throws: HoneError.self) { try BaseModel(folder: folder) }
    }

    @Test func `the numbers of a row are those of its file, kept or not`() throws {
        let path = try image("a.png", width: 8, height: 8)
        let kept = try ExampleEncoder(model, options: .init()).encode(example(path))
        let pixels = try #require(model.transformer.batch([kept], padId: 0).pixels).elements(Float.self)
        let expected = (0..<64).map { (Float(90 &+ UInt8(truncatingIfNeeded: $0 * 7)) / 255 - 0.5) / 0.25 }
        #expect(zip(pixels, expected).allSatisfy { abs($0 - $1) < 1e-6 })
        // What is kept does not look at the file again.
        try FileManager.default.removeItem(atPath: path)
        #expect(try model.transformer.batch([kept], padId: 0).pixels?.elements(Float.self) == pixels)
    }
}
