import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// Learning-rate trials of equal length for every gradient method, then full training of those not clearly behind.
struct GradientSearch {
    let search: Search
    let clock: SearchClock
    /// The solved head that classification starts from: gradients of a random head would first spoil the features (Kumar
    /// et al. 2022, arXiv 2202.10054).
    let head: ParameterSet?
    let shouldStop: () -> Bool
    /// What an earlier search was planned to do, to be done again whatever the clock says.
    let repeated: SearchPlan?

    var preparation: Preparation { search.preparation }
    private var epochSteps: Int { (preparation.train.count + search.batchSize - 1) / search.batchSize }

    /// Shares of the time left that trials and full training may take. Full training gets the larger part: what a method
    /// reaches after enough epochs says more than many trials.
    private static let trialShare = 0.25
    private static let fullShare = 0.9
    /// The most epochs of full training.
    private static let mostEpochs = 6.0
    /// With fewer epochs than this, full training says little; fewer methods get it instead.
    private static let enoughEpochs = 4.5

    func run(_ methods: [any Method], report: (SearchEvent) throws -> Void, plan: inout JSONObject) throws
        -> [MethodResult]
    {
        var results: [MethodResult] = []
        var suited: [(method: any Method, speed: Double)] = []
        for method in methods {
            try orSkip(method, in: &results) { _ in
                suited.append((method, repeated == nil ? try secondsPerStep(method) : 0))
            }
        }
        let trials = suited.reduce(0) { $0 + search.learningRates(of: $1.method).count }
        // Time for trials of so many steps of every method and learning rate.
        func trialSeconds(_ steps: Double) -> Double {
            suited.reduce(0.0) { sum, entry in
                let work = steps + stageCost(entry.method, steps: steps).before
                return sum + entry.speed * work * Double(search.learningRates(of: entry.method).count)
            }
        }
        let trialSteps =
            repeated?.trialSteps
            ?? max(
                8, halved(Double(epochSteps), until: { trialSeconds($0) <= clock.left * GradientSearch.trialShare }))
        plan["batch_size"] = .integer(search.batchSize)
        plan["steps_per_epoch"] = .integer(epochSteps)
        plan["trial_steps"] = .integer(trialSteps)
        plan["trials"] = .integer(trials)
        var contenders: [Contender] = []
        for (method, speed) in suited {
            if shouldStop() { break }
            try orSkip(method, in: &results) { results in
                let (result, scores) = try trial(method, steps: trialSteps, report: report)
                results.append(result)
                if let scores {
                    contenders.append(
                        Contender(place: results.count - 1, method: method, speed: speed, scores: scores))
                }
            }
        }
        func drop(_ contender: Contender, _ reason: String) throws {
            results[contender.place].status = .dropped
            results[contender.place].reason = reason
            try report(.note("\(contender.method.name): dropped, \(reason)"))
        }
        let best = contenders.max { isBetter($1.scores, than: $0.scores) }
        if let best {
            contenders = try contenders.filter { contender in
                guard contender.place != best.place else { return true }
                let isBehind = try isBehind(contender.scores, best.scores)
                if isBehind {
                    try drop(
                        contender,
                        "clearly behind \(best.method.name) after \(trialSteps) trial steps: validation "
                            + "\(contender.scores.name) \(decimals(contender.scores.mean, 4)) against "
                            + decimals(best.scores.mean, 4))
                }
                return !isBehind
            }
        }
        // What is left of the budget goes to as many as can have enough epochs each. Among methods that the trials could
        // not tell apart, those that can learn the most come first: a short trial does not show what they reach.
        contenders.sort { results[$0.place].trainedParameters > results[$1.place].trainedParameters }
        let time = clock.left * GradientSearch.fullShare
        func seconds(_ contender: Contender, epochs: Double) -> Double {
            let steps = epochs * Double(epochSteps)
            let stages = stageCost(contender.method, steps: steps)
            return contender.speed * (stages.before + steps + stages.after)
        }
        // A method whose own work alone takes longer than what is left is not begun.
        let tooLong = contenders.filter { contender in
            repeated.map { $0.leftOut.contains(contender.method.name) }
                ?? (seconds(contender, epochs: 0) > max(0, time))
        }
        for contender in tooLong {
            let needed = seconds(contender, epochs: 0)
            try drop(
                contender,
                "its own work before and after training takes longer than the budget leaves"
                    + (repeated == nil ? " (about \(Int(needed)) s of \(Int(max(0, time))))" : "")
                    + "; a larger --budget lets it in")
        }
        contenders.removeAll { contender in tooLong.contains { $0.place == contender.place } }
        plan["left_out"] = .array(tooLong.map { .string($0.method.name) })
        func epochs(_ count: Int) -> Double {
            halvedShare(GradientSearch.mostEpochs) { epochs in
                contenders.prefix(count).reduce(0.0) { $0 + seconds($1, epochs: epochs) } <= time
            }
        }
        var finalists = contenders.count
        if let repeated {
            finalists = min(finalists, repeated.finalists)
        } else {
            while finalists > 1, epochs(finalists) < GradientSearch.enoughEpochs { finalists -= 1 }
        }
        for contender in contenders.dropFirst(finalists) {
            try drop(
                contender,
                "validation \(contender.scores.name) \(decimals(contender.scores.mean, 4)) after \(trialSteps) trial steps; "
                    + "the budget leaves no time to train more than \(finalists) method\(finalists == 1 ? "" : "s") in full"
            )
        }
        contenders = Array(contenders.prefix(finalists))
        let fullSteps =
            repeated?.fullSteps
            ?? max(trialSteps, Int((epochs(max(1, finalists)) * Double(epochSteps)).rounded(.up)))
        plan["finalists"] = .integer(finalists)
        plan["full_steps"] = .integer(fullSteps)
        for contender in contenders {
            if shouldStop() { break }
            do {
                try train(contender.method, steps: fullSteps, into: &results[contender.place], report: report)
            } catch let error as HoneError where error.code == .mismatch || error.code == .notFinite {
                // The others have their turn all the same.
                results[contender.place].reason = error.message
                results[contender.place].validation = nil
            }
            try report(.note(search.summary(results[contender.place])))
        }
        for method in methods where !results.contains(where: { $0.name == method.name }) {
            results.append(MethodResult(name: method.name, status: .failed, reason: "interrupted before it began"))
        }
        return results
    }

