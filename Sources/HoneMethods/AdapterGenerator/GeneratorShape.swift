/// The sizes of a conditional generator of adapters.
public struct GeneratorShape: Hashable, Sendable {
    /// The length of the vectors, D.
    public var length: Int
    /// The length of the task vectors.
    public var condition: Int
    /// The length of the latent vectors, z.
    public var latent: Int
    /// How often the length is halved.
    public let stages: Int

    /// The widths of the channels where the length is halved twelve times.
    private static let widths = [8, 16, 32, 64, 128, 256, 256, 128, 64, 32, 16, 8]
    /// The kernel of every convolution.
    static let kernel = 7

    /// The sizes for vectors of a length: twelve stages, or as many as there are halvings in a shorter one.
    public init(length: Int, condition: Int, latent: Int) {
        precondition(length >= 2 && condition > 0 && latent > 0)
        self.length = length
        self.condition = condition
        self.latent = latent
        stages = min(GeneratorShape.widths.count, Int.bitWidth - 1 - length.leadingZeroBitCount)
    }

    /// The widths of the channels: the first and the last ones where there are fewer stages.
    public var channels: [Int] {
        let first = (stages + 1) / 2
        return Array(GeneratorShape.widths.prefix(first) + GeneratorShape.widths.suffix(stages - first))
    }

    /// The length with its padding, D': the next multiple of 2 to the number of stages.
    public var padded: Int { bottleneck << stages }

    /// The length in the middle, D' / 4096 with twelve stages.
    public var bottleneck: Int { (length + (1 << stages) - 1) >> stages }

    /// How many numbers there are in the middle.
    var middle: Int { (channels.last ?? 8) * bottleneck }

    /// The widths of the decoder: from the middle back to as many channels as the encoder begins with, and once more.
    var decoderChannels: [Int] {
        let back = channels.reversed() + [channels.first ?? 8]
        return Array(back)
    }

    /// The tensors that are trained, with their shapes, in order.
    public var parameters: [(name: String, shape: [Int])] {
        var all: [(name: String, shape: [Int])] = []
        func linear(_ name: String, _ outputs: Int, _ inputs: Int) {
            all += [(name + ".weight", [outputs, inputs]), (name + ".bias", [outputs])]
        }
        func norm(_ name: String, _ channels: Int) {
            all += [(name + ".weight", [channels]), (name + ".bias", [channels])]
        }
        var width = 1
        for (stage, next) in channels.enumerated() {
            all += [
                ("encoder.\(stage).weight", [next, width, GeneratorShape.kernel]), ("encoder.\(stage).bias", [next]),
            ]
            norm("encoder.\(stage).norm", next)
            width = next
        }
        linear("hidden", latent, middle)
        linear("mean", latent, latent + condition)
        linear("logVariance", latent, latent + condition)
        linear("start", middle, latent + condition)
        let back = decoderChannels
        for stage in 0..<stages {
            all += [
                ("decoder.\(stage).weight", [back[stage], back[stage + 1], GeneratorShape.kernel]),
                ("decoder.\(stage).bias", [back[stage + 1]]),
            ]
            norm("decoder.\(stage).norm", back[stage + 1])
        }
        all += [("output.weight", [1, back[stages], GeneratorShape.kernel]), ("output.bias", [1])]
        return all
    }

    /// How many numbers are trained.
    public var parameterCount: Int { parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } }

    /// The channels of each batch norm, by name, in order.
    var norms: [(name: String, channels: Int)] {
        channels.enumerated().map { ("encoder.\($0.offset).norm", $0.element) }
            + (0..<stages).map { ("decoder.\($0).norm", decoderChannels[$0 + 1]) }
    }
}
