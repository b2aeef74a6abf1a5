import HoneFormats
import HoneMethods
import HoneTraining
import Testing

@Suite struct GuardTests {
    @Test func `a step that is not finite is left out with a warning, and the run goes on`() throws {
        let run = try TinyRun(steps: 6)
        var seen: [[[Float]]] = []
        run.plan.evaluateEvery = 1
        run.validate = { parameters, step in
            seen.append(try run.numbers(parameters))
            return ValidationPoint(step: step, score: Double(step), loss: 1)
        }
        let outcome = try run.run(Poisoned(passes: [3]))
        #expect(outcome.ending == .finished && outcome.steps == 6)
        #expect(run.losses[3]?.isNaN == true)
        #expect(run.losses.values.filter { $0.isNaN }.count == 1)
        #expect(run.warnings.count == 1)
        #expect(run.warnings.first?.hasPrefix("step 3:") == true)
        #expect(seen[2] == seen[1], "the bad step changed the parameters")
        #expect(seen[3] != seen[2], "the run did not go on")
        #expect(try run.numbers(outcome.parameters).joined().allSatisfy { $0.isFinite })
    }

    @Test func `two bad steps, a good one and two bad ones do not stop the run`() throws {
        let run = try TinyRun(steps: 7)
        let outcome = try run.run(Poisoned(passes: [2, 3, 5, 6]))
        #expect(outcome.ending == .finished)
        #expect(run.warnings.count == 4)
    }

    @Test(arguments: [0, 2]) func `three bad steps in a row stop the run, which can be resumed`(every: Int) throws {
        let run = try TinyRun(steps: 8)
        run.plan.checkpointEvery = every
        let store = try run.store()
        let error = #expect(throws: HoneError.self) { try run.run(Poisoned(passes: [4, 5, 6]), store) }
        #expect(error?.code == .notFinite)
        #expect(error?.message.contains("learning rate") == true)
        #expect(error?.item != nil)
        #expect(run.warnings.count == 3)
        #expect(run.checkpoints.last == 5)

        let outcome = try run.run(Poisoned(passes: []), store, resume: true)
        #expect(outcome.ending == .finished && outcome.steps == 8)
        #expect(run.losses.keys.sorted() == [6, 7, 8])
        #expect(run.losses.values.allSatisfy { $0.isFinite })
    }

    @Test func `no row with a target is refused`() throws {
        let run = try TinyRun(steps: 1)
        let adapter = try Adapter.initial(
            Poisoned(passes: []), for: run.model, task: .classification(classes: 2), labels: ["a", "b"],
            encoding: .init(), seed: 0)
        let error = #expect(throws: HoneError.self) {
            try Trainer(model: run.model, adapter: adapter, examples: [], plan: run.plan)
        }
        #expect(error?.code == .badData)
    }
}
