import HoneFormats
import HoneMethods
import HoneModels
import HoneTorch
import HoneTraining

/// A trained adapter with the loss of each step; no losses where nothing is trained by steps.
struct TrainedAdapter {
    var adapter: Adapter
    var losses: [Double]
}

extension Conformance {
    private var training: MethodCard.Training { type(of: row.method).card.training }

    private func plan(steps: Int) -> TrainingPlan {
        let rate = row.learningRate ?? type(of: row.method).card.learningRates.first ?? 1e-3
        var plan = TrainingPlan(steps: steps, learningRate: rate)
        plan.batchSize = Conformance.batchSize
        plan.schedule = .constant
        plan.seed = 11
        return plan
    }

    /// Trains, solves, or chooses demonstrations, as the method wants it.
    func train(_ initial: Adapter) throws -> TrainedAdapter {
        var adapter = initial
        switch training {
        case .gradient:
            let trainer = try Trainer(
                model: model, adapter: initial, examples: encoded, source: task.examples, plan: plan(steps: row.steps))
            var losses: [Double] = []
            let outcome = try trainer.run(report: { if case .step(let step) = $0 { losses.append(step.loss) } })
            adapter.parameters = outcome.parameters
            return TrainedAdapter(adapter: adapter, losses: losses)
        case .solver:
            guard let solver = row.method as? any SolverMethod else {
                throw HoneError(.mismatch, "a method whose card says solver must be a SolverMethod", item: solverName)
            }
            let features = try Specialist(base: model, adapter: initial).features(encoded)
            adapter.parameters = try solver.solve(
                features: features, labels: encoded.map { $0.label ?? 0 }, classes: task.labels.count)
        case .none:
            if let method = row.method as? InContextExamples {
                adapter.demonstrations = method.choose(from: task.examples, labels: task.labels)
            }
            if row.method.hasStages {
                adapter.parameters = try Trainer(
                    model: model, adapter: initial, examples: encoded, source: task.examples, plan: plan(steps: 1)
                ).readParameters()
            }
        }
        return TrainedAdapter(adapter: adapter, losses: [])
    }

    private var solverName: String { row.method.name }

    func learns(_ initial: Adapter, _ trained: TrainedAdapter) throws -> [String] {
        switch training {
        case .none: return []
        case .solver:
            // Log-likelihood against that of knowing nothing.
            let probabilities = try answers(trained.adapter, task.examples)
            let classes = task.labels.count
            var loss = 0.0
            for (place, example) in task.examples.enumerated() {
                loss -= logarithm(probabilities[place * classes + (example.label ?? 0)])
            }
            loss /= Double(task.examples.count) * logarithm(Double(classes))
            return loss <= row.largestShare ? [] : ["the solution has \(loss) of the loss of knowing nothing"]
        case .gradient:
            var problems: [String] = []
            let count = max(1, trained.losses.count / 10)
            let first = trained.losses.prefix(count).reduce(0, +)
            let last = trained.losses.suffix(count).reduce(0, +)
            if !(last <= row.largestShare * first) {
                problems.append(
                    "the loss went from \(first / Double(count)) to \(last / Double(count)) in \(row.steps) steps")
            }
            for parameter in initial.parameters.trained {
                guard let after = trained.adapter.parameters[parameter.name] else { continue }
                if try Conformance.hash(parameter.tensor) == Conformance.hash(after) {
                    problems.append("\(parameter.name) is counted as trained and never moved")
                }
            }
            return problems
        }
    }

    func accumulates(_ initial: Adapter) throws -> [String] {
        guard training == .gradient else { return [] }
        var whole: [Double] = []
        var problems: [String] = []
        for accumulation in [1, 2, 4] {
            var plan = plan(steps: 4)
            plan.accumulation = accumulation
            var losses: [Double] = []
            _ = try Trainer(
                model: model, adapter: initial, examples: encoded, source: task.examples, plan: plan
            )
            .run(report: { if case .step(let step) = $0 { losses.append(step.loss) } })
            if accumulation == 1 { whole = losses }
            let distance = Conformance.distance(losses, whole)
            if !(distance <= row.accumulationTolerance * max(1, whole.max() ?? 0)) {
                problems.append("in \(accumulation) pieces, a loss is \(distance) off")
            }
        }
        return problems
    }

    /// The method with dropout, where it has a setting of that name: masks are part of what must be resumed.
    private func methodWithDropout() throws -> any Method {
        let type = type(of: row.method)
        guard type.card.settings.contains(where: { $0.name == "dropout" }) else { return row.method }
        var settings = row.method.settings.json.object ?? JSONObject()
        settings["dropout"] = 0.2
        return try type.init(MethodSettings(type.card, json: .object(settings)))
    }

    func resumesExactly() throws -> [String] {
        guard training == .gradient else { return [] }
        let initial = try initialAdapter(methodWithDropout())
        var plan = plan(steps: 8)
        plan.evaluateEvery = 3
        plan.checkpointEvery = 3
        plan.schedule = .cosine
        plan.maximumGradientNorm = 1
        plan.weightDecay = 0.01
        // Scores that rise and fall, so that the best parameters are not the last.
        let trainer = try Trainer(
            model: model, adapter: initial, examples: encoded, source: task.examples, plan: plan
        ) { parameters, step in
            ValidationPoint(step: step, score: step == 6 ? 1 : 0.5, loss: try parameters.all[0].tensor.sum().item())
        }
        func run(_ store: CheckpointStore?, resume: Bool, stopAfter: Int?) throws -> (
            outcome: TrainingOutcome, losses: [Int: Double]
        ) {
            var losses: [Int: Double] = [:]
            var done = 0
            let outcome = try trainer.run(
                checkpoints: store, resume: resume, shouldStop: { done == stopAfter },
                report: {
                    if case .step(let step) = $0 {
                        losses[step.step] = step.loss
                        done = step.step
                    }
                })
            return (outcome, losses)
        }
        func state(_ store: CheckpointStore) throws -> [String] {
            let folder = store.folder + "/step-00000008"
            return try TensorFiles.read(folder + "/state.safetensors")
                .map { "\($0.name) \(try Conformance.hash($0.tensor))" } + [
                    FileHash.sha256(ofFile: folder + "/state.json")
                ]
        }
        let store = try CheckpointStore(folder: scratch.folder("checkpoints"), identity: ["run": 1])
        let whole = try run(store, resume: false, stopAfter: nil)
        var random = SeededGenerator(seed: 3, stream: "stops " + row.method.name)
        var problems: [String] = []
        for stop in random.shuffled(Array(1..<plan.steps)).prefix(3) {
            let own = try CheckpointStore(folder: scratch.folder("checkpoints-\(stop)"), identity: ["run": 1])
            let first = try run(own, resume: false, stopAfter: stop)
            let second = try run(own, resume: true, stopAfter: nil)
            if first.outcome.ending != .interrupted || first.outcome.steps != stop {
                problems.append("a run stopped after step \(stop) ended after \(first.outcome.steps)")
            }
            if first.losses.merging(second.losses, uniquingKeysWith: { $1 }) != whole.losses {
                problems.append("stopped after step \(stop) and resumed, the losses differ")
            }
            if try Conformance.hashes(second.outcome.parameters) != Conformance.hashes(whole.outcome.parameters) {
                problems.append("stopped after step \(stop) and resumed, the parameters differ")
            }
            if try state(own) != state(store) {
                problems.append("stopped after step \(stop) and resumed, the last checkpoint differs")
            }
        }
        return problems
    }
}
