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
        tuning: ComparisonTask.Draw, learningRate: Double?
    ) throws -> ComparisonRecord? {
        var record = ComparisonRecord(key: key)
        let bench = OneTask(bench: self, task: task)
        do {
            try method.checkFit(
                model.part(for: task.preparation.shape, type(of: method)).configuration, task.preparation.shape)
            guard
                let adapter = try bench.adapter(
                    method, seed: UInt64(key.seed), draw: draw, tuning: tuning, learningRate: learningRate, &record)
            else { return nil }
            try measure(adapter, task, &record)
        } catch let error as HoneError where error.code == .mismatch || error.code == .notFinite {
            record.reason = error.message
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

    /// The measurements of one task.
    private struct OneTask {
        let bench: ComparisonBench
        let task: ComparisonTask

        private var preparation: Preparation { task.preparation }

        func adapter(
            _ method: any Method, seed: UInt64, draw: ComparisonTask.Draw, tuning: ComparisonTask.Draw,
            learningRate: Double?, _ record: inout ComparisonRecord
        ) throws -> Adapter? {
            record.trainRows = draw.encoded.count
            Engine.resetPeakResident()
            defer { record.peakBytes = Engine.peakResidentBytes }
            let started = monotonicSeconds()
            switch type(of: method).card.training {
            case .solver, .none:
                let adapter = try untrained(method, seed: seed, draw: draw)
                record.seconds = monotonicSeconds() - started
                return adapter
            case .gradient: break
            }
            let steps = steps(of: draw)
            guard
                let rate = try learningRate
                    ?? chosenRate(method, seed: 0, draw: tuning, steps: max(1, steps / 3))
            else { return nil }
            let trainingStarted = monotonicSeconds()
            let (adapter, isWhole) = try trained(method, seed: seed, draw: draw, steps: steps, learningRate: rate)
            record.seconds = monotonicSeconds() - trainingStarted
            record.learningRate = rate
            record.steps = steps
            return isWhole ? adapter : nil
        }

        private func steps(of draw: ComparisonTask.Draw) -> Int {
            let options = bench.options
            let epochs = options.epochs * Double(draw.encoded.count) / Double(options.batchSize)
            return min(max(Int(epochs.rounded(.up)), options.steps.lowerBound), options.steps.upperBound)
        }

        /// The rate with the lowest validation loss; `nil` where it was stopped.
        private func chosenRate(_ method: any Method, seed: UInt64, draw: ComparisonTask.Draw, steps: Int) throws
            -> Double?
        {
            var best: (rate: Double, loss: Double)?
            let rates = type(of: method).card.learningRates.prefix(bench.options.trials)
            if rates.count == 1 { return rates.first }
            for rate in rates {
                do {
                    let (adapter, isWhole) = try trained(
                        method, seed: seed, draw: draw, steps: steps, learningRate: rate)
                    guard isWhole else { return nil }
                    let loss = try Evaluation.measure(
                        Specialist(base: bench.model, adapter: adapter), on: task.validation, split: "validation",
                        generates: false
                    ).point.loss
                    if loss < best?.loss ?? .infinity { best = (rate, loss) }
                } catch let error as HoneError where error.code == .notFinite {
                    continue
                }
            }
            guard let best else {
                throw HoneError(.notFinite, "every learning rate diverged", item: method.name)
            }
            return best.rate
        }

        private func trained(
            _ method: any Method, seed: UInt64, draw: ComparisonTask.Draw, steps: Int, learningRate: Double
        ) throws -> (Adapter, isWhole: Bool) {
            var adapter = try Adapter.initial(
                method, for: bench.model, task: preparation.shape, labels: preparation.task.labels,
                encoding: preparation.encoding, seed: seed)
            for parameter in try solvedHead(draw, strength: Search.startStrength)?.all ?? [] {
                adapter.parameters.set(parameter.name, parameter.tensor, group: .head)
            }
            var plan = TrainingPlan.ofSearch(
                steps: steps, learningRate: learningRate, batchSize: min(bench.options.batchSize, draw.encoded.count),
                seed: seed)
            plan.evaluateEvery = 0
            let outcome = try Trainer(
                model: bench.model, adapter: adapter, examples: draw.encoded, source: draw.examples, plan: plan
            ).run(shouldStop: bench.shouldStop)
            adapter.parameters = outcome.parameters
            return (adapter, outcome.ending != .interrupted)
        }

        /// A head solved on the frozen model's vectors; none where there is nothing to classify.
        private func solvedHead(_ draw: ComparisonTask.Draw, strength: Double?) throws -> ParameterSet? {
            guard case .classification(let classes) = preparation.shape else { return nil }
            let settings = try strength.map {
                try MethodSettings(LinearProbe.card, json: ["strength": .number($0)])
            }
            let probe = LinearProbe(try settings ?? MethodSettings(LinearProbe.card))
            let bare = try Specialist(base: bench.model, adapter: empty(probe, ParameterSet()))
            return try probe.solve(
                features: bare.features(draw.encoded), labels: draw.examples.map { $0.label ?? 0 }, classes: classes)
        }

        private func empty(_ method: any Method, _ parameters: ParameterSet) -> Adapter {
            Adapter(
                method: method, task: preparation.shape, labels: preparation.task.labels, parameters: parameters,
                encoding: preparation.encoding)
        }

        private func untrained(_ method: any Method, seed: UInt64, draw: ComparisonTask.Draw) throws -> Adapter {
            if let solver = method as? any SolverMethod, case .classification(let classes) = preparation.shape {
                let bare = try Specialist(base: bench.model, adapter: empty(solver, ParameterSet()))
                return empty(
                    solver,
                    try solver.solve(
                        features: bare.features(draw.encoded), labels: draw.examples.map { $0.label ?? 0 },
                        classes: classes))
            }
            var adapter = try Adapter.initial(
                method, for: bench.model, task: preparation.shape, labels: preparation.task.labels,
                encoding: preparation.encoding, seed: seed)
            if let chooser = method as? InContextExamples {
                var generator = SeededGenerator(seed: seed, stream: "comparison examples")
                adapter.demonstrations = chooser.choose(
                    from: generator.shuffled(draw.examples), labels: preparation.task.labels)
            }
            return adapter
        }
    }
}
