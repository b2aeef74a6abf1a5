import HoneFormats
import HoneModels
import HoneTorch

/// Prefix tuning: trained keys and values that every layer's attention sees before those of the input (Li and Liang 2021,
/// section 4). They take positions in front of the row's tokens, as in PEFT.
///
/// A table `[length, 2 · layers · heads · headWidth]` holds a stack's: of each position the layers' keys and values in turn. An
/// encoder-decoder has three tables, for the encoder, the decoder and the decoder's attention to the encoder; in PEFT's layout it
/// has one, of which the decoder's layers see parts.
public struct PrefixTuning: Method {
    /// What it is.
    public static let card = MethodCard(
        name: "prefix", title: "Prefix tuning",
        summary: "Trains keys and values that stand before those of every input in every layer; the base stays frozen.",
        advice:
            "Stronger than a prompt of the same length, since every layer sees its own; takes positions, cannot be merged, and "
            + "learns more slowly than LoRA on small models.",
        paper: "Li and Liang 2021, arXiv 2101.00190", peftType: "PREFIX_TUNING", training: .gradient, costRank: 3,
        learningRates: [1e-2, 3e-3, 3e-2],
        settings: [
            Setting("length", .integer(16, 1...1024), "How many positions."),
            Setting(
                "initialisation", .choice("random", ["random", "tokens"]),
                "Start from noise of size one, as PEFT does, or from what the model makes of tokens drawn from its vocabulary "
                    + "(models of one stack)."),
            Setting(
                "projection", .flag(false),
                "Train a vector a position and a network with one hidden layer that makes the keys and values of it; the network "
                    + "is not kept."),
            Setting(
                "projection-width", .integer(0, 0...65536), "The width inside that network; 0 for that of the keys."),
            Setting(
                "layout", .choice("native", ["native", "peft"]),
                "Of an encoder-decoder: prefixes for all of its attention, or PEFT's layout, in which only the decoder has some and "
                    + "layers share them."),
        ])

    /// The values of the settings.
    public let settings: MethodSettings

    /// Prefix tuning with settings.
    public init(_ settings: MethodSettings) { self.settings = settings }

    /// One for each position.
    public var addedPositions: Int { settings.integer("length") }

    /// Refuses prefixes that leave no room for the input, and models that the settings do not suit.
    public func checkFit(_ model: TransformerConfiguration, _ task: TaskShape) throws {
        guard model.patches != nil || settings.integer("length") < model.maximumLength else {
            throw HoneError(
                .mismatch, "leaves no room in a model of \(model.maximumLength) positions", item: "prefix length")
        }
        if settings.choice("initialisation") == "tokens", model.stacks.count > 1 || model.patches != nil {
            throw HoneError(
                .mismatch, "`tokens` is for models of text with one stack", item: "prefix initialisation")
        }
        _ = try PrefixTable.tables(of: model, isPEFT: settings.choice("layout") == "peft")
    }

    private func tables(_ model: TransformerConfiguration) throws -> [PrefixTable] {
        try PrefixTable.tables(of: model, isPEFT: settings.choice("layout") == "peft")
    }

    /// The tensors that are trained, by PEFT's names.
    func shapes(_ model: TransformerConfiguration, projects: Bool) throws -> [(name: String, shape: [Int])] {
        let length = settings.integer("length")
        return try tables(model).flatMap { table in
            guard projects else { return [(table.name + PrefixTable.embeddings, [length, table.rowLength])] }
            let given = settings.integer("projection-width")
            let inner = given > 0 ? given : table.width
            return [
                (table.name + "embedding.weight", [length, table.width]),
                (table.name + "transform.0.weight", [inner, table.width]), (table.name + "transform.0.bias", [inner]),
                (table.name + "transform.2.weight", [table.rowLength, inner]),
                (table.name + "transform.2.bias", [table.rowLength]),
            ]
        }
    }

    /// Noise of size one; of a projection's maps uniform in `±1/√inputs`, as PyTorch has them.
    public func initialParameters(for model: BaseModel, random: inout RandomStream) throws -> ParameterSet {
        let device = model.transformer.device
        let projects = settings.flag("projection")
        var parameters = ParameterSet()
        var inputs = 1
        for (name, shape) in try shapes(model.configuration, projects: projects) {
            if name.contains("transform.") {
                if shape.count == 2 { inputs = shape[1] }
                let bound = 1 / Double(inputs).squareRoot()
                parameters.set(name, try random.uniform(shape, low: -bound, high: bound).to(device))
            } else {
                parameters.set(name, try random.normal(shape, mean: 0, standardDeviation: 1).to(device))
            }
        }
        if settings.choice("initialisation") == "tokens", !projects {
            let table = try seen(by: model, random: &random)
            parameters.set(PrefixTable.embeddings, table)
        }
        return parameters
    }

