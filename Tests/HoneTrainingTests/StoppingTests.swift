import HoneMethods
import HoneTraining
import Testing

@Suite struct StoppingTests {
    /// A run whose validation scores are given, with the parameters seen after each step.
    private func run(
        _ points: [(score: Double, loss: Double)], patience: Int
    ) throws -> (run: TinyRun, outcome: TrainingOutcome, seen: [[[Float]]]) {
        let run = try TinyRun(steps: points.count)
        run.plan.evaluateEvery = 1
        run.plan.patience = patience
        var seen: [[[Float]]] = []
        run.validate = { parameters, step in
            seen.append(try run.numbers(parameters))
            return ValidationPoint(step: step, score: points[step - 1].score, loss: points[step - 1].loss)
        }
        let outcome = try run.run(Poisoned(passes: []))
        return (run, outcome, seen)
    }

    @Test func `a run without improvement ends early with the best parameters`() throws {
        let (run, outcome, seen) = try run([(0.1, 1), (0.5, 1), (0.4, 1), (0.3, 1), (0.9, 1)], patience: 2)
        #expect(outcome.ending == .stoppedEarly)
        #expect(outcome.steps == 4)
        #expect(outcome.best?.step == 2)
        #expect(try run.numbers(outcome.parameters) == seen[1])
        #expect(seen[1] != seen[3])
    }

    @Test func `without patience a run goes to its end and gives the best`() throws {
        let (run, outcome, seen) = try run([(0.1, 1), (0.5, 1), (0.4, 1), (0.3, 1)], patience: 0)
        #expect(outcome.ending == .finished)
        #expect(outcome.best?.step == 2)
        #expect(try run.numbers(outcome.parameters) == seen[1])
    }

    @Test func `equal scores are decided by the loss`() throws {
        let outcome = try run([(1, 0.5), (1, 0.4), (1, 0.3), (1, 0.35)], patience: 2).outcome
        #expect(outcome.ending == .finished)
        #expect(outcome.best?.step == 3)
    }

    @Test func `a score that is not a number is never the best`() throws {
        let outcome = try run([(.nan, 1), (0.2, .nan), (0.1, 1), (.nan, 1)], patience: 0).outcome
        #expect(outcome.best?.step == 3)
    }

    @Test func `a run that ended, early or not, has nothing to resume`() throws {
        for patience in [0, 1] {
            let run = try TinyRun(steps: 4)
            run.plan.evaluateEvery = 1
            run.plan.patience = patience
            run.validate = { _, step in ValidationPoint(step: step, score: -Double(step), loss: 1) }
            let store = try run.store()
            let first = try run.run(Poisoned(passes: []), store)
            let again = try run.run(Poisoned(passes: []), store, resume: true)
            #expect(run.losses.isEmpty)
            #expect(again.steps == first.steps && again.steps == (patience == 0 ? 4 : 2))
            #expect(again.ending == first.ending)
            #expect(again.best == first.best)
            #expect(try run.numbers(again.parameters) == run.numbers(first.parameters))
        }
    }
}
