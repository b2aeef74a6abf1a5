/// The settings of AdaLoRA (Zhang et al. 2023, arXiv 2303.10512) in PEFT's names and with PEFT's defaults.
public struct AdaLoRAConfiguration: Hashable, Sendable {
    /// What AdaLoRA has in common with LoRA; its rank, its patterns and its variants have no meaning here.
    public var lora: LoRAConfiguration
    /// The rank that every update starts with (`init_r`).
    public var initialRank: Int
    /// The mean rank that is left at the end (`target_r`).
    public var targetRank: Int
    /// In how many steps at the beginning nothing is dropped (`tinit`).
    public var initialSteps: Int
    /// In how many steps at the end the ranks stay (`tfinal`).
    public var finalSteps: Int
    /// After how many steps ranks are allotted anew (`deltaT`).
    public var interval: Int
    /// The decay of the sensitivity's running mean (`beta1`).
    public var sensitivityDecay: Double
    /// The decay of the uncertainty's running mean (`beta2`).
    public var uncertaintyDecay: Double
    /// The weight of the orthogonality term (`orth_reg_weight`).
    public var orthogonality: Double
    /// How many steps the training has (`total_step`).
    public var totalSteps: Int
    /// Which of a module's triplets are kept (`rank_pattern`), by the module's name.
    public var kept: [Kept]

    /// Which triplets of a module are kept.
    public struct Kept: Hashable, Sendable {
        /// The module's name.
        public var module: String
        /// One entry for each of the triplets that there were.
        public var isKept: [Bool]

        /// The triplets of a module.
        public init(module: String, isKept: [Bool]) {
            self.module = module
            self.isKept = isKept
        }
    }

    /// A configuration; the defaults are PEFT's.
    public init(
        lora: LoRAConfiguration = LoRAConfiguration(), initialRank: Int = 12, targetRank: Int = 8,
        initialSteps: Int = 0, finalSteps: Int = 0, interval: Int = 1, sensitivityDecay: Double = 0.85,
        uncertaintyDecay: Double = 0.85, orthogonality: Double = 0.5, totalSteps: Int, kept: [Kept] = []
    ) {
        self.lora = lora
        self.initialRank = initialRank
        self.targetRank = targetRank
        self.initialSteps = initialSteps
        self.finalSteps = finalSteps
        self.interval = interval
        self.sensitivityDecay = sensitivityDecay
        self.uncertaintyDecay = uncertaintyDecay
        self.orthogonality = orthogonality
        self.totalSteps = totalSteps
        self.kept = kept
    }

    private static let ranks = 1...65_536
    private static let steps = 0...1_000_000_000
    private static let suffix = ".lora_E"

    init(_ fields: inout JSONFields) throws {
        initialRank = try fields.integer("init_r", in: Self.ranks) ?? 12
        targetRank = try fields.integer("target_r", in: Self.ranks) ?? 8
        initialSteps = try fields.integer("tinit", in: Self.steps) ?? 0
        finalSteps = try fields.integer("tfinal", in: Self.steps) ?? 0
        interval = try fields.integer("deltaT", in: 1...1_000_000_000) ?? 1
        sensitivityDecay = try fields.number("beta1", in: 0...1) ?? 0.85
        uncertaintyDecay = try fields.number("beta2", in: 0...1) ?? 0.85
        orthogonality = try fields.number("orth_reg_weight", in: 0...1e9) ?? 0.5
        guard let total = try fields.integer("total_step", in: 1...1_000_000_000) else {
            throw fields.error("total_step", "the field is missing; PEFT needs it as well")
        }
        totalSteps = total
        guard initialSteps < total - finalSteps else {
            throw fields.error("tinit", "leaves no step before the last \(finalSteps) of \(total) (tfinal, total_step)")
        }
        kept = try Self.kept(&fields)
        // The ranks are taken already: LoRA's are whole numbers.
        lora = try LoRAConfiguration(&fields)
        guard !lora.isWeightDecomposed else {
            throw fields.error("use_dora", "AdaLoRA has no weight-decomposed form", .unsupported)
        }
    }

    private static func kept(_ fields: inout JSONFields) throws -> [Kept] {
        let name = "rank_pattern"
        guard let value = fields.value(name) else { return [] }
        guard let object = value.object else { throw fields.error(name, "expected an object, found \(value.kind)") }
        return try object.pairs.map { key, list in
            let flags = list.array?.map(\.bool) ?? [nil]
            guard key.hasSuffix(suffix), !flags.contains(where: { $0 == nil }) else {
                throw fields.error(
                    "\(name).\(key)", "expected a name that ends with \(suffix) and a list of truth values")
            }
            return Kept(module: String(key.dropLast(suffix.count)), isKept: flags.compactMap { $0 })
        }
    }

    func write(to object: inout JSONObject) {
        lora.write(to: &object)
        object["init_r"] = .integer(initialRank)
        object["target_r"] = .integer(targetRank)
        object["tinit"] = .integer(initialSteps)
        object["tfinal"] = .integer(finalSteps)
        object["deltaT"] = .integer(interval)
        object["beta1"] = .number(sensitivityDecay)
        object["beta2"] = .number(uncertaintyDecay)
        object["orth_reg_weight"] = .number(orthogonality)
        object["total_step"] = .integer(totalSteps)
        guard !kept.isEmpty else {
            object["rank_pattern"] = .null
            return
        }
        var pattern = JSONObject()
        for module in kept { pattern[module.module + Self.suffix] = .array(module.isKept.map { .bool($0) }) }
        object["rank_pattern"] = .object(pattern)
    }
}
