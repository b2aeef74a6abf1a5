import CHoneImages
import HoneFormats

/// Reads PNG and JPEG files, told apart by their content. What they hold beside pixels is not looked at: no gamma, no colour
/// profile, no orientation.
public enum ImageFile {
    /// The most pixels that an image may have.
    public static let mostPixels = 1 << 26
    /// The longest file in bytes.
    public static let mostBytes = 1 << 28

    /// The image in a file, in so many channels: 1 for grey, 3 for colours.
    ///
    /// What is see-through is laid on white. Ink becomes light; grey of 16 bits is cut at 255, as in Pillow, which the
    /// reference reads files with; colours of 16 bits lose their lower eight.
    ///
    /// - Throws: `HoneError` that names the file: `.fileSystem` where it cannot be read, `.badFile` where it is damaged or
    ///   claims to be larger than it can be, `.unsupported` for other formats and where the library for it is missing.
    public static func read(_ path: String, channels: Int) throws -> Bitmap {
        try decode(FileBytes.read(path, limit: mostBytes), file: path, channels: channels)
    }

    /// The image in the bytes of a file.
    ///
    /// - Parameter file: its name, for messages.
    /// - Throws: as `read`.
    public static func decode(_ bytes: [UInt8], file: String, channels: Int) throws -> Bitmap {
        precondition(channels == 1 || channels == 3, "an image has one channel or three")
        let isPNG = bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A])
        guard isPNG || bytes.starts(with: [0xFF, 0xD8, 0xFF]) else {
            throw HoneError(.unsupported, "is neither a PNG nor a JPEG file\(guess(bytes))", file: file)
        }
        var image = hone_image()
        defer { hone_image_free(&image) }
        var words = [CChar](repeating: 0, count: 256)
        let result = bytes.withUnsafeBufferPointer {
            isPNG
                ? hone_image_read_png($0.baseAddress, $0.count, UInt64(mostPixels), &image, &words)
                : hone_image_read_jpeg($0.baseAddress, $0.count, UInt64(mostPixels), &image, &words)
        }
        let reason = String(decoding: words.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        switch Int(result) {
        case HONE_IMAGE_DONE: break
        case HONE_IMAGE_NO_LIBRARY:
            let library = isPNG ? "libpng16.so.16" : "libjpeg.so.62"
            throw HoneError(
                .unsupported, "needs the library \(library), which is not installed; `make` fetches it", file: file)
        case HONE_IMAGE_TOO_LARGE:
            throw HoneError(
                .badFile,
                "\(reason), more than the \(mostPixels) that are read, or more than so short a file can hold",
                file: file)
        case HONE_IMAGE_NOT_SUPPORTED:
            throw HoneError(.unsupported, "\(reason) are not supported", file: file)
        case HONE_IMAGE_NO_MEMORY: throw HoneError(.badFile, "there is not enough memory for the image", file: file)
        default:
            throw HoneError(
                .badFile, "is no whole \(isPNG ? "PNG" : "JPEG") file" + (reason.isEmpty ? "" : ": \(reason)"),
                file: file)
        }
        return try bitmap(image, file: file).converted(toChannels: channels)
    }

    /// The samples as grey or colours.
    private static func bitmap(_ image: hone_image, file: String) throws -> Bitmap {
        let (width, height) = (Int(image.width), Int(image.height))
        let pixels = width * height
        let samples = UnsafeBufferPointer(start: image.samples, count: image.count)
        func made(channels: Int, _ fill: (UnsafeMutableBufferPointer<UInt8>) -> Void) -> Bitmap {
            Bitmap(
                width: width, height: height, channels: channels,
                samples: [UInt8](unsafeUninitializedCapacity: pixels * channels) { target, count in
                    fill(target)
                    count = pixels * channels
                })
        }
        let transparent = [image.transparent.0, image.transparent.1, image.transparent.2]
        func isTransparent(_ pixel: Int, _ channels: Int) -> Bool {
            image.has_transparent != 0
                && (0..<channels).allSatisfy { UInt16(samples[pixel * channels + $0]) == transparent[$0] }
        }
        switch Int(image.layout) {
        case HONE_IMAGE_GREY, HONE_IMAGE_RGB:
            let channels = Int(image.layout) == HONE_IMAGE_GREY ? 1 : 3
            guard image.has_transparent != 0 else {
                return Bitmap(width: width, height: height, channels: channels, samples: Array(samples))
            }
            return made(channels: channels) { target in
                for pixel in 0..<pixels {
                    let isWhite = isTransparent(pixel, channels)
                    for place in pixel * channels..<(pixel + 1) * channels {
                        target[place] = isWhite ? 255 : samples[place]
                    }
                }
            }
        case HONE_IMAGE_GREY_16:
            return made(channels: 1) { target in
                for pixel in 0..<pixels {
                    let sample = samples[2 * pixel] > 0 ? 255 : samples[2 * pixel + 1]
                    let isWhite = image.has_transparent != 0 && UInt16(sample) == transparent[0]
                    target[pixel] = isWhite ? 255 : sample
                }
            }
        case HONE_IMAGE_GREY_ALPHA, HONE_IMAGE_RGBA:
            let channels = Int(image.layout) == HONE_IMAGE_GREY_ALPHA ? 1 : 3
            return made(channels: channels) { target in
                for pixel in 0..<pixels {
                    let start = pixel * (channels + 1)
                    let alpha = Int(samples[start + channels])
                    for channel in 0..<channels {
                        target[pixel * channels + channel] = onWhite(Int(samples[start + channel]), alpha: alpha)
                    }
                }
            }
        default:
            return made(channels: 3) { target in
                for pixel in 0..<pixels {
                    // What is 255 less than the sample is ink; what is not black ink is light.
                    let light = Int(samples[4 * pixel + 3])
                    for channel in 0..<3 {
                        let ink = 255 - Int(samples[4 * pixel + channel])
                        target[3 * pixel + channel] = UInt8(max(0, min(255, light - dividedBy255(ink * light + 128))))
                    }
                }
            }
        }
    }

    /// A sample laid on white, in the fixed point of seven further bits in which the reference does it.
    private static func onWhite(_ sample: Int, alpha: Int) -> UInt8 {
        if alpha == 0 { return 255 }
        let share = alpha << 7
        let sum = sample * share + 255 * (255 * 128 - share)
        return UInt8(truncatingIfNeeded: dividedBy255(sum + (0x80 << 7)) >> 7)
    }

    private static func dividedBy255(_ value: Int) -> Int { ((value >> 8) + value) >> 8 }

    private static func guess(_ bytes: [UInt8]) -> String {
        let known: [([UInt8], String)] = [
            (Array("GIF8".utf8), "GIF"), (Array("BM".utf8), "BMP"), ([0x49, 0x49, 0x2A, 0], "TIFF"),
            ([0x4D, 0x4D, 0, 0x2A], "TIFF"), (Array("RIFF".utf8), "WebP"), (Array("<svg".utf8), "SVG"),
            (Array("%PDF".utf8), "PDF"),
        ]
        if bytes.isEmpty { return "; it is empty" }
        let name = known.first { bytes.starts(with: $0.0) }?.1
        return name.map { "; it looks like \($0), which is to be converted first" } ?? ""
    }
}
