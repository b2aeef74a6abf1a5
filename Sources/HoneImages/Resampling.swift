import Foundation

/// How an image is brought to another size. All but the nearest pixel weigh the pixels around: as many as the kernel
/// covers, of the source where the image shrinks, so that nothing is left out.
public enum Resampling: Int, Sendable, CaseIterable {
    /// The nearest pixel.
    case nearest = 0
    /// A windowed sinc of three lobes (Duchon 1979).
    case lanczos = 1
    /// A triangle.
    case bilinear = 2
    /// A cubic of parameter -0.5 (Keys 1981).
    case bicubic = 3
    /// The mean of the pixels that are covered.
    case box = 4
    /// A windowed sinc of one lobe.
    case hamming = 5

    /// How far the kernel reaches, in pixels of the larger image.
    var reach: Double {
        switch self {
        case .nearest: 0
        case .lanczos: 3
        case .bilinear, .hamming: 1
        case .bicubic: 2
        case .box: 0.5
        }
    }

    /// The kernel at a distance.
    func kernel(_ distance: Double) -> Double {
        let x = abs(distance)
        switch self {
        case .nearest: return 0
        case .box: return distance > -0.5 && distance <= 0.5 ? 1 : 0
        case .bilinear: return x < 1 ? 1 - x : 0
        case .hamming:
            if x == 0 { return 1 }
            if x >= 1 { return 0 }
            return sin(x * .pi) / (x * .pi) * (0.54 + 0.46 * cos(x * .pi))
        case .bicubic:
            let slope = -0.5
            if x < 1 { return ((slope + 2) * x - (slope + 3)) * x * x + 1 }
            return x < 2 ? (((x - 5) * x + 8) * x - 4) * slope : 0
        case .lanczos:
            return distance >= -3 && distance < 3 ? Self.sinc(distance) * Self.sinc(distance / 3) : 0
        }
    }

    private static func sinc(_ x: Double) -> Double { x == 0 ? 1 : sin(x * .pi) / (x * .pi) }
}

/// For each place of a line of the result, which places of the source are weighed, and how much: in fixed point of 22 bits,
/// the reference's, so that every sample comes out the same.
struct ResamplingWeights {
    static let bits = 22
    /// The first place of the source, and how many.
    var ranges: [(first: Int, count: Int)] = []
    /// `count` weights of each place, `stride` apart.
    var weights: [Int32] = []
    let stride: Int

    init(from source: Int, to target: Int, by resampling: Resampling) {
        let scale = Double(source) / Double(target)
        let spread = max(scale, 1)
        let reach = resampling.reach * spread
        stride = Int(reach.rounded(.up)) * 2 + 1
        ranges.reserveCapacity(target)
        weights.reserveCapacity(target * stride)
        var line = [Double](repeating: 0, count: stride)
        for place in 0..<target {
            let centre = (Double(place) + 0.5) * scale
            let first = max(0, Int(centre - reach + 0.5))
            let end = min(source, Int(centre + reach + 0.5))
            let count = max(0, min(end - first, stride))
            var sum = 0.0
            for step in 0..<count {
                line[step] = resampling.kernel((Double(step + first) - centre + 0.5) * (1 / spread))
                sum += line[step]
            }
            for step in 0..<stride {
                var weight = step < count ? line[step] : 0
                if step < count, sum != 0 { weight /= sum }
                let scaled = weight * Double(1 << ResamplingWeights.bits)
                weights.append(Int32(scaled < 0 ? scaled - 0.5 : scaled + 0.5))
            }
            ranges.append((first, count))
        }
    }
}

extension Bitmap {
    /// The image in another size, in every sample as the `resize` of Pillow 13 gives it.
    public func resized(width newWidth: Int, height newHeight: Int, by resampling: Resampling) -> Bitmap {
        precondition(newWidth > 0 && newHeight > 0, "an image has a pixel at least")
        if newWidth == width, newHeight == height { return self }
        guard resampling != .nearest else { return nearest(width: newWidth, height: newHeight) }
        // Each pass rounds, so that their order shows: where many more rows than columns fall away, the reference begins with the
        // rows.
        if newHeight < height, height - newHeight > 2 * (width - newWidth) {
            let down = resampledDown(to: newHeight, by: resampling)
            return newWidth == width ? down : down.resampledAcross(to: newWidth, by: resampling)
        }
        let across = newWidth == width ? self : resampledAcross(to: newWidth, by: resampling)
        return newHeight == height ? across : across.resampledDown(to: newHeight, by: resampling)
    }

    private func nearest(width newWidth: Int, height newHeight: Int) -> Bitmap {
        /// Places are found by adding up steps, as the reference does, which matters where a sum falls just short of a pixel.
        func places(_ source: Int, _ target: Int) -> [Int] {
            let step = Double(source) / Double(target)
            var place = step * 0.5
            return (0..<target).map { _ in
                defer { place += step }
                return min(source - 1, Int(place))
            }
        }
        let columns = places(width, newWidth)
        var target: [UInt8] = []
        target.reserveCapacity(newWidth * newHeight * channels)
        for row in places(height, newHeight) {
            for column in columns {
                let start = (row * width + column) * channels
                target.append(contentsOf: samples[start..<start + channels])
            }
        }
        return Bitmap(width: newWidth, height: newHeight, channels: channels, samples: target)
    }

    private func resampledAcross(to newWidth: Int, by resampling: Resampling) -> Bitmap {
        let plan = ResamplingWeights(from: width, to: newWidth, by: resampling)
        let size = newWidth * height * channels
        let result = [UInt8](unsafeUninitializedCapacity: size) { target, made in
            samples.withUnsafeBufferPointer { source in
                plan.weights.withUnsafeBufferPointer { weights in
                    var place = 0
                    for row in 0..<height {
                        for column in 0..<newWidth {
                            let (first, count) = plan.ranges[column]
                            for channel in 0..<channels {
                                var sum = 1 << (ResamplingWeights.bits - 1)
                                var from = (row * width + first) * channels + channel
                                for step in column * plan.stride..<column * plan.stride + count {
                                    sum &+= Int(source[from]) &* Int(weights[step])
                                    from += channels
                                }
                                target[place] = Bitmap.sample(sum)
                                place += 1
                            }
                        }
                    }
                }
            }
            made = size
        }
        return Bitmap(width: newWidth, height: height, channels: channels, samples: result)
    }

    private func resampledDown(to newHeight: Int, by resampling: Resampling) -> Bitmap {
        let plan = ResamplingWeights(from: height, to: newHeight, by: resampling)
        let line = width * channels
        let size = line * newHeight
        let result = [UInt8](unsafeUninitializedCapacity: size) { target, made in
            samples.withUnsafeBufferPointer { source in
                plan.weights.withUnsafeBufferPointer { weights in
                    for row in 0..<newHeight {
                        let (first, count) = plan.ranges[row]
                        for place in 0..<line {
                            var sum = 1 << (ResamplingWeights.bits - 1)
                            var from = first * line + place
                            for step in row * plan.stride..<row * plan.stride + count {
                                sum &+= Int(source[from]) &* Int(weights[step])
                                from += line
                            }
                            target[row * line + place] = Bitmap.sample(sum)
                        }
                    }
                }
            }
            made = size
        }
        return Bitmap(width: width, height: newHeight, channels: channels, samples: result)
    }

    private static func sample(_ sum: Int) -> UInt8 { UInt8(max(0, min(255, sum >> ResamplingWeights.bits))) }
}
