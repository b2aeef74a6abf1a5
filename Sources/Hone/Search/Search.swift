import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// What the search tells while it goes.
public enum SearchEvent: Sendable {
    /// A method begins a trial or its full training.
    case begin(method: String, activity: String, steps: Int)
    /// A step is done.
    case step(method: String, TrainingStep, of: Int)
    /// Validation is done.
    case validation(method: String, ValidationPoint)
    /// A sentence for the person who waits.
    case note(String)
}

/// What came of one method.
public struct MethodResult {
    /// How far it got.
    public enum Status: String, Sendable {
        /// Trained in full and measured.
        case completed
        /// Clearly behind after its trials.
        case dropped
        /// It does not fit the model or the task.
        case skipped
        /// It broke.
        case failed
    }

    /// Its name.
    public var name: String
    /// How far it got.
    public var status: Status
    /// Why, where it was not completed.
    public var reason = ""
    /// What it learned.
    public var adapter: Adapter?
    /// What validation found in the end.
    public var validation: Evaluation?
    /// The learning rates tried and what validation found after each trial.
    public var trials: [(learningRate: Double, score: Double, loss: Double)] = []
    /// How long the steps of the trials took, validation not counted; absent for methods without.
    public var trialSeconds: Double?
    /// The learning rate taken.
    public var learningRate: Double?
    /// How many optimiser steps the full training had.
    public var steps = 0
    /// How long trials and training took.
    public var seconds = 0.0
    /// The largest resident memory while it worked, in bytes.
    public var peakBytes = 0
    /// How many numbers were trained.
    public var trainedParameters = 0
    /// The loss of each step of the full training.
    public var lossCurve: [(step: Int, loss: Double)] = []
    /// Validation during the full training.
    public var validationCurve: [ValidationPoint] = []
}

/// Tries methods on one split with one budget each, and chooses honestly.
///
/// Every gradient method gets the same number of learning rates, each for the same number of steps. Methods that are
/// clearly behind after that are dropped; of the others, as many as the budget can give enough epochs train in full, those
/// with the most trained parameters first, keep the best of their validations, and are compared pairwise on the validation
/// rows. Steps are planned in coarse
/// shares of an epoch, so that small differences in speed give the same plan; the plan is part of the result.
public struct Search {
    /// Task and model.
    public let preparation: Preparation
    /// The methods, in the order in which they are tried.
    public let methods: [any Method]
    /// How long the whole search may take, in seconds.
    public let budget: Double
    /// What everything random is drawn from.
    public let seed: UInt64
    /// How many rows a step has.
    public let batchSize: Int
    /// The learning rates that every gradient method tries, the usual one first; each method's own where there are none.
    public let learningRates: [Double]
    /// The plan of an earlier search, to be done again; made from the speed of the machine where there is none.
    public let repeated: SearchPlan?

    /// A search over methods.
    public init(
        _ preparation: Preparation, methods: [any Method], budget: Double, seed: UInt64, batchSize: Int = 32,
        learningRates: [Double] = [], repeating plan: SearchPlan? = nil
    ) {
        self.learningRates = learningRates
        repeated = plan
        self.preparation = preparation
        self.methods = methods
        self.budget = budget
        self.seed = seed
        self.batchSize = min(batchSize, max(1, preparation.train.count / 4))
    }

    /// What the search found, and what it was planned to do.
    public struct Outcome {
        /// One result a method, in the order tried.
        public var results: [MethodResult]
        /// The place of the chosen one.
        public var chosen: Int
        /// Why it was chosen, in words.
        public var explanation: String
        /// Trial steps, full steps and speeds.
        public var plan: JSON
        /// Whether it was cut short by the user.
        public var wasInterrupted: Bool
    }

    func learningRates(of method: any Method) -> [Double] {
        learningRates.isEmpty ? type(of: method).card.learningRates : learningRates
    }

    private var validationRows: [Example] { preparation.task.split.validation }