    /// Does a piece of a method's work. Some settings show only with the model, the rows or the steps at hand that they do not
    /// suit; such a method is skipped and the others go on.
    private func orSkip(
        _ method: any Method, in results: inout [MethodResult], _ body: (inout [MethodResult]) throws -> Void
    )
        throws
    {
        do {
            try body(&results)
        } catch let error as HoneError where error.code == .mismatch {
            results.append(MethodResult(name: method.name, status: .skipped, reason: error.message))
        }
    }

    /// What a method does before the first step and after the last, in steps.
    private func stageCost(_ method: any Method, steps: Double) -> StageCost {
        method.stageCost(
            steps: Int(steps.rounded(.up)), rows: preparation.train.count, batchSize: search.batchSize)
    }

    /// A method after its trials, with the validation scores of its best one.
    private struct Contender {
        let place: Int
        let method: any Method
        let speed: Double
        let scores: ValidationScores
    }

    private func isBetter(_ first: ValidationScores, than second: ValidationScores) -> Bool {
        first.higherIsBetter ? first.mean > second.mean : first.mean < second.mean
    }

    /// Whether a paired test tells scores apart from better ones without doubt.
    func isBehind(_ scores: ValidationScores, _ best: ValidationScores) throws -> Bool {
        let comparison = try best.compared(with: scores, bootstrap: Bootstrap(seed: search.seed))
        return comparison.difference.low > 0 && comparison.pValue < 0.01
    }

    /// The largest of `whole`, three quarters, a half, three eighths, … that fits; the same for small differences in speed.
    private func halved(_ whole: Double, until fits: (Double) -> Bool) -> Int {
        Int(halvedShare(whole, until: fits).rounded(.up))
    }

    private func halvedShare(_ whole: Double, until fits: (Double) -> Bool) -> Double {
        var value = whole
        while value > whole / 256 {
            if fits(value) { return value }
            if fits(value * 0.75) { return value * 0.75 }
            value /= 2
        }
        return value
    }

    func plan(steps: Int, learningRate: Double) -> TrainingPlan {
        .ofSearch(steps: steps, learningRate: learningRate, batchSize: search.batchSize, seed: search.seed)
    }

    func start(_ method: any Method) throws -> Adapter {
        var adapter = try Adapter.initial(
            method, for: preparation.model, task: preparation.shape, labels: preparation.task.labels,
            encoding: preparation.encoding, seed: search.seed)
        if let head {
            for parameter in head.all where parameter.group == .head {
                adapter.parameters.set(parameter.name, try parameter.tensor.cloned(), group: .head)
            }
        }
        return adapter
    }

