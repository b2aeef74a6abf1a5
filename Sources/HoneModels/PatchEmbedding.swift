import HoneFormats
import HoneImages
import HoneTorch

extension TransformerConfiguration.Patches {
    /// The vectors that images become before the first layer, `[rows, length, width]`, their places added.
    ///
    /// - Parameters:
    ///   - pixels: `[rows, channels, imageHeight, imageWidth]`
    ///   - weight: finds a weight of the model by its name.
    func vectors(of pixels: Tensor, weight: (String) throws -> Tensor) throws -> Tensor {
        let rows = pixels.size(0)
        let map = try weight("embeddings.patches.weight")
        let width = map.size(0)
        // A convolution whose windows do not overlap is a linear map of each window.
        let seen = try pixels.narrowed(2, from: 0, length: grid.rows * patchHeight)
            .narrowed(3, from: 0, length: grid.columns * patchWidth)
        let flat = try seen.reshaped([rows, channels, grid.rows, patchHeight, grid.columns, patchWidth])
            .permuted([0, 2, 4, 1, 3, 5])
            .reshaped([rows, grid.rows * grid.columns, channels * patchHeight * patchWidth])
        let patches = try flat.linear(map.reshaped([width, -1]), bias: weight("embeddings.patches.bias"))
        var parts = [try weight("embeddings.class.weight")]
        if hasDistillationToken { parts.append(try weight("embeddings.distillation.weight")) }
        let front = try parts.map { try $0.unsqueezed(0).expanded([rows, 1, width]) }
        let vectors = try Tensor.concatenated(front + [patches], dimension: 1)
        return try vectors + weight("embeddings.positions.weight")
    }
}

extension TransformerConfiguration.Patches {
    /// How images are prepared for a model with these patches, as its folder says.
    ///
    /// - Throws: `HoneError` where the description is missing or damaged, or makes images of another size.
    func preparation(folder: String) throws -> ImagePreparation {
        guard channels == 1 || channels == 3 else {
            throw HoneError(
                .unsupported, "images of \(channels) channels are not supported", file: folder + "/config.json",
                item: "num_channels")
        }
        let preparation = try ImagePreparation(folder: folder, channels: channels)
        if let made = preparation.finalSize, made.height != imageHeight || made.width != imageWidth {
            throw HoneError(
                .mismatch,
                "makes images of \(made.height) by \(made.width) pixels, the model takes \(imageHeight) by \(imageWidth)",
                file: folder + "/" + ImagePreparation.fileName, item: preparation.crop == nil ? "size" : "crop_size")
        }
        return preparation
    }
}

extension TokenBatch {
    /// Images as rows of tokens.
    ///
    /// - Parameters:
    ///   - pixels: `[rows, channels, height, width]`, prepared as the model's folder says.
    ///   - configuration: of the model that is to see them.
    /// - Throws: `HoneError` with code `.mismatch` where the model does not read images, or not of this size.
    public init(pixels: Tensor, for configuration: TransformerConfiguration) throws {
        guard let patches = configuration.patches else {
            throw HoneError(.mismatch, "this model reads text, not images")
        }
        let wanted = [patches.channels, patches.imageHeight, patches.imageWidth]
        guard pixels.rank == 4, pixels.size(0) > 0, Array(pixels.shape.dropFirst()) == wanted else {
            throw HoneError(
                .mismatch, "images of shape \(pixels.shape) do not fit a model of images of shape \(wanted)")
        }
        try self.init(pixels: pixels, length: patches.length)
    }
}
