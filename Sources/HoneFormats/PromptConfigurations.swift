/// The settings of prompt tuning (Lester et al. 2021, arXiv 2104.08691) in PEFT's names.
public struct PromptTuningConfiguration: Hashable, Sendable {
    /// How many trained vectors stand before the input (`num_virtual_tokens`).
    public var virtualTokens: Int
    /// The length of each vector (`token_dim`): the width of the input embeddings.
    public var tokenDimension: Int?
    /// The layers of the base model (`num_layers`).
    public var layers: Int?
    /// The attention heads of the base model (`num_attention_heads`).
    public var attentionHeads: Int?
    /// 1, or 2 for an encoder with a decoder (`num_transformer_submodules`): so many times `virtualTokens` vectors are stored.
    public var transformerSubmodules: Int?

    /// A configuration with all its parts.
    public init(
        virtualTokens: Int, tokenDimension: Int? = nil, layers: Int? = nil, attentionHeads: Int? = nil,
        transformerSubmodules: Int? = nil
    ) {
        self.virtualTokens = virtualTokens
        self.tokenDimension = tokenDimension
        self.layers = layers
        self.attentionHeads = attentionHeads
        self.transformerSubmodules = transformerSubmodules
    }

    init(_ fields: inout JSONFields) throws {
        guard let tokens = try fields.integer("num_virtual_tokens", in: 1...1_000_000) else {
            throw fields.error("num_virtual_tokens", "the field is missing")
        }
        virtualTokens = tokens
        tokenDimension = try fields.integer("token_dim", in: 1...1_048_576)
        layers = try fields.integer("num_layers", in: 1...65_536)
        attentionHeads = try fields.integer("num_attention_heads", in: 1...65_536)
        transformerSubmodules = try fields.integer("num_transformer_submodules", in: 1...2)
    }

    func write(to object: inout JSONObject) {
        object["num_virtual_tokens"] = .integer(virtualTokens)
        object["token_dim"] = tokenDimension.map { .integer($0) } ?? .null
        object["num_layers"] = layers.map { .integer($0) } ?? .null
        object["num_attention_heads"] = attentionHeads.map { .integer($0) } ?? .null
        object["num_transformer_submodules"] = transformerSubmodules.map { .integer($0) } ?? .null
    }
}

/// The settings of prefix tuning (Li and Liang 2021, arXiv 2101.00190) in PEFT's names.
public struct PrefixTuningConfiguration: Hashable, Sendable {
    /// How many trained positions stand before those of the input (`num_virtual_tokens`).
    public var virtualTokens: Int
    /// The numbers of a layer's keys at one position (`token_dim`): heads times their width, of shared heads each once.
    public var tokenDimension: Int?
    /// The layers of the base model (`num_layers`).
    public var layers: Int?
    /// The heads that have keys of their own (`num_attention_heads`).
    public var attentionHeads: Int?
    /// 1, or 2 for an encoder with a decoder (`num_transformer_submodules`).
    public var transformerSubmodules: Int?
    /// Whether training went through a projection (`prefix_projection`); what is stored is what comes out of it.
    public var projects: Bool
    /// The width inside the projection (`encoder_hidden_size`).
    public var projectionWidth: Int?

    /// A configuration with all its parts.
    public init(
        virtualTokens: Int, tokenDimension: Int? = nil, layers: Int? = nil, attentionHeads: Int? = nil,
        transformerSubmodules: Int? = nil, projects: Bool = false, projectionWidth: Int? = nil
    ) {
        self.virtualTokens = virtualTokens
        self.tokenDimension = tokenDimension
        self.layers = layers
        self.attentionHeads = attentionHeads
        self.transformerSubmodules = transformerSubmodules
        self.projects = projects
        self.projectionWidth = projectionWidth
    }

    init(_ fields: inout JSONFields) throws {
        let prompt = try PromptTuningConfiguration(&fields)
        self.init(
            virtualTokens: prompt.virtualTokens, tokenDimension: prompt.tokenDimension, layers: prompt.layers,
            attentionHeads: prompt.attentionHeads, transformerSubmodules: prompt.transformerSubmodules,
            projects: try fields.bool("prefix_projection") ?? false,
            projectionWidth: try fields.integer("encoder_hidden_size", in: 1...1_048_576))
    }

    func write(to object: inout JSONObject) {
        PromptTuningConfiguration(
            virtualTokens: virtualTokens, tokenDimension: tokenDimension, layers: layers,
            attentionHeads: attentionHeads,
            transformerSubmodules: transformerSubmodules
        ).write(to: &object)
        object["prefix_projection"] = .bool(projects)
        object["encoder_hidden_size"] = projectionWidth.map { .integer($0) } ?? .null
    }
}
