import HoneFormats

/// What happens to an image before a model sees it, as `preprocessor_config.json` of the model's folder says: another size, the
/// middle cut out, samples scaled and centred. In every number as transformers does it with Pillow.
public struct ImagePreparation: Sendable, Hashable {
    /// A height and a width in pixels.
    public struct Extent: Sendable, Hashable {
        /// In pixels.
        public var height: Int
        /// In pixels.
        public var width: Int

        /// A height and a width.
        public init(height: Int, width: Int) {
            self.height = height
            self.width = width
        }
    }

    /// How the size that an image is brought to is given.
    public enum Size: Sendable, Hashable {
        /// Exactly so high and so wide.
        case exact(height: Int, width: Int)
        /// The shorter side gets this length, and the other keeps the shape.
        case shortestEdge(Int)
    }

    /// The name of the file.
    public static let fileName = "preprocessor_config.json"

    /// How many channels an image has: 1 for grey, 3 for colours.
    public var channels: Int
    /// The size that images are brought to; absent where they keep theirs.
    public var size: Size?
    /// How they are brought there.
    public var resampling: Resampling
    /// The size of the middle that is cut out; absent where all is kept.
    public var crop: Extent?
    /// What samples from 0 to 255 are multiplied by; absent where they stay so.
    public var scale: Double?
    /// What is taken from each channel after that; absent where nothing is.
    public var mean: [Float]?
    /// What each channel is divided by after that.
    public var deviation: [Float]?

    /// Reads the description of a model's folder.
    ///
    /// - Parameter channels: how many channels the model's images have, 1 or 3.
    /// - Throws: `HoneError` that names the file and the field which is missing, out of bounds or asks for something not
    ///   supported.
    public init(folder: String, channels: Int) throws {
        let file = folder + "/" + ImagePreparation.fileName
        guard FileStatus.exists(file) else {
            throw HoneError(
                .fileSystem, "there is no \(ImagePreparation.fileName), which says how images become numbers",
                file: folder)
        }
        try self.init(json: JSON.read(file: file), file: file, channels: channels)
    }

    /// Reads a description.
    ///
    /// - Parameter file: its name, for messages.
    /// - Throws: as `init(folder:channels:)`.
    public init(json: JSON, file: String, channels: Int) throws {
        let fields = PreparationFields(json: json, file: file)
        let defaults = try fields.defaults()
        self.channels = channels
        let resizes = try fields.flag("do_resize", default: true)
        size = resizes ? try fields.size("size") ?? defaults.size : nil
        resampling = try fields.resampling("resample") ?? defaults.resampling
        if try fields.flag("do_center_crop", default: defaults.crop != nil) {
            guard case .exact(let height, let width) = try fields.size("crop_size") ?? defaults.crop else {
                throw fields.refused("crop_size", "must be a height and a width")
            }
            crop = Extent(height: height, width: width)
        }
        scale =
            try fields.flag("do_rescale", default: true) ? try fields.number("rescale_factor") ?? 1 / 255 : nil
        if try fields.flag("do_normalize", default: true) {
            mean = try fields.channelValues("image_mean", count: channels, positive: false) ?? defaults.values(channels)
            deviation =
                try fields.channelValues("image_std", count: channels, positive: true) ?? defaults.values(channels)
        }
        if try fields.flag("do_pad", default: false) { throw fields.refused("do_pad", "is not supported") }
    }

    /// The height and width that all images get; `nil` where it depends on the image.
    public var finalSize: Extent? {
        if let crop { return crop }
        if case .exact(let height, let width) = size { return Extent(height: height, width: width) }
        return nil
    }

    /// An image in the size that the model sees.
    public func sized(_ image: Bitmap) -> Bitmap {
        var image = image
        switch size {
        case .exact(let height, let width): image = image.resized(width: width, height: height, by: resampling)
        case .shortestEdge(let edge):
            let (height, width) = ImagePreparation.extent(of: image, shortest: edge)
            image = image.resized(width: width, height: height, by: resampling)
        case nil: break
        }
        guard let crop else { return image }
        return image.centred(width: crop.width, height: crop.height)
    }

    private static func extent(of image: Bitmap, shortest edge: Int) -> (height: Int, width: Int) {
        let (short, long) = image.width <= image.height ? (image.width, image.height) : (image.height, image.width)
        let other = Int(Double(edge * long) / Double(short))
        return image.width <= image.height ? (other, edge) : (edge, other)
    }

    /// The number that each sample becomes: 256 a channel.
    public var numbers: [[Float]] {
        (0..<channels).map { channel in
            (0..<256).map { sample in
                var number = scale.map { Float(Double(sample) * $0) } ?? Float(sample)
                if let mean, let deviation { number = (number - mean[channel]) / deviation[channel] }
                return number
            }
        }
    }

