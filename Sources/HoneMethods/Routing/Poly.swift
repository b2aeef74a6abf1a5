import HoneFormats

/// Whole skills that every task mixes (Ponti et al. 2023).
public struct Poly: SkillRouting {
    /// What it is.
    public static let card = MethodCard(
        name: "poly", title: "Skills mixed by task (Poly)",
        summary: "Trains skills that tasks share and, for each task, how it mixes them; new tasks mix them anew.",
        advice:
            "For many tasks at once, with fewer routing numbers than `mhr`, which is the more expressive and usually the better. "
            + "Rows say their task in a column `task`, or stand in a file a task. Of one task alone, take LoRA.",
        paper: "Ponti et al. 2023, arXiv 2202.13914", peftType: "POLY", training: .gradient, costRank: 5,
        learningRates: [1e-3, 3e-3, 3e-4], settings: sharedSettings)

    /// The values of the settings.
    public let settings: MethodSettings
    /// The names of the tasks.
    public let tasks: [String]

    /// Poly with settings, for rows of some tasks.
    public init(_ settings: MethodSettings, tasks: [String]) {
        self.settings = settings
        self.tasks = tasks
    }

    /// Skills are whole.
    public var heads: Int { 1 }
}
