/// The settings of LayerNorm tuning (Zhao et al. 2023, arXiv 2312.11420) in PEFT's names.
public struct LayerNormTuningConfiguration: Hashable, Sendable {
    /// The trained modules (`target_modules`); `nil` leaves them to the defaults of the base model's family.
    public var targetModules: LoRAConfiguration.Modules?
    /// Modules that are trained and stored whole, such as a new head (`modules_to_save`).
    public var modulesToSave: [String]?

    /// A configuration with all its parts.
    public init(targetModules: LoRAConfiguration.Modules? = nil, modulesToSave: [String]? = nil) {
        self.targetModules = targetModules
        self.modulesToSave = modulesToSave
    }

    init(_ fields: inout JSONFields) throws {
        targetModules = try LoRAConfiguration.modules(&fields)
        modulesToSave = try fields.strings("modules_to_save")
    }

    func write(to object: inout JSONObject) {
        object["target_modules"] = targetModules?.json ?? .null
        object["modules_to_save"] = modulesToSave.map { .array($0.map { .string($0) }) } ?? .null
    }
}
