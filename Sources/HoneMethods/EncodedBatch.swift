import HoneModels
import HoneTorch

extension Transformer {
    /// Encoded rows as the model takes them: all texts, or all images.
    ///
    /// - Parameter padId: what fills shorter rows; no state depends on it.
    /// - Throws: `HoneError` where the file of an image can no longer be read, or images do not fit the model.
    public func batch(_ rows: [EncodedExample], padId: Int) throws -> TokenBatch {
        if let patches = configuration.patches, rows.contains(where: { $0.image != nil }) {
            let numbers = try rows.flatMap { try $0.image?.numbers() ?? [] }
            let shape = [rows.count, patches.channels, patches.imageHeight, patches.imageWidth]
            return try TokenBatch(pixels: Tensor(numbers, shape: shape, on: device), for: configuration)
        }
        let typed = rows.contains { $0.typeIds != nil }
        return try TokenBatch(
            rows.map(\.ids), typeIds: typed ? rows.map { $0.typeIds ?? Array(repeating: 0, count: $0.ids.count) } : nil,
            padId: padId, on: device)
    }
}
