import HoneEvaluation
import HoneFormats
import HoneMethods
import HoneModels
import HoneTasks
import HoneTorch
import HoneTraining

/// Makes one measurement of a comparison.
struct ComparisonBench {
    let model: BaseModel
    let options: MethodComparison.Options
    let forgetting: Forgetting?
    let shouldStop: () -> Bool

    /// Trains a method on drawn rows and measures it on the test rows.
    ///
    /// - Parameters:
    ///   - tuning: the first seed's rows, on which learning rates are tried.
    ///   - learningRate: the rate that was found for this line of the table, where it was.
    /// - Returns: `nil` where it was stopped.
    func measure(
        _ method: any Method, key: ComparisonRecord.Key, task: ComparisonTask, draw: ComparisonTask.Draw,
        tuning: () throws -> ComparisonTask.Draw, learningRate: Double?
    ) throws -> ComparisonRecord? {
        var record = ComparisonRecord(key: key)
        record.trainRows = draw.encoded.count
        let preparation = task.preparation
        do {
            try method.checkFit(model.part(for: preparation.shape, type(of: method)).configuration, preparation.shape)
            Engine.resetPeakResident()
            var adapter = try initial(method, task, seed: UInt64(key.seed))
            switch type(of: method).card.training {
            case .solver, .none:
                let started = monotonicSeconds()
                if let solver = method as? any SolverMethod {
                    adapter.parameters = try solver.solve(
                        draw.encoded, on: model, labels: adapter.labels, encoding: adapter.encoding)
                } else {
                    adapter = try adapter.untrained(
                        on: model, examples: draw.encoded, source: draw.examples,
                        plan: plan(steps: 1, learningRate: 1e-3, draw, seed: UInt64(key.seed)),
                        validate: adapter.validation(on: model, rows: task.validation, seed: 0), shouldStop: shouldStop)
                }
                record.seconds = monotonicSeconds() - started
            case .gradient:
                let steps = steps(of: draw)
                let rate = try learningRate ?? chosenRate(method, task, draw: tuning(), steps: max(1, steps / 3))
                let started = monotonicSeconds()
                adapter = try trained(
                    adapter, task, draw: draw, steps: steps, learningRate: rate, seed: UInt64(key.seed))
                record.seconds = monotonicSeconds() - started
                record.learningRate = rate
                record.steps = steps
            }
            record.peakBytes = Engine.peakResidentBytes
            try measure(adapter, task, &record)
        } catch let error as HoneError where error.code == .mismatch || error.code == .notFinite {
            record.reason = error.message
        } catch is CancellationError {
            return nil
        }
        return record
    }

    private func measure(_ adapter: Adapter, _ task: ComparisonTask, _ record: inout ComparisonRecord) throws {
        let specialist = try Specialist(base: model, adapter: adapter)
        let evaluation = try Evaluation.measure(
            specialist, on: task.test, split: "test", generates: false, seed: UInt64(record.key.seed))
        record.score = evaluation.point.score
        record.loss = evaluation.point.loss
        record.macroF1 = evaluation.classification?.macroF1.value ?? .nan
        record.calibrationError = evaluation.classification?.calibration?.expectedCalibrationError.value ?? .nan
        record.testRows = task.test.count
        record.trainedParameters = adapter.parameters.count
        record.forgetting = try forgetting?.measure(specialist) ?? .nan
    }

    private func initial(_ method: any Method, _ task: ComparisonTask, seed: UInt64) throws -> Adapter {
        try Adapter.initial(
            method, for: model, task: task.preparation.shape, labels: task.preparation.task.labels,
            encoding: task.preparation.encoding, seed: seed)
    }

    private func steps(of draw: ComparisonTask.Draw) -> Int {
        let steps = options.epochs * Double(draw.encoded.count) / Double(options.batchSize)
        return min(max(Int(steps.rounded(.up)), options.steps.lowerBound), options.steps.upperBound)
    }

    private func plan(steps: Int, learningRate: Double, _ draw: ComparisonTask.Draw, seed: UInt64) -> TrainingPlan {
        .ofSearch(
            steps: steps, learningRate: learningRate, batchSize: min(options.batchSize, draw.encoded.count), seed: seed)
    }

    /// The rate with the lowest validation loss.
    ///
    /// - Throws: `CancellationError` where it was stopped.
    private func chosenRate(_ method: any Method, _ task: ComparisonTask, draw: ComparisonTask.Draw, steps: Int) throws
        -> Double
    {
        var best: (rate: Double, loss: Double)?
        let rates = type(of: method).card.learningRates.prefix(options.trials)
        if let only = rates.first, rates.count == 1 { return only }
        for rate in rates {
            do {
                let adapter = try trained(
                    initial(method, task, seed: 0), task, draw: draw, steps: steps, learningRate: rate, seed: 0,
                    stages: .preparation)
                let loss = try Evaluation.measure(
                    Specialist(base: model, adapter: adapter), on: task.validation, split: "validation",
                    generates: false
                ).point.loss
                if loss < best?.loss ?? .infinity { best = (rate, loss) }
            } catch let error as HoneError where error.code == .notFinite {
                continue
            }
        }
        guard let best else { throw HoneError(.notFinite, "every learning rate diverged", item: method.name) }
        return best.rate
    }

    /// - Throws: `CancellationError` where it was stopped.
    private func trained(
        _ initial: Adapter, _ task: ComparisonTask, draw: ComparisonTask.Draw, steps: Int, learningRate: Double,
        seed: UInt64, stages: Trainer.Stages = .all
    ) throws -> Adapter {
        var adapter = initial
        for parameter in draw.head?.all ?? [] {
            adapter.parameters.set(parameter.name, parameter.tensor, group: .head)
        }
        // Only methods that choose among parameters look at validation rows on the way.
        let validate = adapter.method.hasStages ? adapter.validation(on: model, rows: task.validation, seed: 0) : nil
        let outcome = try Trainer(
            model: model, adapter: adapter, examples: draw.encoded, source: draw.examples,
            plan: plan(steps: steps, learningRate: learningRate, draw, seed: seed), validate: validate
        ).run(stages: stages, shouldStop: shouldStop)
        guard outcome.ending != .interrupted else { throw CancellationError() }
        adapter.parameters = outcome.parameters
        return adapter
    }
}
