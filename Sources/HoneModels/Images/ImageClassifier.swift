import HoneFormats
import HoneTorch

/// The classifier of images that a model's folder has itself: a linear map of the first token's state, or the mean of two
/// such maps where a second token was taught by another model.
///
/// Methods train heads of their own; this one answers as the folder was published.
///
///     let model = try BaseModel(folder: "models/vit-base-patch16-224")
///     let classifier = try ImageClassifier(model)
///     let scores = try classifier.scores(model.transformer.states(batch))
public struct ImageClassifier {
    /// The names of the classes, in their order, as `id2label` of the config has them.
    public let labels: [String]
    /// The maps with the tokens that they look at.
    private let heads: [(token: Int, weight: Tensor, bias: Tensor)]

    /// Reads the classifier of a model's folder.
    ///
    /// - Throws: `HoneError` with code `.mismatch` where the model reads text or its folder has no classifier, or one that does
    ///   not fit.
    public init(_ model: BaseModel) throws {
        guard let patches = model.configuration.patches else {
            throw HoneError(.mismatch, "this model reads text, not images", file: model.folder)
        }
        let files = try WeightFolder.open(model.folder)
        func head(_ name: String, token: Int) throws -> (token: Int, weight: Tensor, bias: Tensor)? {
            guard let file = files.file(of: name + ".weight") else { return nil }
            guard let second = files.file(of: name + ".bias") else {
                throw HoneError(.mismatch, "the weight is missing", file: model.folder, item: name + ".bias")
            }
            let weight = try TensorFiles.tensor(name + ".weight", in: file)
            let bias = try TensorFiles.tensor(name + ".bias", in: second)
            guard weight.rank == 2, weight.size(1) == model.configuration.width, bias.shape == [weight.size(0)],
                weight.dtype.isFloatingPoint, bias.dtype.isFloatingPoint
            else {
                throw HoneError(
                    .mismatch, "has shape \(weight.shape), the model's width is \(model.configuration.width)",
                    file: file.path, item: name + ".weight")
            }
            let (dtype, device) = (model.transformer.dtype, model.transformer.device)
            return (token, try weight.to(dtype).to(device), try bias.to(dtype).to(device))
        }
        if let only = try head("classifier", token: 0) {
            heads = [only]
        } else if patches.hasDistillationToken, let own = try head("cls_classifier", token: 0),
            let taught = try head("distillation_classifier", token: 1), own.weight.shape == taught.weight.shape
        {
            heads = [own, taught]
        } else {
            throw HoneError(.mismatch, "the model's folder has no classifier of images", file: model.folder)
        }
        labels = try ImageClassifier.labels(folder: model.folder, count: heads[0].bias.count)
    }

    private static func labels(folder: String, count: Int) throws -> [String] {
        let file = folder + "/config.json"
        let names = try JSON.read(file: file)["id2label"]
        return try (0..<count).map { place in
            guard let names, !names.isNull else { return "\(place)" }
            guard let name = names["\(place)"]?.string else {
                throw HoneError(.mismatch, "has no name for class \(place) of \(count)", file: file, item: "id2label")
            }
            return name
        }
    }

    /// Scores of the classes, `[rows, classes]`, from last states `[rows, length, width]`.
    public func scores(_ states: Tensor) throws -> Tensor {
        let all = try heads.map { try states.at($0.token, dimension: 1).linear($0.weight, bias: $0.bias) }
        guard all.count == 2 else { return all[0] }
        return try (all[0] + all[1]) / 2
    }
}
