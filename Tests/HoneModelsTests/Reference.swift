import Foundation
import HoneFormats
import HoneModels
import HoneTorch

/// A fixture folder: a tiny model, and what the reference library computes with it. `Scripts/fixtures/models.py` says
/// what the tensors are.
struct Reference {
    /// Where all fixtures lie.
    static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().path + "/Fixtures"

    let folder: String
    let model: BaseModel
    let tensors: [String: Tensor]

    init(_ name: String, dtype: DType = .float32) throws {
        folder = Reference.fixtures + "/" + name
        model = try BaseModel(folder: folder, dtype: dtype)
        tensors = try Reference.tensors(folder + "/reference.safetensors")
    }

    static func tensors(_ path: String) throws -> [String: Tensor] {
        Dictionary(uniqueKeysWithValues: try TensorFiles.read(path).map { ($0.name, $0.tensor) })
    }

    /// A tensor of the reference.
    func tensor(_ name: String) throws -> Tensor {
        guard let tensor = tensors[name] else {
            throw HoneError(.mismatch, "the fixture lacks this tensor", file: folder, item: name)
        }
        return tensor
    }

    /// The real tokens of each row, by ids and mask of these names.
    func rows(_ ids: String = "input_ids", mask: String = "attention_mask") throws -> [[Int]] {
        let length = try tensor(ids).size(1)
        let (flat, kept) = (try tensor(ids).elements(Int.self), try tensor(mask).elements(Int.self))
        return stride(from: 0, to: flat.count, by: length).map { start in
            (start..<start + length).compactMap { kept[$0] == 1 ? flat[$0] : nil }
        }
    }

    /// The fixed batch, padded on the right; or of images.
    func batch() throws -> TokenBatch {
        if let pixels = tensors["pixel_values"] { return try TokenBatch(pixels: pixels, for: model.configuration) }
        return try TokenBatch(rows(), typeIds: tensors["token_type_ids"] == nil ? nil : rows("token_type_ids"))
    }

    /// What a model computes with, as trainable copies, by Hone's names.
    func trainableWeights() throws -> [String: Tensor] {
        try model.transformer.weights.mapValues { try $0.detached().cloned().setRequiresGradient() }
    }

    /// The fixed classification head of an encoder's loss.
    func head() throws -> [Tensor] {
        try ["head.weight", "head.bias"].map { try tensor($0).cloned().setRequiresGradient() }
    }

    /// The loss that the fixture was trained with, of a transformer.
    ///
    /// Causal: mean cross-entropy of the tokens after the third. Encoders: cross-entropy of a linear head over the
    /// mean of the last states, or over the first of an image.
    func loss(_ transformer: Transformer, head: [Tensor] = [], withTypes: Bool = true) throws -> Tensor {
        let batch = try withTypes ? batch() : TokenBatch(rows())
        let states = try transformer.states(batch)
        guard model.configuration.isCausal else {
            let logits = try model.pooled(states, of: batch).linear(head[0], bias: head[1])
            return try logits.crossEntropySum(tensor("labels")) / Double(batch.rowCount)
        }
        let rows = try rows()
        var places: [Int] = []
        var targets: [Int] = []
        for (row, ids) in rows.enumerated() where ids.count > 3 {
            for place in 3..<ids.count {
                places.append(row * batch.length + place - 1)
                targets.append(ids[place])
            }
        }
        let chosen = try states.reshaped([-1, states.size(-1)]).selecting(Tensor(places))
        return try transformer.logits(chosen).crossEntropySum(Tensor(targets)) / Double(targets.count)
    }
}

/// Gives a body a new empty folder, which is removed afterwards.
func withTemporaryFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = FileManager.default.temporaryDirectory.path + "/hone-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try body(folder)
}

/// How far numbers may lie from those of a reference: 1e-5, or 1e-5 of the largest where that is above one, as rounding grows with it.
func allowedDifference(from reference: Tensor) throws -> Double {
    try withoutGradients { try 1e-5 * max(1, reference.abs().max().item()) }
}

/// The largest absolute difference of two tensors, over a batch's real tokens where one is given.
func largestDifference(_ ours: Tensor, _ theirs: Tensor, over batch: TokenBatch? = nil) throws -> Double {
    guard ours.shape == theirs.shape else { return .infinity }
    return try withoutGradients {
        var difference = try (ours.detached().to(.float64) - theirs.to(.float64)).abs()
        if let valid = batch?.valid {
            difference = try difference.filled(where: valid.logicalNot().unsqueezed(-1), with: 0)
        }
        return try difference.max().item()
    }
}