    /// Runs the search.
    ///
    /// - Parameters:
    ///   - shouldStop: asked after every step; the search then ends with what it has.
    ///   - report: told what happens.
    /// - Throws: `HoneError` where no method could be completed.
    public func run(shouldStop: @escaping () -> Bool, report: (SearchEvent) throws -> Void) throws -> Outcome {
        let clock = SearchClock(budget: budget)
        Engine.resetPeakResident()
        let features = try frozenFeatures()
        let secondsForFeatures = budget - clock.left
        var results: [MethodResult] = []
        var gradient: [any Method] = []
        for method in methods {
            do {
                try method.checkFit(preparation.model.configuration, preparation.shape)
            } catch let error as HoneError where error.code == .mismatch {
                results.append(MethodResult(name: method.name, status: .skipped, reason: error.message))
                continue
            }
            switch type(of: method).card.training {
            case .gradient:
                gradient.append(method)
                results.append(MethodResult(name: method.name, status: .failed))
            case .solver:
                guard let solver = method as? any SolverMethod else { continue }
                try report(.begin(method: method.name, activity: "solving", steps: 0))
                var result = try solve(solver, on: features)
                result.seconds += secondsForFeatures
                result.peakBytes = Engine.peakResidentBytes
                try report(.note(summary(result)))
                results.append(result)
            case .none:
                try report(.begin(method: method.name, activity: "scoring", steps: 0))
                do {
                    let result = try measureUntrained(method)
                    try report(.note(summary(result)))
                    results.append(result)
                } catch let error as HoneError where error.code == .mismatch {
                    results.append(MethodResult(name: method.name, status: .skipped, reason: error.message))
                }
            }
        }
        var plan = JSONObject()
        if !gradient.isEmpty {
            let trainer = GradientSearch(
                search: self, clock: clock, head: try startHead(on: features), shouldStop: shouldStop,
                repeated: repeated)
            let found = try trainer.run(gradient, report: report, plan: &plan)
            for result in found {
                if let place = results.firstIndex(where: { $0.name == result.name }) { results[place] = result }
            }
        }
        let completed = results.indices.filter { results[$0].status == .completed }
        guard !completed.isEmpty else {
            let reasons = results.map { "\($0.name): \($0.reason)" }.joined(separator: "; ")
            throw HoneError(shouldStop() ? .interrupted : .badData, "no method could be completed (\(reasons))")
        }
        let choice = try ModelChoice(
            completed.compactMap { place in
                let result = results[place]
                guard let validation = result.validation else { return nil }
                return ModelChoice.Candidate(
                    name: result.name, costRank: (try? Methods.named(result.name).card.costRank) ?? 99,
                    trainedParameters: result.trainedParameters, seconds: result.seconds, scores: validation.scores,
                    losses: validation.outcomes == nil ? nil : validation.losses)
            }, bootstrap: Bootstrap(seed: seed))
        return Outcome(
            results: results, chosen: completed[choice.chosen], explanation: choice.explanation, plan: .object(plan),
            wasInterrupted: shouldStop())
    }

    /// One line about a finished method.
    func summary(_ result: MethodResult) -> String {
        guard let validation = result.validation else { return "\(result.name): \(result.reason)" }
        let score = validation.scores.mean
        let figure =
            validation.outcomes != nil
            ? "validation accuracy \(decimals(score, 4))" : "validation loss per token \(decimals(score, 4))"
        return "\(result.name): \(figure) after \(decimals(result.seconds, 1)) s"
    }

    /// Pooled vectors of the frozen model, computed once for all that is solved on them.
    private struct FrozenFeatures {
        let train: Tensor
        let validation: Tensor
    }

    /// The frozen model's vectors of all rows; none where there is nothing to classify.
    private func frozenFeatures() throws -> FrozenFeatures? {
        guard case .classification = preparation.shape else { return nil }
        let probe = try LinearProbe(MethodSettings(LinearProbe.card))
        let bare = try Specialist(base: preparation.model, adapter: adapter(probe, ParameterSet()))
        return FrozenFeatures(
            train: try bare.features(preparation.train),
            validation: try bare.features(try validationRows.map(bare.encoder.encode)))
    }

    private func adapter(_ method: any Method, _ parameters: ParameterSet) -> Adapter {
        Adapter(
            method: method, task: preparation.shape, labels: preparation.task.labels, parameters: parameters,
            encoding: preparation.encoding)
    }

