import HoneFormats

/// Skills cut into blocks that every task mixes one by one (Caccia et al. 2023).
public struct MultiHeadRouting: SkillRouting {
    /// What it is.
    public static let card = MethodCard(
        name: "mhr", title: "Multi-head routing of skills (MHR)",
        summary:
            "Trains skills that tasks share and, for each task, how it mixes their blocks; new tasks mix them anew.",
        advice:
            "For many tasks at once, and then new ones of few examples: `tune=z` learns their routing alone, `tune=mu` their mean as "
            + "plain LoRA. Rows say their task in a column `task`, or stand in a file a task. Of one task alone, take LoRA.",
        paper: "Caccia et al. 2023, arXiv 2211.03831", peftType: "POLY", training: .gradient, costRank: 5,
        learningRates: [1e-3, 3e-3, 3e-4],
        settings: sharedSettings + [
            Setting(
                "splits", .integer(8, 1...4096),
                "Into how many blocks inputs and outputs are cut; it divides all their widths.")
        ])

    /// The values of the settings.
    public let settings: MethodSettings
    /// The names of the tasks.
    public let tasks: [String]

    /// Multi-head routing with settings, for rows of some tasks.
    public init(_ settings: MethodSettings, tasks: [String]) {
        self.settings = settings
        self.tasks = tasks
    }

    /// As set.
    public var heads: Int { settings.integer("splits") }
}
