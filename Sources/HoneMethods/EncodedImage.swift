import HoneFormats
import HoneImages
import HoneModels
import HoneTasks
import Synchronization

/// An image of an example, in the size that the model sees.
///
/// It is kept in memory, a byte a sample, while the images of its reader take less than a gigabyte together; after that it is
/// read again from its file whenever it is needed.
public final class EncodedImage: Sendable {
    /// The file.
    public let path: String
    /// How many tokens it has in the model.
    public let length: Int
    private let reader: ImageReader
    private let kept: Bitmap?

    init(path: String, kept: Bitmap?, length: Int, reader: ImageReader) {
        self.path = path
        self.kept = kept
        self.length = length
        self.reader = reader
    }

    deinit {
        if let kept { reader.giveBack(kept.samples.count) }
    }

    /// The numbers that the model gets, `[channels, height, width]`.
    ///
    /// - Throws: `HoneError` where the file has gone or changed since.
    func numbers() throws -> [Float] { reader.preparation.numbers(of: try kept ?? reader.bitmap(path)) }
}

/// Reads the images of examples for one model.
final class ImageReader: Sendable {
    let preparation: ImagePreparation
    private let patches: TransformerConfiguration.Patches
    private let left = Mutex(1 << 30)

    init(_ preparation: ImagePreparation, patches: TransformerConfiguration.Patches) {
        self.preparation = preparation
        self.patches = patches
    }

    /// The image of an example, checked.
    func image(_ reference: ImageReference) throws -> EncodedImage {
        let bitmap = try bitmap(reference.path)
        let size = bitmap.samples.count
        let isKept = left.withLock { left in
            guard left >= size else { return false }
            left -= size
            return true
        }
        return EncodedImage(
            path: reference.path, kept: isKept ? bitmap : nil, length: patches.length, reader: self)
    }

    func giveBack(_ bytes: Int) { left.withLock { $0 += bytes } }

    /// The image of a file in the size that the model sees.
    func bitmap(_ path: String) throws -> Bitmap {
        let image = preparation.sized(try ImageFile.read(path, channels: preparation.channels))
        guard image.height == patches.imageHeight, image.width == patches.imageWidth else {
            throw HoneError(
                .mismatch,
                "has \(image.height) by \(image.width) pixels as the model's folder prepares it, and the model takes "
                    + "\(patches.imageHeight) by \(patches.imageWidth)", file: path)
        }
        return image
    }
}
