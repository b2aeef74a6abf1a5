import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import HoneTraining

/// The trials of a method's learning rates.
extension GradientSearch {
    /// One short training a learning rate; all of them in one batch where that is the same and pays.
    func trial(_ method: any Method, steps: Int, report: (SearchEvent) throws -> Void) throws
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
                    // What comes after the last step says nothing about rates, and may take as long as all trials.
                    let outcome = try trainer.run(stages: .preparation, shouldStop: shouldStop) { event in
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
}
