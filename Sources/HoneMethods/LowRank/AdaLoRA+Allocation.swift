import Glibc
import HoneFormats
import HoneModels
import HoneTorch

extension AdaLoRA {
    /// When ranks are taken away (Zhang et al. 2023, equation 12): all are kept for `initial` steps, the last budget is met
    /// `final` steps before the end.
    struct Schedule: Hashable {
        let total: Int
        let initial: Int
        let final: Int

        /// The step at which the last budget is met.
        var last: Int { total - final }

        /// - Throws: `HoneError` with code `.mismatch` where no step is left to allot ranks in.
        init(_ settings: MethodSettings, total: Int) throws {
            func steps(_ name: String) -> Int {
                let value = settings.real(name)
                return Int(value < 1 ? value * Double(total) : value)
            }
            self.total = total
            initial = steps("initial-steps")
            final = steps("final-steps")
            // Nothing is known about importance before the first step.
            guard total - final > max(initial, 1) else {
                throw HoneError(
                    .mismatch,
                    "\(total) steps are too few for ranks to be allotted after the first \(initial) and before the last \(final)",
                    item: "adalora initial-steps")
            }
        }

        init(total: Int, initial: Int, final: Int) {
            self.total = total
            self.initial = initial
            self.final = final
        }

        /// How many triplets may be left after a step, of so many at the beginning and at the end.
        func budget(at step: Int, first: Int, last: Int) -> Int {
            if step <= initial { return first }
            if step > self.last { return last }
            let rest = 1 - Double(step - initial) / Double(self.last - initial)
            return Int((Double(first - last) * (rest * rest * rest) + Double(last)).rounded(.down))
        }
    }

    static let parts = [".lora_A", ".lora_B", ".lora_E"]
    static let steps = "adalora.steps"

