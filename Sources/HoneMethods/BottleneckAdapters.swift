import Glibc
import HoneFormats
import HoneModels
import HoneTorch

/// Bottleneck adapters: `h + U · σ(D · h + d) + u` on what a sublayer gives, before its residual connection (Houlsby et al. 2019,
/// section 2.1), with `D [width, d]`, `U [d, width]`. After attention and feed-forward sublayer, or after the latter alone (Pfeiffer
/// et al. 2021, section 3.3). `U` and both biases start at zero, so that training starts at the base.
public struct BottleneckAdapters: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "adapters", title: "Bottleneck adapters",
        summary: "Puts small trained networks behind the sublayers of each layer; the base stays frozen.",
        advice:
            "As accurate as LoRA at a similar size, but adds work to every pass and cannot be merged. For comparisons, and where "
            + "a change of states that is not linear is wanted.",
        paper:
            "Houlsby et al. 2019, arXiv 1902.00751; after the feed-forward sublayer alone: Pfeiffer et al. 2021, arXiv 2005.00247",
        training: .gradient, costRank: 4, learningRates: [1e-3, 3e-4, 3e-3],
        settings: [
            Setting(
                "placement", .choice("houlsby", ["houlsby", "pfeiffer"]),
                "Behind attention and feed-forward sublayer, or behind the latter alone."),
            Setting("width", .integer(16, 1...65536), "The width inside."),
            Setting("activation", .choice("gelu", ["gelu", "relu", "silu", "tanh"]), "The function inside."),
            Setting(
                "spread", .real(0, 0...1),
                "The standard deviation that the outer matrix starts with; 0 starts at the base exactly."),
            LinearTargets.layersSetting,
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Adapters with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// The sites for a model, with the width of their states.
    func sites(_ model: TransformerConfiguration) throws -> [(path: String, width: Int)] {
        let chosen = try LinearTargets.layers(settings.words("layers"), of: model, for: BottleneckAdapters.card.name)
        let sublayers = settings.choice("placement") == "houlsby" ? ["attention", "crossAttention", "mlp"] : ["mlp"]
        return model.sites.compactMap { site in
            guard case .state(let width) = site.kind else { return nil }
            let parts = site.path.split(separator: ".")
            guard let last = parts.last, sublayers.contains(String(last)), parts.count > 2,
                let layer = Int(parts[parts.count - 2]), chosen?.contains(layer) ?? true
            else { return nil }
            return (site.path, width)
        }
    }

    /// The tensors for a model.
    func shapes(_ model: TransformerConfiguration) throws -> [(name: String, shape: [Int])] {
        let inner = settings.integer("width")
        return try sites(model).flatMap { path, width in
            [
                (path + ".adapter.down.weight", [inner, width]), (path + ".adapter.down.bias", [inner]),
                (path + ".adapter.up.weight", [width, inner]), (path + ".adapter.up.bias", [width]),
            ]
        }
    }

    /// Refuses what is no bottleneck, and layers that do not exist.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        let inner = settings.integer("width")
        for (path, width) in try sites(model) where inner >= width {
            throw HoneError(
                .mismatch, "an adapter of width \(inner) is no bottleneck of states of width \(width)", item: path)
        }
    }

    /// `D` uniform in `±1/√d`, `U` zero or noise, biases zero.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let device = model.transformer.device
        var parameters = ParameterSet()
        for (name, shape) in try shapes(model.configuration) {
            let tensor: Tensor
            if name.hasSuffix(".down.weight") {
                let bound = 1 / Double(shape[1]).squareRoot()
                tensor = try random.uniform(shape, low: -bound, high: bound)
            } else if name.hasSuffix(".up.weight"), settings.real("spread") > 0 {
                tensor = try random.normal(shape, mean: 0, standardDeviation: settings.real("spread"))
            } else {
                tensor = try .zeros(shape)
            }
            parameters.set(name, try tensor.to(device))
        }
        return parameters
    }

    /// One small network a site.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        // Of an encoder-decoder that classifies, the encoder alone.
        for (path, _) in try sites(model.configuration) where parameters[path + ".adapter.down.weight"] != nil {
            func tensor(_ name: String) throws -> Tensor { try parameters.tensor(path + ".adapter." + name) }
            attachments.states[path] = [
                Bottleneck(
                    down: (try tensor("down.weight"), try tensor("down.bias")),
                    up: (try tensor("up.weight"), try tensor("up.bias")), activation: settings.choice("activation"))
            ]
        }
        return attachments
    }

    /// A network cannot be folded into the maps around it.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Writes the tensors in a format of Hone's own: PEFT does not have the method.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        try folder.write(parameters)
    }

    /// Reads what `write` has written.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: BottleneckAdapters, parameters: ParameterSet)
    {
        let method = try BottleneckAdapters(folder.settings(card))
        let shapes = try method.shapes(model.configuration)
        return (method, try folder.parameters(shapes, on: model.transformer.device))
    }

    /// `h + U · σ(D · h + d) + u`
    private struct Bottleneck: StateAttachment {
        let down: (weight: Tensor, bias: Tensor)
        let up: (weight: Tensor, bias: Tensor)
        let activation: String

        var actsOnTokens: Bool { true }
        var isDeterministic: Bool { true }

        func state(_ state: Tensor) throws -> Tensor {
            let type = state.dtype
            let inner = try state.linear(down.weight.to(type), bias: down.bias.to(type))
            let bent: Tensor =
                switch activation {
                case "relu": try inner.relu()
                case "silu": try inner.silu()
                case "tanh": try inner.tanh()
                default: try inner.gelu()
                }
            return try state + bent.linear(up.weight.to(type), bias: up.bias.to(type))
        }
    }
}
