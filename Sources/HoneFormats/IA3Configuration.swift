/// The settings of (IA)³ (Liu et al. 2022, arXiv 2205.05638) in PEFT's names.
public struct IA3Configuration: Hashable, Sendable {
    /// The adapted modules (`target_modules`); `nil` leaves them to the defaults of the base model's family.
    public var targetModules: LoRAConfiguration.Modules?
    /// Those of them whose input is scaled in place of their output (`feedforward_modules`).
    public var feedForwardModules: LoRAConfiguration.Modules?
    /// Whether the base model stores its weights as (inputs, outputs), as GPT-2 does (`fan_in_fan_out`).
    public var isFanInFanOut: Bool
    /// Modules that are trained and stored whole, such as a new head (`modules_to_save`).
    public var modulesToSave: [String]?

    /// A configuration with all its parts.
    public init(
        targetModules: LoRAConfiguration.Modules? = nil, feedForwardModules: LoRAConfiguration.Modules? = nil,
        isFanInFanOut: Bool = false, modulesToSave: [String]? = nil
    ) {
        self.targetModules = targetModules
        self.feedForwardModules = feedForwardModules
        self.isFanInFanOut = isFanInFanOut
        self.modulesToSave = modulesToSave
    }

    init(_ fields: inout JSONFields) throws {
        targetModules = try LoRAConfiguration.modules(&fields)
        feedForwardModules = try LoRAConfiguration.modules(&fields, "feedforward_modules")
        isFanInFanOut = try fields.bool("fan_in_fan_out") ?? false
        modulesToSave = try fields.strings("modules_to_save")
    }

    func write(to object: inout JSONObject) {
        object["target_modules"] = targetModules?.json ?? .null
        object["feedforward_modules"] = feedForwardModules?.json ?? .null
        object["fan_in_fan_out"] = .bool(isFanInFanOut)
        object["modules_to_save"] = modulesToSave.map { .array($0.map { .string($0) }) } ?? .null
        object["init_ia3_weights"] = true
    }
}