    /// Checks that the run has steps to allot ranks in.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        _ = try Schedule(settings, total: context.steps)
    }

    /// Yes: the triplets that are switched off are taken out at the end.
    public var hasStages: Bool { true }

    /// Not before the budget is met.
    public func isComplete(after report: StepReport) -> Bool {
        guard let schedule = try? Schedule(settings, total: report.totalSteps) else { return true }
        return report.step >= schedule.last
    }

    /// Follows how much the loss feels every number, and switches the least important triplets off.
    public func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool {
        // `prepare` has refused what leaves no time; a run that only measures how long a step takes is not prepared.
        guard let schedule = try? Schedule(settings, total: report.totalSteps) else { return false }
        let all = try AdaLoRA.triplets(parameters)
        // Training may go on from an adapter in which maps have lost every triplet.
        let maps = all.filter { $0.values.size(0) > 0 }
        return try withoutGradients {
            var isChanged = false
            if report.step < schedule.last {
                isChanged = try follow(&parameters, maps)
            }
            let ranks = maps.map { $0.values.size(0) }
            let first = ranks.reduce(0, +)
            let budget = schedule.budget(
                at: report.step, first: first, last: min(first, settings.integer("target-rank") * all.count))
            let isDue =
                report.step == schedule.last
                || (schedule.initial + 1..<schedule.last).contains(report.step)
                    && report.step % settings.integer("interval") == 0
            if isDue {
                isChanged = try keep(budget, of: maps, ranks, &parameters) || isChanged
            } else if report.step > schedule.last {
                for map in maps {
                    guard let kept = parameters[map.path + ".kept"] else { continue }
                    try map.values.copyInPlace(map.values.filled(where: kept.equal(0), with: 0))
                }
            }
            if report.step == schedule.last {
                forget(&parameters, maps)
                let steps = [schedule.total, schedule.initial, schedule.final].map { Float($0) }
                parameters.set(AdaLoRA.steps, try Tensor(steps), group: .state)
                isChanged = true
            }
            return isChanged
        }
    }

    /// Moves the running means of sensitivity and uncertainty (equations 9 and 10) on by the step's gradients.
    private func follow(_ parameters: inout ParameterSet, _ maps: [Triplets]) throws -> Bool {
        let (first, second) = (settings.real("sensitivity-decay"), settings.real("uncertainty-decay"))
        var isNew = false
        for name in maps.flatMap({ map in AdaLoRA.parts.map { map.path + $0 } }) {
            let tensor = try parameters.tensor(name)
            guard let gradient = tensor.gradient else { continue }
            if parameters[name + ".sensitivity"] == nil {
                for mean in [".sensitivity", ".uncertainty"] {
                    parameters.set(
                        name + mean, try Tensor.zeros(tensor.shape, .float32, on: tensor.device), group: .state)
                }
                isNew = true
            }
            let (mean, spread) = try (
                parameters.tensor(name + ".sensitivity"), parameters.tensor(name + ".uncertainty")
            )
            let sensitivity = try (tensor.detached() * gradient).abs()
            try mean.multiplyInPlace(first)
            try mean.addInPlace(sensitivity, scale: 1 - first)
            try spread.multiplyInPlace(second)
            try spread.addInPlace((sensitivity - mean).abs(), scale: 1 - second)
        }
        return isNew
    }

    /// Switches off all triplets but the `budget` most important ones (equation 8); with equal scores, more of them.
    private func keep(_ budget: Int, of maps: [Triplets], _ ranks: [Int], _ parameters: inout ParameterSet) throws
        -> Bool
    {
        let excess = ranks.reduce(0, +) - budget
        guard excess > 0 else { return false }
        func score(_ name: String) throws -> Tensor {
            try parameters.tensor(name + ".sensitivity") * parameters.tensor(name + ".uncertainty")
        }
        let scores = try maps.map { map in
            try score(map.path + ".lora_E").reshaped([-1]) + score(map.path + ".lora_A").mean([1])
                + score(map.path + ".lora_B").mean([0])
        }
        let sorted = try Tensor.concatenated(scores).sorted(0).values
        let threshold = try sorted.narrowed(0, from: excess - 1, length: 1)
        var isNew = false
        for (map, score) in zip(maps, scores) {
            let kept = try score.greater(threshold).unsqueezed(1)
            try map.values.copyInPlace(map.values.filled(where: kept.logicalNot(), with: 0))
            isNew = isNew || parameters[map.path + ".kept"] == nil
            parameters.set(map.path + ".kept", try kept.to(.float32), group: .state)
        }
        return isNew
    }

    /// Takes the running means out: the ranks stay from here on.
    private func forget(_ parameters: inout ParameterSet, _ maps: [Triplets]) {
        for name in maps.flatMap({ map in AdaLoRA.parts.map { map.path + $0 } }) {
            parameters.remove(name + ".sensitivity")
            parameters.remove(name + ".uncertainty")
        }
    }

    /// Takes the triplets out that are switched off.
    public func finish(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        parameters = try AdaLoRA.pruned(parameters)
    }

    /// The same adapter without triplets that are switched off and without what only training needs.
    static func pruned(_ parameters: ParameterSet) throws -> ParameterSet {
        try withoutGradients {
            var pruned = ParameterSet()
            for map in try triplets(parameters) {
                var map = map
                if let kept = parameters[map.path + ".kept"] {
                    // Where training ended between two times that ranks are allotted, a triplet may have come back.
                    let (flags, values) = try (kept.elements(Float.self), map.values.elements(Float.self))
                    let places = flags.indices.filter { flags[$0] != 0 || values[$0] != 0 }
                    if places.count < flags.count { map = try map.selecting(places) }
                }
                pruned.set(map.path + ".lora_A", try map.down.detached())
                pruned.set(map.path + ".lora_B", try map.up.detached().contiguous())
                pruned.set(map.path + ".lora_E", try map.values.detached())
            }
            if let steps = parameters[AdaLoRA.steps] { pruned.set(AdaLoRA.steps, steps, group: .state) }
            for parameter in parameters.all where parameter.group == .head {
                pruned.set(parameter.name, parameter.tensor, group: .head)
            }
            return pruned
        }
    }
}
