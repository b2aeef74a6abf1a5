/// The settings of LoRA (Hu et al. 2021, arXiv 2106.09685) in PEFT's names and with PEFT's defaults.
public struct LoRAConfiguration: Hashable, Sendable {
    /// Which modules of the base model are meant.
    public enum Modules: Hashable, Sendable {
        /// Modules whose path is, or ends with a dot and, one of these names.
        case names([String])
        /// Modules whose whole path matches a regular expression; `all-linear` stands for every linear map but the head.
        case pattern(String)

        /// As the configuration has it.
        var json: JSON {
            switch self {
            case .names(let names): .array(names.map { .string($0) })
            case .pattern(let pattern): .string(pattern)
            }
        }
    }

    /// Which biases are trained and stored along with the low-rank updates.
    public enum Bias: String, Hashable, Sendable, CaseIterable {
        /// None.
        case none
        /// All biases of the model.
        case all
        /// The biases of the adapted modules.
        case adaptedModules = "lora_only"
    }

    /// A setting for the modules that a pattern matches: the end of their path, as a regular expression.
    public struct Override<Value: Hashable & Sendable>: Hashable, Sendable {
        /// What the end of the module's path must match.
        public var pattern: String
        /// The value for these modules.
        public var value: Value

        /// A value for the modules that match.
        public init(pattern: String, value: Value) {
            self.pattern = pattern
            self.value = value
        }
    }

    /// The rank of the updates (`r`).
    public var rank: Int
    /// The numerator α of the scaling (`lora_alpha`), which is α/r, or α/√r with `isRankStabilized`.
    public var alpha: Double
    /// The share of the inputs that is dropped in training (`lora_dropout`), from 0 to 1.
    public var dropout: Double
    /// Which biases are trained (`bias`).
    public var bias: Bias
    /// Whether the scaling is α/√r (rsLoRA, arXiv 2312.03732; `use_rslora`).
    public var isRankStabilized: Bool
    /// Whether magnitude and direction are adapted apart (DoRA, arXiv 2402.09353; `use_dora`).
    public var isWeightDecomposed: Bool
    /// Whether the base model stores its weights as (inputs, outputs), as GPT-2 does (`fan_in_fan_out`).
    public var isFanInFanOut: Bool
    /// The adapted modules (`target_modules`); `nil` leaves them to the defaults of the base model's family.
    public var targetModules: Modules?
    /// Modules that are trained and stored whole, such as a new head (`modules_to_save`).
    public var modulesToSave: [String]?
    /// Ranks of modules that differ from `rank` (`rank_pattern`); the first that matches counts.
    public var rankOverrides: [Override<Int>]
    /// Numerators of modules that differ from `alpha` (`alpha_pattern`); the first that matches counts.
    public var alphaOverrides: [Override<Double>]

    /// A configuration; the defaults are PEFT's.
    public init(
        rank: Int = 8, alpha: Double = 8, dropout: Double = 0, bias: Bias = .none, isRankStabilized: Bool = false,
        isWeightDecomposed: Bool = false, isFanInFanOut: Bool = false, targetModules: Modules? = nil,
        modulesToSave: [String]? = nil, rankOverrides: [Override<Int>] = [], alphaOverrides: [Override<Double>] = []
    ) {
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.bias = bias
        self.isRankStabilized = isRankStabilized
        self.isWeightDecomposed = isWeightDecomposed
        self.isFanInFanOut = isFanInFanOut
        self.targetModules = targetModules
        self.modulesToSave = modulesToSave
        self.rankOverrides = rankOverrides
        self.alphaOverrides = alphaOverrides
    }

    private static let ranks = 1...65_536
    private static let alphas = -1e9...1e9

