/// What a person wants to know about a method before taking it, and what the search needs to know.
public struct MethodCard: Sendable {
    /// How the method is asked for: `lora`.
    public var name: String
    /// Its name in prose: "Low-rank adaptation (LoRA)".
    public var title: String
    /// One sentence on what it does.
    public var summary: String
    /// When to take it, and when not.
    public var advice: String
    /// The paper that it follows: authors, year, arXiv number.
    public var paper: String
    /// PEFT's name of the method, where its adapters are written in PEFT's format.
    public var peftType: String?
    /// How it learns.
    public var training: Training
    /// The order among methods whose results cannot be told apart: lower is cheaper to keep and to run.
    public var costRank: Int
    /// The learning rates that a search tries, the default first.
    public var learningRates: [Double]
    /// What can be set.
    public var settings: [Setting]

    /// Whether `fit` tries it without being asked: a few methods that differ enough, so that each gets its share of the budget.
    public var isTriedByDefault: Bool

    /// How a method learns.
    public enum Training: Sendable {
        /// By gradient steps.
        case gradient
        /// By solving a convex problem on features of the frozen model.
        case solver
        /// Not at all: it puts examples before the input.
        case none
    }

    /// A card with all its entries.
    public init(
        name: String, title: String, summary: String, advice: String, paper: String, peftType: String? = nil,
        training: Training, costRank: Int, learningRates: [Double] = [], settings: [Setting] = [],
        isTriedByDefault: Bool = false
    ) {
        self.name = name
        self.title = title
        self.summary = summary
        self.advice = advice
        self.paper = paper
        self.peftType = peftType
        self.training = training
        self.costRank = costRank
        self.learningRates = learningRates
        self.settings = settings
        self.isTriedByDefault = isTriedByDefault
    }
}
