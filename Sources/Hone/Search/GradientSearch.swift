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

    private var preparation: Preparation { search.preparation }
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
        let speeds = try methods.map { repeated == nil ? try secondsPerStep($0) : 0 }
        let trials = methods.reduce(0) { $0 + search.learningRates(of: $1).count }
        // Time for one trial step of every method and learning rate.
        let round = zip(methods, speeds).reduce(0.0) { $0 + $1.1 * Double(search.learningRates(of: $1.0).count) }
        let trialSteps =
            repeated?.trialSteps
            ?? max(8, halved(Double(epochSteps), until: { $0 * round <= clock.left * GradientSearch.trialShare }))
        plan["batch_size"] = .integer(search.batchSize)
        plan["steps_per_epoch"] = .integer(epochSteps)
        plan["trial_steps"] = .integer(trialSteps)
        plan["trials"] = .integer(trials)
        var contenders: [Contender] = []
        for (method, speed) in zip(methods, speeds) {
            if shouldStop() { break }
            let (result, scores) = try trial(method, steps: trialSteps, report: report)
            results.append(result)
            if let scores {
                contenders.append(Contender(place: results.count - 1, method: method, speed: speed, scores: scores))
            }
        }
        let best = contenders.max { isBetter($1.scores, than: $0.scores) }
        if let best {
            contenders = try contenders.filter { contender in
                guard contender.place != best.place else { return true }
                let isBehind = try isBehind(contender.scores, best.scores)
                if isBehind {
                    results[contender.place].status = .dropped
                    results[contender.place].reason =
                        "clearly behind \(best.method.name) after \(trialSteps) trial steps: validation "
                        + "\(contender.scores.name) \(decimals(contender.scores.mean, 4)) against "
                        + decimals(best.scores.mean, 4)
                    try report(.note("\(contender.method.name): dropped, \(results[contender.place].reason)"))
                }
                return !isBehind
            }
        }
        // What is left of the budget goes to as many as can have enough epochs each. Among methods that the trials could
        // not tell apart, those that can learn the most come first: a short trial does not show what they reach.
        contenders.sort { results[$0.place].trainedParameters > results[$1.place].trainedParameters }
        let time = clock.left * GradientSearch.fullShare
        func epochs(_ count: Int) -> Double {
            let round = contenders.prefix(count).reduce(0.0) { $0 + $1.speed * Double(epochSteps) }
            return halvedShare(GradientSearch.mostEpochs) { $0 * round <= time }
        }
        var finalists = contenders.count
        if let repeated {
            finalists = min(finalists, repeated.finalists)
        } else {
            while finalists > 1, epochs(finalists) < GradientSearch.enoughEpochs { finalists -= 1 }
        }
        for contender in contenders.dropFirst(finalists) {
            results[contender.place].status = .dropped
            results[contender.place].reason =
                "validation \(contender.scores.name) \(decimals(contender.scores.mean, 4)) after \(trialSteps) trial steps; "
                + "the budget leaves no time to train more than \(finalists) method\(finalists == 1 ? "" : "s") in full"
            try report(.note("\(contender.method.name): dropped, \(results[contender.place].reason)"))
        }
        contenders = Array(contenders.prefix(finalists))
        let fullSteps =
            repeated?.fullSteps
            ?? max(trialSteps, Int((epochs(max(1, finalists)) * Double(epochSteps)).rounded(.up)))
        plan["finalists"] = .integer(finalists)
        plan["full_steps"] = .integer(fullSteps)
        for contender in contenders {
            if shouldStop() { break }
            try train(contender.method, steps: fullSteps, into: &results[contender.place], report: report)
            try report(.note(search.summary(results[contender.place])))
        }
        for method in methods where !results.contains(where: { $0.name == method.name }) {
            results.append(MethodResult(name: method.name, status: .failed, reason: "interrupted before it began"))
        }
        return results
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
    private func isBehind(_ scores: ValidationScores, _ best: ValidationScores) throws -> Bool {
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

    private func plan(steps: Int, learningRate: Double) -> TrainingPlan {
        .ofSearch(steps: steps, learningRate: learningRate, batchSize: search.batchSize, seed: search.seed)
    }

    private func start(_ method: any Method) throws -> Adapter {
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
            withStages: false,
            report: { event in
                if case .step(let step) = event { seconds.append(step.seconds) }
            })
        // The first step warms caches up.
        return seconds.dropFirst().sorted().dropFirst(seconds.count / 3).first ?? seconds.first ?? 0.1
    }

    private func evaluate(_ adapter: Adapter, _ parameters: ParameterSet) throws -> Evaluation {
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
    private func measured(_ evaluation: Evaluation) throws -> Evaluation {
        var evaluation = evaluation
        let bootstrap = Bootstrap(seed: search.seed)
        if let outcomes = evaluation.outcomes {
            evaluation.classification = ClassificationMetrics(outcomes, bootstrap: bootstrap)
        } else {
            evaluation.generation = try GenerationMetrics(losses: evaluation.tokenLosses, bootstrap: bootstrap)
        }
        return evaluation
    }

    /// One short training a learning rate; all of them in one batch where that is the same and pays.
    private func trial(_ method: any Method, steps: Int, report: (SearchEvent) throws -> Void) throws
        -> (MethodResult, ValidationScores?)
    {
        let started = monotonicSeconds()
        Engine.resetPeakResident()
        var result = MethodResult(name: method.name, status: .failed)
        let adapter = try start(method)
        let rates = search.learningRates(of: method)
        result.trainedParameters = adapter.parameters.count
        var best: (rate: Double, evaluation: Evaluation)?
        var usual: (rate: Double, evaluation: Evaluation)?
        var seconds = 0.0
        func note(_ rate: Double, _ parameters: ParameterSet?) throws {
            guard let parameters else {
                result.trials.append((rate, -.infinity, .infinity))
                try report(.note("\(method.name): learning rate \(rate) diverged"))
                return
            }
            let evaluation = try evaluate(adapter, parameters)
            let point = evaluation.point
            result.trials.append((rate, point.score, point.loss))
            if best.map({ point.loss < $0.evaluation.point.loss }) ?? true { best = (rate, evaluation) }
            if rate == rates.first { usual = (rate, evaluation) }
        }
        if rates.count > 1, try trialsJoin(adapter) {
            let names = rates.map { String($0) }.joined(separator: ", ")
            try report(.begin(method: method.name, activity: "trials, learning rates \(names)", steps: steps))
            let outcomes = try JointTrainer(
                model: preparation.model, adapter: adapter, examples: preparation.train,
                plan: plan(steps: steps, learningRate: rates[0]), learningRates: rates
            ).run(
                shouldStop: shouldStop,
                report: { step, _ in
                    seconds += step.seconds
                    try report(.step(method: method.name, step, of: steps))
                })
            for (rate, outcome) in zip(rates, outcomes) {
                if case .trained(let parameters, _) = outcome {
                    try note(rate, parameters)
                } else {
                    try note(rate, nil)
                }
            }
        } else {
            for rate in rates {
                if shouldStop() {
                    result.reason = "interrupted during its trials"
                    break
                }
                try report(.begin(method: method.name, activity: "trial, learning rate \(rate)", steps: steps))
                do {
                    let trainer = try Trainer(
                        model: preparation.model, adapter: adapter, examples: preparation.train,
                        source: preparation.task.split.train, plan: plan(steps: steps, learningRate: rate))
                    let outcome = try trainer.run(shouldStop: shouldStop) { event in
                        guard case .step(let step) = event else { return }
                        seconds += step.seconds
                        try report(.step(method: method.name, step, of: steps))
                    }
                    try note(rate, outcome.parameters)
                } catch let error as HoneError where error.code == .notFinite {
                    try note(rate, nil)
                }
            }
        }
        result.trialSeconds = seconds
        result.seconds = monotonicSeconds() - started
        result.peakBytes = Engine.peakResidentBytes
        result.learningRate = best?.rate
        // Rates go by the loss: after few steps accuracies are alike, and the loss shows which learns. The method's usual
        // one is taken unless it is clearly behind.
        if let best, let usual, try !isBehind(usual.evaluation.losses, best.evaluation.losses) {
            result.learningRate = usual.rate
        }
        if best == nil, result.reason.isEmpty { result.reason = "every learning rate diverged" }
        // Also a method that goes no further than its trials is reported with figures.
        result.validation = try best.map { try measured($0.evaluation) }
        return (result, best?.evaluation.scores)
    }

    /// The most tokens of a step's rows for which several rates are tried in one batch: more keep the processor busy alone.
    private static let mostTokensToJoin = 256

    /// Whether an adapter's trials run in one batch.
    private func trialsJoin(_ adapter: Adapter) throws -> Bool {
        let tokens = preparation.train.reduce(0) { $0 + $1.length } / max(1, preparation.train.count)
        guard tokens * search.batchSize <= GradientSearch.mostTokensToJoin else { return false }
        return try JointTrainer.suits(adapter, preparation.model)
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