    /// The keys and values of tokens drawn from the vocabulary.
    private func seen(by model: BaseModel, random: inout RandomStream) throws -> Tensor {
        try withoutGradients {
            let length = settings.integer("length")
            let last = model.configuration.vocabularySize - 1
            let drawn = try random.uniform([length], low: 0, high: 1).elements(Double.self)
            let ids = drawn.map { min(last, Int($0 * Double(last + 1))) }
            var layers: [CapturedKeyValues] = []
            let cache = KeyValueCache(for: model.configuration) { _ in
                layers.append(CapturedKeyValues())
                return layers[layers.count - 1]
            }
            _ = try model.transformer.states(TokenBatch([ids], on: model.transformer.device), cache: cache)
            // [rows, heads, length, width] of each layer's keys and values in turn.
            let parts = layers.flatMap { [$0.keys, $0.values] }.compactMap { $0 }
            return try Tensor.stacked(parts.map { try $0.at(0).transpose(0, 1).to(.float32) }, dimension: 1)
                .reshaped([length, -1]).contiguous()
        }
    }

    /// Keys and values before those of the input.
    public func attachments(_ parameters: ParameterSet, model: Transformer, dropout: DropoutSource?) throws
        -> Attachments
    {
        var attachments = Attachments()
        for table in try tables(model.configuration, of: parameters) {
            for (path, prefix) in try table.prefixes(PrefixTuning.table(table.name, parameters)) {
                attachments.prefixes[path] = [prefix]
            }
        }
        return attachments
    }

    /// The tables that parameters are for: of an encoder-decoder that classifies, the encoder's alone.
    private func tables(_ model: TransformerConfiguration, of parameters: ParameterSet) throws -> [PrefixTable] {
        let all = try tables(model)
        let isWhole = all.allSatisfy {
            parameters[$0.name + PrefixTable.embeddings] != nil || parameters[$0.name + "embedding.weight"] != nil
        }
        return isWhole ? all : try tables(model.encoderStack)
    }

    /// A table as it is, or as a projection makes it.
    private static func table(_ name: String, _ parameters: ParameterSet) throws -> Tensor {
        if let table = parameters[name + PrefixTable.embeddings] { return table }
        func tensor(_ part: String) throws -> Tensor { try parameters.tensor(name + part) }
        return try tensor("embedding.weight").linear(tensor("transform.0.weight"), bias: tensor("transform.0.bias"))
            .tanh().linear(tensor("transform.2.weight"), bias: tensor("transform.2.bias"))
    }

    /// Prefixes cannot be folded into weights.
    public func mergedWeights(_ parameters: ParameterSet, model: Transformer) throws -> [String: Tensor]? { nil }

    /// Writes PEFT's `PREFIX_TUNING` folder, projections applied; tables of an encoder-decoder's own layout, and of models that PEFT
    /// gives no prefixes, in a format of Hone's own.
    public func write(
        _ parameters: ParameterSet, for model: BaseModel, task: TaskShape, to folder: AdapterFolderWriter
    ) throws {
        let tables = try tables(model.configuration, of: parameters)
        let tensors = try withoutGradients {
            try tables.map {
                ($0.name + PrefixTable.embeddings, try PrefixTuning.table($0.name, parameters).detached().contiguous())
            }
        }
        let isEncoder = tables.allSatisfy { $0.sites.allSatisfy { $0.path.hasPrefix("encoder.") } }
        guard let only = tables.first, tables.count == 1, model.configuration.patches == nil, !isEncoder else {
            return try folder.writeTensors(tensors, file: "weights.safetensors")
        }
        let projects = settings.flag("projection")
        let configuration = PrefixTuningConfiguration(
            virtualTokens: tensors[0].1.size(0), tokenDimension: only.width, layers: only.layers,
            attentionHeads: only.heads, transformerSubmodules: model.configuration.decoder == nil ? 1 : 2,
            // What is stored has gone through the projection already; PEFT makes no use of its width then.
            projects: projects,
            projectionWidth: settings.integer("projection-width") > 0
                ? settings.integer("projection-width") : only.width)
        try folder.writePEFT(.prefixTuning(configuration), tensors: tensors, model: model, task: task)
    }

    /// Reads PEFT's `PREFIX_TUNING` folder, or one of Hone's own.
    public static func read(_ folder: AdapterFolderReader, for model: BaseModel) throws
        -> (method: PrefixTuning, parameters: ParameterSet)
    {
        var settings: MethodSettings
        let peft = try folder.isPEFT ? folder.peftConfiguration("PREFIX_TUNING") : nil
        if folder.description != nil {
            settings = try folder.settings(card)
        } else {
            guard case .prefixTuning(let configuration) = peft else {
                throw HoneError(.badFile, "is no prefix of PEFT's", file: folder.path)
            }
            settings = try folder.settings(
                card,
                [
                    "length": .integer(configuration.virtualTokens), "projection": .bool(configuration.projects),
                    "projection-width": .integer(configuration.projectionWidth ?? 0),
                    "layout": .string(model.configuration.decoder == nil ? "native" : "peft"),
                ], file: folder.path + "/" + AdapterConfiguration.fileName)
        }
        let method = PrefixTuning(settings)
        let shapes = try method.shapes(model.configuration, projects: false)
        return (method, try folder.parameters(shapes, on: model.transformer.device))
    }
}

/// One layer's keys and values as attention was given them.
private final class CapturedKeyValues: KeyValueStorage {
    var keys: Tensor?
    var values: Tensor?

    func append(keys: Tensor, values: Tensor) -> (keys: Tensor, values: Tensor) {
        self.keys = keys
        self.values = values
        return (keys, values)
    }

    func select(_ rows: RowSelection) throws {}
}
