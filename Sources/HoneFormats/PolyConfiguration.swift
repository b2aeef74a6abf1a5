/// The settings of Poly (Ponti et al. 2023, arXiv 2202.13914) and MHR (Caccia et al. 2023, arXiv 2211.03831) in PEFT's names and with
/// PEFT's defaults.
public struct PolyConfiguration: Hashable, Sendable {
    /// The rank of a skill (`r`).
    public var rank: Int
    /// How many tasks there are (`n_tasks`).
    public var tasks: Int
    /// How many skills they mix (`n_skills`).
    public var skills: Int
    /// Into how many blocks inputs and outputs are cut (`n_splits`); Poly has one.
    public var splits: Int
    /// The adapted modules (`target_modules`); `nil` leaves them to the defaults of the base model's family.
    public var targetModules: LoRAConfiguration.Modules?
    /// Modules that are trained and stored whole, such as a new head (`modules_to_save`).
    public var modulesToSave: [String]?

    /// A configuration; the defaults are PEFT's.
    public init(
        rank: Int = 8, tasks: Int = 1, skills: Int = 4, splits: Int = 1,
        targetModules: LoRAConfiguration.Modules? = nil, modulesToSave: [String]? = nil
    ) {
        self.rank = rank
        self.tasks = tasks
        self.skills = skills
        self.splits = splits
        self.targetModules = targetModules
        self.modulesToSave = modulesToSave
    }

    init(_ fields: inout JSONFields) throws {
        let counts = 1...65_536
        rank = try fields.integer("r", in: counts) ?? 8
        tasks = try fields.integer("n_tasks", in: counts) ?? 1
        skills = try fields.integer("n_skills", in: counts) ?? 4
        splits = try fields.integer("n_splits", in: counts) ?? 1
        if let type = try fields.string("poly_type"), type != "poly" {
            throw fields.error(
                "poly_type", "\(SafetensorsHeader.quoted(type)) is none that Hone computes; it has poly", .unsupported)
        }
        _ = try fields.bool("init_weights")
        targetModules = try LoRAConfiguration.modules(&fields)
        modulesToSave = try fields.strings("modules_to_save")
    }

    func write(to object: inout JSONObject) {
        object["r"] = .integer(rank)
        object["n_tasks"] = .integer(tasks)
        object["n_skills"] = .integer(skills)
        object["n_splits"] = .integer(splits)
        object["poly_type"] = "poly"
        object["init_weights"] = true
        object["target_modules"] = targetModules?.json ?? .null
        object["modules_to_save"] = modulesToSave.map { .array($0.map { .string($0) }) } ?? .null
    }
}
