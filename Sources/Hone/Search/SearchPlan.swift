import HoneFormats

/// How long the trainings of a search are: what depends on the clock, so that a search can be done again to the same
/// numbers whatever the speed of the machine.
public struct SearchPlan: Hashable, Sendable {
    /// How many steps each trial has.
    public var trialSteps: Int
    /// How many methods are trained in full.
    public var finalists: Int
    /// Methods whose own work before and after training did not fit into the budget.
    public var leftOut: [String]
    /// How many steps a full training has.
    public var fullSteps: Int
    /// How many rows a step has.
    public var batchSize: Int
    /// The most tokens of a row.
    public var maximumLength: Int
    /// The methods that were tried, in their order.
    public var methods: [String]
    /// The learning rates that every method tried; empty for each method's own.
    public var learningRates: [Double]
    /// What everything random was drawn from.
    public var seed: UInt64
    /// With how many threads: sums are formed in an order that depends on it.
    public var threads: Int

    /// The plan that a run folder's `run.json` holds.
    ///
    /// - Throws: `HoneError` where the folder is no run of `fit`, or the plan in it is damaged.
    public init(run path: String) throws {
        let file = RunFolder(path: path).description
        guard FileStatus.exists(file) else {
            throw HoneError(.usage, "there is no run of `hone fit` at \(path)", item: "--repeat")
        }
        let json = try JSON.read(file: file)
        guard json["verb"]?.string == "fit", let plan = json["plan"] else {
            throw HoneError(
                .usage, "is no run of `hone fit`, so it has no plan to repeat", file: path, item: "--repeat")
        }
        func field(_ value: JSON?, _ name: String, _ bounds: ClosedRange<Int>) throws -> Int {
            guard let number = value?.integer, bounds.contains(number) else {
                throw HoneError(.badFile, "the field is missing or out of bounds", file: file, item: name)
            }
            return number
        }
        // A search of methods that train nothing has no steps.
        func planned(_ name: String, _ bounds: ClosedRange<Int>) throws -> Int {
            try plan[name] == nil ? bounds.lowerBound : field(plan[name], "plan.\(name)", bounds)
        }
        trialSteps = try planned("trial_steps", 1...1_000_000_000)
        finalists = try planned("finalists", 0...1000)
        fullSteps = try planned("full_steps", 1...1_000_000_000)
        batchSize = try field(json["options"]?["batch_size"], "options.batch_size", 1...65536)
        maximumLength = try field(json["maximum_length"], "maximum_length", 1...1 << 20)
        threads = try field(json["system"]?["threads"], "system.threads", 1...4096)
        seed = UInt64(bitPattern: Int64(try field(json["seed"], "seed", Int.min...Int.max)))
        methods = json["options"]?["methods"]?.array?.compactMap(\.string) ?? []
        leftOut = plan["left_out"]?.array?.compactMap(\.string) ?? []
        learningRates = json["options"]?["learning_rates"]?.array?.compactMap(\.number) ?? []
        guard !methods.isEmpty else {
            throw HoneError(.badFile, "the field is missing or empty", file: file, item: "options.methods")
        }
    }
}