    init(_ fields: inout JSONFields) throws {
        rank = try fields.integer("r", in: Self.ranks) ?? 8
        alpha = try fields.number("lora_alpha", in: Self.alphas) ?? 8
        if alpha == 0 { throw fields.error("lora_alpha", "with 0 the adapter would change nothing") }
        dropout = try fields.number("lora_dropout", in: 0...1) ?? 0
        let biasName = try fields.string("bias") ?? "none"
        guard let bias = Bias(rawValue: biasName) else {
            throw fields.error("bias", "\(SafetensorsHeader.quoted(biasName)) is none of none, all, lora_only")
        }
        self.bias = bias
        isRankStabilized = try fields.bool("use_rslora") ?? false
        isWeightDecomposed = try fields.bool("use_dora") ?? false
        isFanInFanOut = try fields.bool("fan_in_fan_out") ?? false
        targetModules = try Self.modules(&fields)
        modulesToSave = try fields.strings("modules_to_save")
        rankOverrides = (try fields.integers("rank_pattern", in: Self.ranks) ?? []).map {
            Override(pattern: $0.key, value: $0.value)
        }
        alphaOverrides = (try fields.numbers("alpha_pattern", in: Self.alphas) ?? []).map {
            Override(pattern: $0.key, value: $0.value)
        }
        try Self.refuseVariants(fields)
    }

    static func modules(_ fields: inout JSONFields, _ name: String = "target_modules") throws -> Modules? {
        guard let value = fields.value(name) else { return nil }
        if let pattern = value.string {
            guard !pattern.isEmpty else { throw fields.error(name, "the pattern is empty") }
            return .pattern(pattern)
        }
        guard value.array != nil else {
            throw fields.error(name, "expected a list of strings or a pattern, found \(value.kind)")
        }
        return .names(try fields.strings(value, name))
    }

    /// Refuses variants of LoRA that compute something else: read as plain LoRA, they would give wrong outputs silently.
    private static func refuseVariants(_ fields: JSONFields) throws {
        let variants = [
            "lora_bias", "use_qalora", "use_bdlora", "layer_replication", "alora_invocation_tokens",
            "target_parameters", "trainable_token_indices", "arrow_config", "kasa_config", "velora_config",
            "monteclora_config",
        ]
        let rest = fields.rest
        for name in variants {
            switch rest[name] {
            case nil, .null?, .bool(false)?: continue
            case .array(let elements)? where elements.isEmpty: continue
            case .object(let object)? where object.isEmpty: continue
            default:
                throw fields.error(
                    name, "the adapter uses a variant of LoRA that Hone does not compute; merge it with PEFT first",
                    .unsupported)
            }
        }
        // These begin with a changed base model, which the folder of the adapter does not contain.
        if let initialization = rest["init_lora_weights"]?.string,
            ["pissa", "olora", "corda", "loftq", "lora_ga"].contains(where: {
                initialization.lowercased().hasPrefix($0)
            })
        {
            throw fields.error(
                "init_lora_weights",
                "the adapter belongs to a base model changed by \(SafetensorsHeader.quoted(initialization)); save it in PEFT "
                    + "with path_initial_model_for_weight_conversion, which makes a plain LoRA of it", .unsupported)
        }
    }

    func write(to object: inout JSONObject) {
        object["r"] = .integer(rank)
        object["lora_alpha"] = Self.shortest(alpha)
        object["lora_dropout"] = .number(dropout)
        object["bias"] = .string(bias.rawValue)
        object["use_rslora"] = .bool(isRankStabilized)
        object["use_dora"] = .bool(isWeightDecomposed)
        object["fan_in_fan_out"] = .bool(isFanInFanOut)
        object["target_modules"] = targetModules?.json ?? .null
        object["modules_to_save"] = modulesToSave.map { .array($0.map { .string($0) }) } ?? .null
        var ranks = JSONObject()
        for override in rankOverrides { ranks[override.pattern] = .integer(override.value) }
        object["rank_pattern"] = .object(ranks)
        var alphas = JSONObject()
        for override in alphaOverrides { alphas[override.pattern] = Self.shortest(override.value) }
        object["alpha_pattern"] = .object(alphas)
    }

    /// A whole number without a point, as PEFT writes it.
    private static func shortest(_ value: Double) -> JSON {
        Int(exactly: value).map { .integer($0) } ?? .number(value)
    }
}
