import Glibc
import HoneFormats
import HoneModels
import HoneTorch

extension TriAdaptLoRA {
    /// What growth has seen and done.
    struct History {
        /// One time that maps have grown.
        struct Event: Hashable {
            /// After which step.
            var step: Int
            /// The importance from which on maps grew.
            var threshold: Double
            /// How many were to grow: with equal importance, more of them have.
            var count: Int
            /// The rank of every map afterwards.
            var ranks: [Int]
        }

        /// The norm of every map's triangles over their blocks, when it was last looked at.
        var norms: [Double]
        var events: [Event] = []

        init(norms: [Double]) { self.norms = norms }

        /// As a parameter set keeps it: `growth.norms [maps]`, and where there are events `growth.events [events, 3]` (step,
        /// threshold, count) and `growth.ranks [events, maps]`.
        var tensors: [(name: String, tensor: Tensor)] {
            get throws {
                var all = [("growth.norms", try Tensor(norms.map { Float($0) }))]
                guard !events.isEmpty else { return all }
                let numbers = events.flatMap { [Float($0.step), Float($0.threshold), Float($0.count)] }
                all.append(("growth.events", try Tensor(numbers, shape: [events.count, 3])))
                let ranks = events.flatMap { $0.ranks.map { Float($0) } }
                all.append(("growth.ranks", try Tensor(ranks, shape: [events.count, norms.count])))
                return all
            }
        }

        /// The history of a set.
        ///
        /// - Throws: `HoneError` with code `.mismatch` where it does not belong to these maps.
        init(_ parameters: ParameterSet, maps: [Map]) throws {
            norms = try parameters.tensor("growth.norms").elements()
            guard norms.count == maps.count else {
                throw HoneError(.mismatch, "is of \(norms.count) maps, there are \(maps.count)", item: "growth.norms")
            }
            let hasGrown = maps.contains { $0.blockCount > 1 }
            guard hasGrown || parameters["growth.events"] != nil else { return }
            let numbers = try parameters.tensor("growth.events")
            let ranks = try parameters.tensor("growth.ranks")
            let count = numbers.size(0)
            guard numbers.shape == [count, 3], ranks.shape == [count, maps.count], count > 0 else {
                throw HoneError(
                    .mismatch, "has shape \(numbers.shape) beside ranks of \(ranks.shape)", item: "growth.events")
            }
            let (flat, all): ([Double], [Int]) = try (numbers.elements(), ranks.elements())
            events = (0..<count).map { event in
                Event(
                    step: Int(flat[3 * event]), threshold: flat[3 * event + 1], count: Int(flat[3 * event + 2]),
                    ranks: Array(all[event * maps.count..<(event + 1) * maps.count]))
            }
            guard events.last?.ranks == maps.map(\.rank) else {
                throw HoneError(.mismatch, "ends with other ranks than the maps have", item: "growth.ranks")
            }
        }
    }

    /// The norm of every map's triangles over the number of their blocks.
    func norms(of maps: [Map]) throws -> [Double] {
        try withoutGradients {
            let norms = try maps.map { try TriAdaptLoRA.mixing($0).norm() / Double($0.blockCount) }
            return norms.isEmpty ? [] : try Tensor.stacked(norms).elements()
        }
    }

    private func interval(of steps: Int) -> Int {
        let given = settings.integer("interval")
        return given > 0 ? given : max(1, steps / 20)
    }

    /// Yes: whether there is time to grow is known before the first step.
    public var hasStages: Bool { true }

    /// Refuses a warm-up that leaves no step to grow in; says where there is nothing to grow.
    public func prepare(_ parameters: inout ParameterSet, _ context: TrainingContext) throws {
        let (reference, warmup) = (settings.integer("reference-rank"), settings.integer("growth-warmup"))
        if settings.integer("initial-rank") == reference {
            try context.note("every map starts at the reference rank of \(reference): nothing will grow")
        } else if warmup >= context.steps {
            throw HoneError(
                .mismatch, "\(warmup) leaves none of \(context.steps) steps to grow in",
                item: "triadaptlora growth-warmup")
        }
    }