    /// Every variant of the solver on the frozen features; validation picks.
    private func solve(_ solver: any SolverMethod, on features: FrozenFeatures?) throws -> MethodResult {
        let started = monotonicSeconds()
        var result = MethodResult(name: solver.name, status: .completed)
        guard let features, case .classification(let classes) = preparation.shape else { return result }
        var best: (adapter: Adapter, evaluation: Evaluation)?
        let labels = preparation.train.map { $0.label ?? 0 }
        let wanted = validationRows.map { $0.label ?? 0 }
        for variant in solver.variants {
            let parameters = try variant.solve(features: features.train, labels: labels, classes: classes)
            let logits = try ClassificationHead.logits(features.validation, parameters)
            let outcomes = try ClassificationOutcomes(
                labels: wanted, probabilities: logits.softmax(-1).elements(Float.self), classCount: classes)
            var evaluation = Evaluation(split: "validation")
            evaluation.outcomes = outcomes
            let point = evaluation.point
            result.trials.append((variant.settings.json["strength"]?.number ?? 0, point.score, point.loss))
            if best.map({ (point.score, -point.loss) > ($0.evaluation.point.score, -$0.evaluation.point.loss) }) ?? true
            {
                best = (adapter(variant, parameters), evaluation)
            }
        }
        if var best, let outcomes = best.evaluation.outcomes {
            best.evaluation.classification = ClassificationMetrics(outcomes, bootstrap: Bootstrap(seed: seed))
            result.adapter = best.adapter
            result.validation = best.evaluation
            result.trainedParameters = best.adapter.parameters.count
        }
        result.seconds = monotonicSeconds() - started
        return result
    }

    /// How strongly the head that gradient methods start from is smoothed: it knows the directions of the classes but is
    /// sure of nothing, so that there is a loss left to learn from. A head solved to the end leaves almost none.
    static let startStrength = 0.3

    /// The head that gradient methods start from, solved on frozen features.
    private func startHead(on features: FrozenFeatures?) throws -> ParameterSet? {
        guard let features, case .classification(let classes) = preparation.shape else { return nil }
        let smooth = try MethodSettings(LinearProbe.card, json: ["strength": .number(Search.startStrength)])
        return try LinearProbe(smooth).solve(
            features: features.train, labels: preparation.train.map { $0.label ?? 0 }, classes: classes)
    }

    private func measureUntrained(_ method: any Method) throws -> MethodResult {
        let started = monotonicSeconds()
        Engine.resetPeakResident()
        let initial = try Adapter.initial(
            method, for: preparation.model, task: preparation.shape, labels: preparation.task.labels,
            encoding: preparation.encoding, seed: seed)
        var plan = TrainingPlan(steps: 1, learningRate: 1e-3)
        plan.seed = seed
        let adapter = try initial.untrained(
            on: preparation.model, examples: preparation.train, source: preparation.task.split.train, plan: plan,
            validate: initial.validation(on: preparation.model, rows: validationRows, seed: seed))
        var result = MethodResult(name: method.name, status: .completed)
        let specialist = try Specialist(base: preparation.model, adapter: adapter)
        result.adapter = adapter
        result.validation = try Evaluation.measure(
            specialist, on: validationRows, split: "validation", generates: false, seed: seed)
        if preparation.shape == .generation {
            // Losses per token can only be compared over the same tokens.
            let bare = try ExampleEncoder(preparation.model, options: preparation.encoding)
            let wanted = try validationRows.map { try bare.encode($0).targetCount }
            let lost = zip(wanted, result.validation?.tokenLosses ?? []).count { $0 != $1.tokens }
            if lost > 0 {
                return MethodResult(
                    name: method.name, status: .skipped,
                    reason: "with its examples, \(lost) of \(wanted.count) validation rows do not fit into the model's "
                        + "\(preparation.model.maximumLength) positions")
            }
        }
        result.seconds = monotonicSeconds() - started
        result.peakBytes = Engine.peakResidentBytes
        return result
    }
}

/// How much of a budget is left.
struct SearchClock {
    private let start = monotonicSeconds()
    let budget: Double

    var left: Double { budget - (monotonicSeconds() - start) }
}

/// A number with a fixed count of decimals.
func decimals(_ value: Double, _ places: Int) -> String {
    guard value.isFinite else { return "–" }
    let scale = (0..<places).reduce(1.0) { scale, _ in scale * 10 }
    let scaled = (abs(value) * scale).rounded()
    guard scaled < 1e15 else { return String(value) }
    let whole = String(Int(scaled))
    let padded = String(repeating: "0", count: max(0, places + 1 - whole.count)) + whole
    let sign = value < 0 && scaled > 0 ? "-" : ""
    return places == 0 ? sign + padded : sign + padded.dropLast(places) + "." + padded.suffix(places)
}
