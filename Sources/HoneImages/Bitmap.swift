/// An image of 8-bit samples, row after row from the top, the channels of a pixel side by side.
public struct Bitmap: Sendable, Hashable {
    /// In pixels.
    public let width: Int
    /// In pixels.
    public let height: Int
    /// 1 for grey, 3 for red, green and blue.
    public let channels: Int
    /// `height · width · channels` samples.
    public let samples: [UInt8]

    /// An image of samples.
    public init(width: Int, height: Int, channels: Int, samples: [UInt8]) {
        precondition(samples.count == width * height * channels, "an image has a sample for each channel of each pixel")
        self.width = width
        self.height = height
        self.channels = channels
        self.samples = samples
    }

    /// The same image in so many channels: colours become grey by their brightness (ITU-R 601-2), grey becomes colours
    /// that are equal.
    func converted(toChannels wanted: Int) -> Bitmap {
        guard wanted != channels else { return self }
        let pixels = width * height
        let made = [UInt8](unsafeUninitializedCapacity: pixels * wanted) { target, count in
            for pixel in 0..<pixels {
                if wanted == 1 {
                    let place = pixel * 3
                    target[pixel] = Bitmap.brightness(
                        Int(samples[place]), Int(samples[place + 1]), Int(samples[place + 2]))
                } else {
                    for channel in 0..<wanted { target[pixel * wanted + channel] = samples[pixel] }
                }
            }
            count = pixels * wanted
        }
        return Bitmap(width: width, height: height, channels: wanted, samples: made)
    }

    private static func brightness(_ red: Int, _ green: Int, _ blue: Int) -> UInt8 {
        UInt8(truncatingIfNeeded: (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)
    }

    /// The middle of the image in another size; where that is larger, black around the image.
    public func centred(width newWidth: Int, height newHeight: Int) -> Bitmap {
        if newWidth == width, newHeight == height { return self }
        let top = (height - newHeight) >> 1
        let left = (width - newWidth) >> 1
        var target = [UInt8](repeating: 0, count: newWidth * newHeight * channels)
        let first = max(0, -left)
        let end = min(newWidth, width - left)
        for row in 0..<newHeight where (0..<height).contains(row + top) && first < end {
            let source = ((row + top) * width + first + left) * channels
            let count = (end - first) * channels
            let start = (row * newWidth + first) * channels
            target.replaceSubrange(start..<start + count, with: samples[source..<source + count])
        }
        return Bitmap(width: newWidth, height: newHeight, channels: channels, samples: target)
    }
}