    /// The fastest of a few steps of typical rows.
    private func secondsPerStep(_ method: any Method) throws -> Double {
        let trainer = try Trainer(
            model: preparation.model, adapter: start(method), examples: preparation.train,
            plan: plan(steps: 4, learningRate: search.learningRates(of: method).first ?? 1e-3))
        var seconds: [Double] = []
        _ = try trainer.run(
            stages: .none,
            report: { event in
                if case .step(let step) = event { seconds.append(step.seconds) }
            })
        // The first step warms caches up.
        return seconds.dropFirst().sorted().dropFirst(seconds.count / 3).first ?? seconds.first ?? 0.1
    }

    func evaluate(_ adapter: Adapter, _ parameters: ParameterSet) throws -> Evaluation {
        var trained = adapter
        trained.parameters = parameters
        var evaluation = Evaluation(split: "validation")
        let specialist = try Specialist(base: preparation.model, adapter: trained)
        let rows = preparation.task.split.validation
        switch preparation.shape {
        case .classification(let classes):
            evaluation.outcomes = try ClassificationOutcomes(
                labels: rows.map { $0.label ?? 0 }, probabilities: specialist.probabilities(rows), classCount: classes)
        case .generation:
            let losses = try specialist.targetLosses(try rows.map(specialist.encoder.encode))
            evaluation.tokenLosses = losses.map { TokenLoss(sum: $0.loss, tokens: $0.tokens) }
        }
        return evaluation
    }

    /// The same answers with their figures and intervals.
    func measured(_ evaluation: Evaluation) throws -> Evaluation {
        var evaluation = evaluation
        let bootstrap = Bootstrap(seed: search.seed)
        if let outcomes = evaluation.outcomes {
            evaluation.classification = ClassificationMetrics(outcomes, bootstrap: bootstrap)
        } else {
            evaluation.generation = try GenerationMetrics(losses: evaluation.tokenLosses, bootstrap: bootstrap)
        }
        return evaluation
    }

    /// Full training with the learning rate that the trials found best.
    private func train(
        _ method: any Method, steps: Int, into result: inout MethodResult, report: (SearchEvent) throws -> Void
    ) throws {
        let started = monotonicSeconds()
        Engine.resetPeakResident()
        let adapter = try start(method)
        var plan = plan(steps: steps, learningRate: result.learningRate ?? 1e-3)
        plan.evaluateEvery = max(8, min(epochSteps / 2, steps / 4))
        plan.patience = 4
        try report(.begin(method: method.name, activity: "training", steps: steps))
        var losses: [(step: Int, loss: Double)] = []
        var points: [ValidationPoint] = []
        let trainer = try Trainer(
            model: preparation.model, adapter: adapter, examples: preparation.train,
            source: preparation.task.split.train, plan: plan
        ) { parameters, step in
            let point = try evaluate(adapter, parameters).point
            return ValidationPoint(step: step, score: point.score, loss: point.loss)
        }
        // The plan was made to fit; only a machine that has become much slower is cut off.
        let limit = repeated == nil ? clock.left * 1.5 : .infinity
        let outcome = try trainer.run(shouldStop: { shouldStop() || monotonicSeconds() - started > limit }) { event in
            switch event {
            case .step(let step):
                losses.append((step.step, step.loss))
                try report(.step(method: method.name, step, of: steps))
            case .validation(let point):
                points.append(point)
                try report(.validation(method: method.name, point))
            case .warning(let text), .note(let text):
                try report(.note("\(method.name): \(text)"))
            case .begin, .checkpoint: break
            }
        }
        var trained = adapter
        trained.parameters = outcome.parameters
        result.adapter = trained
        result.validation = try measured(evaluate(adapter, outcome.parameters))
        result.steps = outcome.steps
        result.lossCurve = losses
        result.validationCurve = points
        result.status = .completed
        result.reason = outcome.ending == .interrupted ? "cut short" : ""
        result.seconds += monotonicSeconds() - started
        result.peakBytes = max(result.peakBytes, Engine.peakResidentBytes)
    }
}

extension TrainingPlan {
    /// How methods are trained where they are compared: alike, warmed up, and falling in a straight line.
    static func ofSearch(steps: Int, learningRate: Double, batchSize: Int, seed: UInt64) -> TrainingPlan {
        var plan = TrainingPlan(steps: steps, learningRate: learningRate)
        plan.batchSize = batchSize
        plan.warmup = 0.06
        plan.schedule = .linear
        plan.weightDecay = 0.01
        plan.maximumGradientNorm = 1
        plan.seed = seed
        return plan
    }
}