    /// Numbers of an image in the model's size, channel after channel: `[channels, height, width]`.
    public func numbers(of image: Bitmap) -> [Float] {
        let tables = numbers
        let pixels = image.width * image.height
        return [Float](unsafeUninitializedCapacity: pixels * channels) { target, count in
            for channel in 0..<channels {
                let table = tables[channel]
                for pixel in 0..<pixels {
                    target[channel * pixels + pixel] = table[Int(image.samples[pixel * channels + channel])]
                }
            }
            count = pixels * channels
        }
    }
}

/// Reads the fields of `preprocessor_config.json`.
private struct PreparationFields {
    /// What is meant where a field is left out.
    struct Defaults {
        var size: ImagePreparation.Size
        var resampling: Resampling
        var crop: ImagePreparation.Size?

        /// Mean and deviation: a half in every channel.
        func values(_ channels: Int) -> [Float] { Array(repeating: 0.5, count: channels) }
    }

    /// The longest side that images are brought to.
    static let longestSide = 1 << 13

    let json: JSON
    let file: String

    func refused(_ field: String, _ sentence: String, _ code: HoneError.Code = .badFile) -> HoneError {
        HoneError(code, sentence, file: file, item: field)
    }

    private func present(_ field: String) -> JSON? {
        guard let found = json[field], !found.isNull else { return nil }
        return found
    }

    /// The defaults of the class that the file is for.
    func defaults() throws -> Defaults {
        let field = present("image_processor_type") == nil ? "feature_extractor_type" : "image_processor_type"
        var name = "ViTImageProcessor"
        if let found = present(field) {
            guard let text = found.string else { throw refused(field, "must be a string") }
            name = text
        }
        for ending in ["Fast", "Pil"] where name.hasSuffix(ending) { name = String(name.dropLast(ending.count)) }
        switch name {
        case "ViTImageProcessor", "ViTFeatureExtractor":
            return Defaults(size: .exact(height: 224, width: 224), resampling: .bilinear)
        case "DeiTImageProcessor", "DeiTFeatureExtractor":
            return Defaults(
                size: .exact(height: 256, width: 256), resampling: .bicubic, crop: .exact(height: 224, width: 224))
        default: throw refused(field, "`\(name)` is not supported", .unsupported)
        }
    }

    func flag(_ field: String, default value: Bool) throws -> Bool {
        guard let found = present(field) else { return value }
        guard let flag = found.bool else { throw refused(field, "must be true or false") }
        return flag
    }

    func number(_ field: String) throws -> Double? {
        guard let found = present(field) else { return nil }
        guard let number = found.number, number > 0, number.isFinite else {
            throw refused(field, "must be a number above 0")
        }
        return number
    }

    func size(_ field: String) throws -> ImagePreparation.Size? {
        guard let found = present(field) else { return nil }
        func side(_ value: JSON?) throws -> Int {
            guard let number = value?.integer, (1...PreparationFields.longestSide).contains(number) else {
                throw refused(
                    field, "must be a whole number from 1 to \(PreparationFields.longestSide), or a height and a width")
            }
            return number
        }
        guard let object = found.object else {
            let both = try side(found)
            return .exact(height: both, width: both)
        }
        let keys = Set(object.pairs.filter { !$0.value.isNull }.map(\.key))
        if keys == ["shortest_edge"] { return .shortestEdge(try side(object["shortest_edge"])) }
        guard keys == ["height", "width"] else {
            throw refused(field, "must have `height` and `width`, or `shortest_edge`", .unsupported)
        }
        return .exact(height: try side(object["height"]), width: try side(object["width"]))
    }

    func resampling(_ field: String) throws -> Resampling? {
        guard let found = present(field) else { return nil }
        guard let number = found.integer, let resampling = Resampling(rawValue: number) else {
            throw refused(field, "must be a number from 0 to \(Resampling.allCases.count - 1), as Pillow has them")
        }
        return resampling
    }

    /// One number for all channels, or one for each.
    func channelValues(_ field: String, count: Int, positive: Bool) throws -> [Float]? {
        guard let found = present(field) else { return nil }
        let values = found.array ?? Array(repeating: found, count: count)
        let numbers = values.compactMap(\.number).map { Float($0) }
            .filter { $0.isFinite && (!positive || $0 > 0) }
        guard values.count == count, numbers.count == count else {
            throw refused(
                field, "must be \(count) \(positive ? "positive " : "")numbers, one for each channel of the model")
        }
        return numbers
    }
}