    /// How many maps are to grow.
    ///
    /// - Parameters:
    ///   - rest: how much of the total rank is left.
    ///   - share: how far the run is after the warm-up, from 0 to 1.
    func growing(rest: Int, share: Double, maps: Int) -> Int {
        let count: Int =
            switch settings.choice("growth") {
            case "nonlinear": Int(pow(Double(rest), share))
            case "fixed": min(settings.integer("top"), rest)
            default: Int(Double(rest) * share)
            }
        return min(max(count, 1), maps)
    }

    /// Adds a block to the maps whose triangles have changed most since it was last looked, where it is time and budget is left.
    public func afterStep(_ report: StepReport, _ parameters: inout ParameterSet) throws -> Bool {
        let warmup = settings.integer("growth-warmup")
        guard report.step > warmup, report.step.isMultiple(of: interval(of: report.totalSteps)) else { return false }
        var maps = try TriAdaptLoRA.maps(parameters)
        let rest = settings.integer("reference-rank") * maps.count - maps.reduce(0) { $0 + $1.rank }
        guard rest > 0 else { return false }
        var history = try History(parameters, maps: maps)
        let norms = try norms(of: maps)
        // A rank above the map's own adds nothing.
        let candidates = try maps.indices.filter {
            maps[$0].rank + increment <= min(try maps[$0].down.size(1), try maps[$0].up.size(0))
        }
        let changes = zip(norms, history.norms).map { $0 - $1 }
        history.norms = norms
        let share = Double(report.step - warmup) / Double(max(1, report.totalSteps - warmup))
        let count = growing(rest: rest, share: share, maps: maps.count)
        let ordered = candidates.map { changes[$0] }.sorted(by: >)
        guard let threshold = ordered.prefix(count).last else { return false }
        var random = report.random("growth")
        for place in candidates where changes[place] >= threshold {
            try grow(&maps[place], random: &random)
        }
        history.events.append(.init(step: report.step, threshold: threshold, count: count, ranks: maps.map(\.rank)))
        try TriAdaptLoRA.set(maps, history, in: &parameters)
        return true
    }

    /// Appends a block of normal numbers with a standard deviation of 0.02 to each part.
    private func grow(_ map: inout Map, random: inout RandomStream) throws {
        let (before, after) = (map.rank, map.rank + increment)
        let (inputs, outputs, device) = (map.downs[0].size(1), map.ups[0].size(0), map.downs[0].device)
        func noise(_ shape: [Int]) throws -> Tensor {
            try random.normal(shape, standardDeviation: 0.02).to(device)
        }
        map.downs.append(try noise([after - before, inputs]))
        map.ups.append(try noise([outputs, after - before]))
        map.lowers.append(try noise([after - before, after]))
        map.uppers.append(try noise([after, after - before]))
    }
}

extension TriAdaptLoRA {
    /// Where the total rank went, and when.
    public func figures(_ parameters: ParameterSet, of model: BaseModel) throws -> [MethodFigure] {
        let maps = try TriAdaptLoRA.maps(parameters)
        let events = try History(parameters, maps: maps).events
        let budget = settings.integer("reference-rank") * maps.count
        let total = maps.reduce(0) { $0 + $1.rank }
        var figures = [
            RankFigures.map(
                "Rank of every map", note: "The ranks add up to \(total); growth stops at \(budget).",
                ranks: maps.map { ($0.path, $0.rank) })
        ]
        guard !events.isEmpty else { return figures }
        let start = maps.map { $0.downs[0].size(0) }
        figures.append(
            RankFigures.byLayer(
                "Mean rank of every layer", note: "At the start, and after the steps at which maps have grown.",
                paths: maps.map(\.path),
                times: [(name: "0", ranks: start)] + events.map { (name: String($0.step), ranks: $0.ranks) }))
        var before = start
        let rows = events.map { event in
            defer { before = event.ranks }
            let grown = zip(before, event.ranks).count { $0 != $1 }
            return [
                String(event.step), String(event.threshold), String(event.count), String(grown),
                String(event.ranks.reduce(0, +)),
            ]
        }
        figures.append(
            MethodFigure(
                "Growth", note: "Maps whose importance reached the threshold; of equal ones, all grow.",
                .table(titles: ["step", "threshold", "to grow", "grown", "total rank"], rows: rows)))
        return figures
    }
}
